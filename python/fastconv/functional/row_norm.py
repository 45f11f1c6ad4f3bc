"""Instance, group, layer and RMS norm: rows of memory, each by its own statistics."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import _core
from .._types import Array, Operand, Result
from ..autograd import TensorBase, needs_grad, raw, record
from ._norm import NormGrads, along_channels, channel_sum, fast, move_running
from ._tools import compiled
from .narrow import floats_only, in_float32
from .norm import batch_norm

__all__ = [
    "group_norm",
    "group_norm_backward",
    "instance_norm",
    "instance_norm_backward",
    "layer_norm",
    "layer_norm_backward",
    "rms_norm",
]


def _row_statistics(rows: Array, eps: float) -> tuple[Array, Array]:
    """Mean and 1 / sqrt(variance + eps) of the last axis, kept as axes of extent 1."""
    mean = rows.mean(-1, keepdims=True, dtype=rows.dtype)
    var = np.square(rows - mean).mean(-1, keepdims=True, dtype=rows.dtype)
    return mean, 1 / np.sqrt(var + rows.dtype.type(eps))


def _rows_backward(g: Array, scaled: Array, rstd: Array) -> Any:
    """From the gradient of the normalised rows `scaled` to that of the rows."""
    gx = g - g.mean(-1, keepdims=True, dtype=g.dtype)
    gx -= scaled * (g * scaled).mean(-1, keepdims=True, dtype=g.dtype)
    gx *= rstd
    return gx


@floats_only
def group_norm_backward(
    grad_output: Array, input: Array, num_groups: int, weight: Array | None, eps: float = 1e-5
) -> NormGrads:
    """Gradients of :func:`group_norm`: of the input's shape, (C,) and (C,)."""
    return _group_norm_backward(grad_output, input, num_groups, weight, eps, None)


def _group_norm_backward(
    grad_output: Array,
    input: Array,
    num_groups: int,
    weight: Array | None,
    eps: float,
    known: tuple[Array, Array] | None,
) -> NormGrads:
    """As :func:`group_norm_backward`; mean and variance of the sets may be known already."""
    shape = input.shape
    if fast(input) and compiled(input, grad_output):
        mean, var = known or _core.norm_statistics(input, num_groups)
        need = (True, True, True)
        return NormGrads(
            *_core.norm_backward(
                grad_output, input, num_groups, mean, var, weight, eps, False, need
            )
        )
    rows = input.reshape(shape[0], num_groups, math.prod(shape[1:]) // num_groups)
    mean, rstd = _row_statistics(rows, eps)
    scaled = (rows - mean) * rstd
    gw = channel_sum(grad_output * scaled.reshape(shape))
    gb = channel_sum(grad_output)
    g = grad_output if weight is None else grad_output * along_channels(weight, input.ndim)
    gx = _rows_backward(g.reshape(rows.shape), scaled, rstd).reshape(shape)
    return NormGrads(gx, gw, gb)


@floats_only
def group_norm(
    input: Operand,
    num_groups: int,
    weight: Operand | None = None,
    bias: Operand | None = None,
    eps: float = 1e-5,
) -> Result:
    """Normalise each sample over each of `num_groups` groups of channels.

    Parameters
    ----------
    input : (N, C, ...)
    num_groups : int
        Divides C.
    weight, bias : (C,), optional
    eps : float

    Raises
    ------
    ValueError
        For shapes that do not fit.
    """
    x, w, b = raw(input), raw(weight), raw(bias)
    if x.ndim < 2 or num_groups < 1 or x.shape[1] % num_groups:
        raise ValueError(
            f"group_norm: expected number of channels in input to be divisible by num_groups, but "
            f"got input of shape {x.shape} and num_groups={num_groups}"
        )
    for what, v in (("weight", w), ("bias", b)):
        if v is not None and v.shape != x.shape[1:2]:
            raise ValueError(f"group_norm: {what} must have shape {x.shape[1:2]}, got {v.shape}")
    known: tuple[Array, Array] | None = None
    if fast(x) and all(v is None or compiled(x, v) for v in (w, b)):
        y, mean, var = _core.norm_sets(x, num_groups, w, b, eps)
        known = mean, var
    else:
        if x.size == 0:
            y = x.copy()
        else:
            rows = x.reshape(x.shape[0], num_groups, -1)
            mean, rstd = _row_statistics(rows, eps)
            y = ((rows - mean) * rstd).reshape(x.shape)
        if w is not None:
            y = y * along_channels(w, x.ndim)
        if b is not None:
            y = y + along_channels(b, x.ndim)
    operands = (input, weight, bias)
    if not any(isinstance(v, TensorBase) for v in operands):
        return y
    return record(
        "GroupNorm",
        y,
        operands,
        lambda g: _group_norm_backward(g, x, num_groups, w, eps, known),
        saves=(input, weight),
    )


@floats_only
def instance_norm(
    input: Operand,
    running_mean: Operand | None = None,
    running_var: Operand | None = None,
    weight: Operand | None = None,
    bias: Operand | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Result:
    """Normalise each channel of each sample of (N, C, ...) by itself.

    With ``use_input_stats=False`` the running statistics are used, as :func:`batch_norm` does.
    """
    x = raw(input)
    if not use_input_stats:
        return batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    spatial = math.prod(x.shape[2:])
    if x.ndim < 3 or spatial == 1:
        raise ValueError(
            "instance_norm: Expected more than 1 spatial element when training, "
            f"got input size {x.shape}"
        )
    if running_mean is not None and running_var is not None and x.size:
        rows = x.reshape(*x.shape[:2], -1)
        move_running(running_mean, rows.mean(-1).mean(0), momentum)
        move_running(running_var, rows.var(-1, ddof=1).mean(0), momentum)
    return group_norm(input, x.shape[1], weight, bias, eps)


@in_float32
def instance_norm_backward(
    grad_output: Array, input: Array, weight: Array | None = None, eps: float = 1e-5
) -> NormGrads:
    """Gradients of :func:`instance_norm` by the input's own statistics: (N, C, ...), (C,), (C,)."""
    return group_norm_backward(grad_output, input, input.shape[1], weight, eps)


@floats_only
def layer_norm_backward(
    grad_output: Array,
    input: Array,
    normalized_shape: Sequence[int],
    weight: Array | None,
    eps: float = 1e-5,
) -> NormGrads:
    """Gradients of :func:`layer_norm`: of the input's shape and twice `normalized_shape`."""
    return _layer_norm_backward(grad_output, input, normalized_shape, weight, eps, None)


def _layer_norm_backward(
    grad_output: Array,
    input: Array,
    normalized_shape: Sequence[int],
    weight: Array | None,
    eps: float,
    known: tuple[Array, Array] | None,
    affine: bool = True,
) -> NormGrads:
    """As :func:`layer_norm_backward`; mean and 1 / deviation of the rows may be known already.

    Unless `affine` the gradients of weight and bias may be left out.
    """
    last = len(tuple(normalized_shape))
    if input.size and compiled(input, grad_output):
        size = math.prod(tuple(normalized_shape))
        mean, rstd = known or _core.layer_norm(input, size, None, None, eps)[1:]
        gx, gw, gb = _core.layer_norm_backward(grad_output, input, size, weight, mean, rstd, affine)
        if gw is None or gb is None:
            return NormGrads(gx, None, None)
        return NormGrads(gx, gw.reshape(normalized_shape), gb.reshape(normalized_shape))
    lead = input.shape[: input.ndim - last]
    rows = input.reshape(*lead, math.prod(tuple(normalized_shape)))
    mean, rstd = _row_statistics(rows, eps)
    scaled = (rows - mean) * rstd
    g = grad_output.reshape(rows.shape)
    axes = tuple(range(len(lead)))
    gw = (g * scaled).sum(axes).reshape(normalized_shape)
    gb = np.asarray(g.sum(axes)).reshape(normalized_shape)
    if weight is not None:
        g = g * weight.reshape(-1)
    return NormGrads(_rows_backward(g, scaled, rstd).reshape(input.shape), gw, gb)


def _trailing(name: str, x: Array, normalized_shape: Any) -> tuple[int, ...]:
    shape = (
        (int(normalized_shape),)
        if isinstance(normalized_shape, (int, np.integer))
        else tuple(normalized_shape)
    )
    if not shape or x.shape[-len(shape) :] != shape:
        raise ValueError(
            f"{name}: Given normalized_shape={list(shape)}, expected input with shape "
            f"[*, {', '.join(map(str, shape))}], but got input of size {list(x.shape)}"
        )
    return shape


@floats_only
def layer_norm(
    input: Operand,
    normalized_shape: Any,
    weight: Operand | None = None,
    bias: Operand | None = None,
    eps: float = 1e-5,
) -> Result:
    """Normalise over the last axes.

    Parameters
    ----------
    input : (..., *normalized_shape)
    normalized_shape : int or sequence of int
    weight, bias : array of that shape, optional
    eps : float

    Raises
    ------
    ValueError
        For shapes that do not fit.
    """
    x, w, b = raw(input), raw(weight), raw(bias)
    shape = _trailing("layer_norm", x, normalized_shape)
    for what, v in (("weight", w), ("bias", b)):
        if v is not None and v.shape != shape:
            raise ValueError(f"layer_norm: {what} must have shape {shape}, got {v.shape}")
    known: tuple[Array, Array] | None = None
    if x.size and all(v is None or compiled(x, v) for v in (w, b)) and compiled(x):
        y, *stats = _core.layer_norm(x, math.prod(shape), w, b, eps)
        known = (stats[0], stats[1])
    else:
        rows = x.reshape(*x.shape[: x.ndim - len(shape)], math.prod(shape))
        mean, rstd = _row_statistics(rows, eps)
        y = ((rows - mean) * rstd).reshape(x.shape)
        if w is not None:
            y *= w
        if b is not None:
            y += b
    operands = (input, weight, bias)
    if not any(isinstance(v, TensorBase) for v in operands):
        return y
    affine = needs_grad(weight) or needs_grad(bias)
    return record(
        "LayerNorm",
        y,
        operands,
        lambda g: _layer_norm_backward(g, x, shape, w, eps, known, affine),
        saves=(input, weight),
    )


@floats_only
def rms_norm(
    input: Operand, normalized_shape: Any, weight: Operand | None = None, eps: float | None = None
) -> Result:
    """Divide by the root of the mean square over the last axes.

    Parameters
    ----------
    input : (..., *normalized_shape)
    normalized_shape : int or ints
    weight : of shape `normalized_shape`, optional
        Factors applied afterwards.
    eps : float, optional
        Added to the mean square; the type's epsilon unless given.

    Returns
    -------
    array or Tensor
        Of the input's shape.

    Raises
    ------
    ValueError
        If the last axes are not `normalized_shape`.

    Notes
    -----
    Zhang and Sennrich, arXiv 1910.07467.
    """
    from .arithmetic import add, mul
    from .elementwise import rsqrt, square
    from .reduction import mean

    x = raw(input)
    shape = _trailing("rms_norm", x, normalized_shape)
    if weight is not None and raw(weight).shape != shape:
        raise ValueError(f"rms_norm: weight must have shape {shape}, got {raw(weight).shape}")
    small = float(np.finfo(x.dtype).eps) if eps is None else eps
    if compiled(x) and small > 0 and x.size:
        y = _over_rms(input, len(shape), small)
    else:
        power = mean(square(input), tuple(range(-len(shape), 0)), True)
        y = mul(input, rsqrt(add(power, small)))
    return y if weight is None else mul(y, weight)


def _over_rms(input: Operand, last: int, eps: float) -> Result:
    """Rows of the `last` axes divided by the root of their mean square."""
    x = raw(input)
    lead = x.shape[: x.ndim - last]
    rows, axis = (*lead, x.size // max(math.prod(lead), 1)), len(lead)
    out, scale = _core.normalize(x.reshape(rows), axis, eps, True)
    y = out.reshape(x.shape)
    if not isinstance(input, TensorBase):
        return y

    def backward(g: Array) -> tuple[Array]:
        gx = _core.normalize_backward(g.reshape(rows), out, scale, axis, eps, True)
        return (gx.reshape(x.shape),)

    return record("RmsNorm", y, (input,), backward, saves_output=True)
