"""``torch.fx`` as model files use it: nothing is traced."""

from __future__ import annotations

from typing import TypeVar

__all__ = ["wrap"]

T = TypeVar("T")


def wrap(fn_or_name: T) -> T:
    """`fn_or_name` itself."""
    return fn_or_name
