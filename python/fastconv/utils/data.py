"""Datasets and loaders: the names of :mod:`fastconv.data`."""

from __future__ import annotations

import importlib
from typing import Any


def __getattr__(name: str) -> Any:
    return getattr(importlib.import_module("fastconv.data"), name)
