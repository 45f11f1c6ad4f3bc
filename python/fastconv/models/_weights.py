"""Loading a file of weights into a model just built."""

from __future__ import annotations

import os
from typing import Any, TypeVar

from fastconv.nn import Module
from fastconv.serialization import load_weights

M = TypeVar("M", bound=Module)


def load_pretrained(model: M, weights: str | os.PathLike[str] | None, **options: Any) -> M:
    """``model``, with the weights of a file if one is named (.safetensors, .npz or .pth)."""
    if weights is not None:
        model.load_state_dict(load_weights(weights), **options)
    return model
