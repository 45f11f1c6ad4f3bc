"""The activations that a convolution or a norm can apply in its own pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .rectifiers import leaky_relu, relu, relu6
from .smooth_gates import gelu, hardswish, silu

__all__ = ["ACTIVATIONS"]

#: By the names that ``activation=`` takes.
ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "relu": relu,
    "relu6": relu6,
    "silu": silu,
    "hardswish": hardswish,
    "leaky_relu": leaky_relu,
    "gelu": gelu,
}
