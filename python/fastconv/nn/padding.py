"""Padding layers."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import functional as F
from ..autograd import raw
from .module import Module

__all__ = [
    "CircularPad1d",
    "CircularPad2d",
    "CircularPad3d",
    "ConstantPad1d",
    "ConstantPad2d",
    "ConstantPad3d",
    "ReflectionPad1d",
    "ReflectionPad2d",
    "ReflectionPad3d",
    "ReplicationPad1d",
    "ReplicationPad2d",
    "ReplicationPad3d",
    "ZeroPad1d",
    "ZeroPad2d",
    "ZeroPad3d",
]


class _Pad(Module):
    """Pads the last `rank` axes; `padding` is an int or (left, right, top, bottom, ...)."""

    rank: int
    mode = "constant"
    value: float | None = None

    def __init__(self, padding: Any) -> None:
        super().__init__()
        single = isinstance(padding, (int, np.integer))
        self.padding = (int(padding),) * (2 * self.rank) if single else tuple(padding)
        if len(self.padding) != 2 * self.rank:
            raise ValueError(
                f"{type(self).__name__}: padding must be an int or {2 * self.rank} ints, "
                f"got {padding}"
            )

    def forward(self, input: Any) -> Any:
        if self.mode != "constant" and raw(input).ndim not in (self.rank + 1, self.rank + 2):
            raise ValueError(
                f"{type(self).__name__}: input must have {self.rank + 1} or {self.rank + 2} axes, "
                f"got shape {raw(input).shape}"
            )
        return F.pad(input, self.padding, self.mode, self.value)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _ConstantPad(_Pad):
    def __init__(self, padding: Any, value: float) -> None:
        super().__init__(padding)
        self.value = value

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPad):
    """(N, C, L) with a constant on each side."""

    rank = 1


class ConstantPad2d(_ConstantPad):
    """(N, C, H, W) with a constant on each side."""

    rank = 2


class ConstantPad3d(_ConstantPad):
    """(N, C, D, H, W) with a constant on each side."""

    rank = 3


class ZeroPad1d(_Pad):
    """(N, C, L) with zeros on each side."""

    rank = 1


class ZeroPad2d(_Pad):
    """(N, C, H, W) with zeros on each side."""

    rank = 2


class ZeroPad3d(_Pad):
    """(N, C, D, H, W) with zeros on each side."""

    rank = 3


class ReflectionPad1d(_Pad):
    """(N, C, L) with its own reflection on each side."""

    rank = 1
    mode = "reflect"


class ReflectionPad2d(_Pad):
    """(N, C, H, W) with its own reflection on each side."""

    rank = 2
    mode = "reflect"


class ReflectionPad3d(_Pad):
    """(N, C, D, H, W) with its own reflection on each side."""

    rank = 3
    mode = "reflect"


class ReplicationPad1d(_Pad):
    """(N, C, L) with its border on each side."""

    rank = 1
    mode = "replicate"


class ReplicationPad2d(_Pad):
    """(N, C, H, W) with its border on each side."""

    rank = 2
    mode = "replicate"


class ReplicationPad3d(_Pad):
    """(N, C, D, H, W) with its border on each side."""

    rank = 3
    mode = "replicate"


class CircularPad1d(_Pad):
    """(N, C, L) with its other end on each side."""

    rank = 1
    mode = "circular"


class CircularPad2d(_Pad):
    """(N, C, H, W) with its other end on each side."""

    rank = 2
    mode = "circular"


class CircularPad3d(_Pad):
    """(N, C, D, H, W) with its other end on each side."""

    rank = 3
    mode = "circular"
