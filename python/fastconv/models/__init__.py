"""Networks of the lecture and after, with torchvision's names for functions and parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastconv.nn import Module

from .simple_cnn import SimpleCNN, simple_cnn

__all__ = ["SimpleCNN", "get_model", "list_models", "simple_cnn"]

_BUILDERS: dict[str, Callable[..., Module]] = {
    builder.__name__: builder for builder in (simple_cnn,)
}


def list_models() -> list[str]:
    """Names that `get_model` knows."""
    return list(_BUILDERS)


def get_model(name: str, **config: Any) -> Module:
    """Build a model by name.

    Raises
    ------
    ValueError
        If no model has that name; the message lists those that there are.
    """
    if name not in _BUILDERS:
        raise ValueError(f"get_model: no model {name!r}; there are {', '.join(_BUILDERS)}")
    return _BUILDERS[name](**config)
