"""Helpers under the names where PyTorch code looks for them."""

from __future__ import annotations

import importlib
from typing import Any

from . import checkpoint as checkpoint


def __getattr__(name: str) -> Any:
    if name in ("data", "model_zoo"):
        return importlib.import_module(f"fastconv.utils.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
