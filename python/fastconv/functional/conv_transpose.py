"""Transposed convolution: the input gradient of a convolution, as an operator of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import _core
from .._types import Array, Ints, Operand, Result
from ..autograd import TensorBase, needs_grad, raw, record, wrap
from ._tools import ints, written
from .conv_gradients import ConvGrads
from .convert import laid_out_as
from .narrow import in_float32

__all__ = [
    "conv_transpose1d",
    "conv_transpose1d_backward",
    "conv_transpose2d",
    "conv_transpose2d_backward",
    "conv_transpose3d",
    "conv_transpose3d_backward",
]


class _Geometry:
    """Shapes of one transposed convolution, checked, and the plain convolution that it reverses.

    That convolution goes from the transposed one's output to its input. Its padding after each axis
    is less by the output padding, down to nothing; what is left of it (`beyond`) no weight reaches.
    """

    def __init__(
        self,
        rank: int,
        x: Array,
        w: Array,
        stride: Ints,
        padding: Ints,
        output_padding: Ints,
        groups: int,
        dilation: Ints,
    ) -> None:
        name = f"conv_transpose{rank}d"
        if not isinstance(x, np.ndarray) or not isinstance(w, np.ndarray):
            raise TypeError(
                f"{name}: input and weight must be arrays or Tensors, "
                f"got {type(x).__name__} and {type(w).__name__}"
            )
        if x.ndim not in (rank + 1, rank + 2):
            raise ValueError(
                f"{name}: Expected {rank + 1}D (unbatched) or {rank + 2}D (batched) input, "
                f"got shape {x.shape}"
            )
        if w.ndim != rank + 2:
            raise ValueError(f"{name}: weight must have {rank + 2} axes, got shape {w.shape}")
        if isinstance(groups, bool) or not isinstance(groups, (int, np.integer)):
            raise TypeError(f"{name}: groups must be an int, got {groups!r}")
        channels = x.shape[-rank - 1]
        if groups < 1:
            raise ValueError(f"{name}: non-positive groups is not supported, got {groups}")
        if w.shape[0] != channels or channels % groups:
            raise ValueError(
                f"{name}: given groups={groups} and weight of shape {w.shape}, expected input to "
                f"have {w.shape[0]} channels divisible by groups, but got {channels} in {x.shape}"
            )
        if x.dtype not in (np.float32, np.float64):
            raise TypeError(
                f"{name}: input must be of a floating-point type in native byte order, "
                f"got {x.dtype}"
            )
        if x.dtype != w.dtype:
            raise TypeError(
                f"{name}: input and weight must have one dtype, got {x.dtype}, {w.dtype}"
            )
        s = ints(stride, rank, name, "stride")
        p = ints(padding, rank, name, "padding")
        extra = ints(output_padding, rank, name, "output_padding")
        d = ints(dilation, rank, name, "dilation")
        if min(s) < 1:
            raise ValueError(f"{name}: non-positive stride is not supported, got {s}")
        if min(d) < 1:
            raise ValueError(f"{name}: dilation should be greater than zero, got {d}")
        if min(p) < 0:
            raise ValueError(f"{name}: negative padding is not supported, got {p}")
        if min(extra) < 0:
            raise ValueError(f"{name}: negative output_padding is not supported, got {extra}")
        if any(e >= max(si, di) for e, si, di in zip(extra, s, d, strict=True)):
            raise ValueError(
                f"{name}: output padding must be smaller than either stride or dilation, but got "
                f"output_padding={extra}, stride={s}, dilation={d}"
            )
        spatial = x.shape[-rank:]
        full = [
            (n - 1) * si + di * (k - 1) + 1
            for n, si, di, k in zip(spatial, s, d, w.shape[2:], strict=True)
        ]
        self.out = tuple(f - 2 * pi + e for f, pi, e in zip(full, p, extra, strict=True))
        if min(self.out) < 1 or min(spatial) < 1:
            raise ValueError(
                f"{name}: Given input size per channel: {spatial}. Calculated output size per "
                f"channel: {self.out}. Output size is too small"
            )
        self.beyond = tuple(max(e - pi, 0) for pi, e in zip(p, extra, strict=True))
        pads = tuple((pi, max(pi - e, 0)) for pi, e in zip(p, extra, strict=True))
        self.settings = (s, pads, d, int(groups))
        self.channels = w.shape[1] * groups
        self.lead = x.shape[: x.ndim - rank - 1]

    @property
    def reached(self) -> tuple[int, ...]:
        """Extents of that part of the output that weights reach."""
        return tuple(o - b for o, b in zip(self.out, self.beyond, strict=True))


def _forward(
    rank: int, geometry: _Geometry, x: Array, w: Array, bias: Array | None, out: Array | None
) -> Array:
    shape = (*geometry.lead, geometry.channels, *geometry.reached)
    y = _core.conv_input_grad(rank, shape, w, x, *geometry.settings, "auto")
    if any(geometry.beyond):
        sides = [(0, 0)] * (y.ndim - rank) + [(0, b) for b in geometry.beyond]
        y = laid_out_as(np.pad(y, sides), y)
    if bias is not None:
        if bias.shape != (geometry.channels,):
            raise ValueError(
                f"conv_transpose{rank}d: expected bias to be 1-dimensional with "
                f"{geometry.channels} elements, but got bias of size {list(bias.shape)}"
            )
        if bias.dtype != x.dtype:
            raise TypeError(f"conv_transpose{rank}d: bias must be {x.dtype}, got {bias.dtype}")
        y += bias.reshape((-1,) + (1,) * rank)
    if out is None:
        return y
    return written(f"conv_transpose{rank}d", out, y, x, w, bias)


def _backward(
    rank: int,
    geometry: _Geometry,
    g: Array,
    x: Array,
    w: Array,
    need: tuple[bool, bool, bool],
) -> ConvGrads:
    reached: Any = (..., *(slice(n) for n in geometry.reached))
    part = g[reached] if any(geometry.beyond) else g
    gx = gw = gb = None
    if need[0]:
        gx = _core.conv(rank, part, w, None, *geometry.settings, None, None, "auto", None)
    if need[1]:
        gw = _core.conv_weight_grad(rank, part, w.shape, x, *geometry.settings, "auto")
    if need[2]:
        axes = tuple(a for a in range(g.ndim) if a != g.ndim - rank - 1)
        gb = np.asarray(g.sum(axes))
    return ConvGrads(gx, gw, gb)


def _conv_transpose(
    rank: int,
    input: Operand,
    weight: Operand,
    bias: Operand | None,
    stride: Ints,
    padding: Ints,
    output_padding: Ints,
    groups: int,
    dilation: Ints,
    out: Array | None,
) -> Result:
    x, w, b = raw(input), raw(weight), raw(bias)
    geometry = _Geometry(rank, x, w, stride, padding, output_padding, groups, dilation)
    y = _forward(rank, geometry, x, w, b, out)
    operands = (input, weight, bias)
    if not any(isinstance(v, TensorBase) for v in operands):
        return y
    need = (needs_grad(input), needs_grad(weight), needs_grad(bias))
    if not any(need):
        return wrap(y)
    if out is not None:
        raise ValueError(f"conv_transpose{rank}d: out cannot be given when gradients are recorded")
    return record(
        f"ConvTranspose{rank}d",
        y,
        operands,
        lambda g: _backward(rank, geometry, g, x, w, need),
        saves=(input, weight),
    )


@in_float32
def conv_transpose2d(
    input: Operand,
    weight: Operand,
    bias: Operand | None = None,
    stride: Ints = 1,
    padding: Ints = 0,
    output_padding: Ints = 0,
    groups: int = 1,
    dilation: Ints = 1,
    *,
    out: Array | None = None,
) -> Result:
    """Spread each pixel over a window, weighted by a kernel, and add up: enlarges images.

    Parameters
    ----------
    input : (N, C, H, W) or (C, H, W)
    weight : (C, K / groups, R, S)
    bias : (K,), optional
    stride, dilation : int or pair
    padding : int or pair
        Taken off each side of the result.
    output_padding : int or pair
        Added after each axis of the result; smaller than stride or dilation.
    groups : int
    out : array of the output's shape, optional

    Returns
    -------
    array or Tensor, (N, K, P, Q) or (K, P, Q)
        ``P = (H - 1) * stride - 2 * padding + dilation * (R - 1) + 1 + output_padding``.

    Raises
    ------
    ValueError
        For shapes and values that do not fit together.
    TypeError
        For other or mixed dtypes.

    Notes
    -----
    Semantics are those of ``torch.nn.functional.conv_transpose2d``.
    """
    return _conv_transpose(
        2, input, weight, bias, stride, padding, output_padding, groups, dilation, out
    )


@in_float32
def conv_transpose1d(
    input: Operand,
    weight: Operand,
    bias: Operand | None = None,
    stride: Ints = 1,
    padding: Ints = 0,
    output_padding: Ints = 0,
    groups: int = 1,
    dilation: Ints = 1,
    *,
    out: Array | None = None,
) -> Result:
    """Transposed convolution of (N, C, L) or (C, L); see :func:`conv_transpose2d`."""
    return _conv_transpose(
        1, input, weight, bias, stride, padding, output_padding, groups, dilation, out
    )


@in_float32
def conv_transpose3d(
    input: Operand,
    weight: Operand,
    bias: Operand | None = None,
    stride: Ints = 1,
    padding: Ints = 0,
    output_padding: Ints = 0,
    groups: int = 1,
    dilation: Ints = 1,
    *,
    out: Array | None = None,
) -> Result:
    """Transposed convolution of (N, C, D, H, W); see :func:`conv_transpose2d`."""
    return _conv_transpose(
        3, input, weight, bias, stride, padding, output_padding, groups, dilation, out
    )


def _gradient(rank: int) -> Callable[..., Any]:
    name = f"conv_transpose{rank}d"

    @in_float32
    def conv_transpose_backward(
        grad_output: Array,
        input: Array,
        weight: Array,
        stride: Ints = 1,
        padding: Ints = 0,
        output_padding: Ints = 0,
        groups: int = 1,
        dilation: Ints = 1,
        *,
        need: tuple[bool, bool, bool] = (True, True, True),
    ) -> ConvGrads:
        geometry = _Geometry(rank, input, weight, stride, padding, output_padding, groups, dilation)
        shape = (*geometry.lead, geometry.channels, *geometry.out)
        if grad_output.shape != shape:
            raise ValueError(
                f"{name}_backward: grad_output must have shape {shape}, got {grad_output.shape}"
            )
        return _backward(rank, geometry, grad_output, input, weight, need)

    conv_transpose_backward.__name__ = conv_transpose_backward.__qualname__ = f"{name}_backward"
    conv_transpose_backward.__doc__ = f"""Gradients of :func:`{name}`.

    Parameters
    ----------
    grad_output : array of the output's shape
    input, weight, stride, padding, output_padding, groups, dilation
        As given to :func:`{name}`.
    need : three bools
        Which gradients to compute: input, weight, bias.

    Returns
    -------
    ConvGrads
        ``(input, weight, bias)``, None where not needed.
    """
    return conv_transpose_backward


conv_transpose1d_backward = _gradient(1)
conv_transpose2d_backward = _gradient(2)
conv_transpose3d_backward = _gradient(3)
