"""Normalisation over batches, instances, groups of channels, layers and neighbouring channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import _core
from .._types import Array, Operand, Result
from ..autograd import TensorBase, raw, record
from ._batch_norm import training_step
from ._tools import array_first, axes_of, compiled, is_float, is_half
from .activation import ACTIVATIONS
from .convert import cast, clone
from .narrow import floats_only, in_float32

__all__ = [
    "NormGrads",
    "batch_norm",
    "batch_norm_backward",
    "group_norm",
    "group_norm_backward",
    "instance_norm",
    "instance_norm_backward",
    "layer_norm",
    "layer_norm_backward",
    "local_response_norm",
    "local_response_norm_backward",
    "normalize",
    "rms_norm",
]


class NormGrads(NamedTuple):
    """Gradients of a normalisation; None where there is no such operand."""

    input: Any
    weight: Any
    bias: Any


def _along_channels(v: Array, ndim: int) -> Array:
    """(C,) shaped to lie along axis 1 of `ndim` axes."""
    return v.reshape((1, -1) + (1,) * (ndim - 2))


def _channel_sum(x: Array) -> Array:
    """Sums of (N, C, ...) over all axes but the channels: (C,)."""
    # First over the contiguous part, where NumPy sums pairwise and so more precisely.
    return np.asarray(x.reshape(*x.shape[:2], int(np.prod(x.shape[2:]))).sum(-1).sum(0))


def _fast(x: Array) -> bool:
    """Whether the compiled normalisations take `x`, and its rows are long enough for them."""
    return x.ndim > 2 and x.size > 0 and compiled(x)


# ---- batch norm ----------------------------------------------------------------------------------


@floats_only
def batch_norm_backward(
    grad_output: Array,
    input: Array,
    weight: Array | None,
    mean: Array,
    rstd: Array,
    training: bool = True,
) -> NormGrads:
    """Gradients of :func:`batch_norm`.

    Parameters
    ----------
    grad_output, input : (N, C, ...)
    weight : (C,), optional
    mean, rstd : (C,)
        What the forward pass subtracted and multiplied by, ``1 / sqrt(variance + eps)``.
    training : bool
        Whether they were statistics of this very batch, and so depend on the input.

    Returns
    -------
    NormGrads
        ``(input, weight, bias)``; the last two of shape (C,).
    """
    ndim, count = input.ndim, input.size // max(input.shape[1], 1)
    if _fast(input) and compiled(input, grad_output):
        var = (1 / np.square(rstd)).astype(input.dtype)
        return NormGrads(
            *_core.norm_backward(
                grad_output, input, 0, mean, var, weight, 0.0, not training, (True, True, True)
            )
        )
    scaled = (input - _along_channels(mean, ndim)) * _along_channels(rstd, ndim)
    gb = _channel_sum(grad_output)
    gw = _channel_sum(grad_output * scaled)
    scale = _along_channels(rstd if weight is None else rstd * weight, ndim)
    if not training:
        return NormGrads(grad_output * scale, gw, gb)
    count = max(count, 1)
    gx = grad_output - _along_channels(gb / count, ndim)
    gx -= scaled * _along_channels(gw / count, ndim)
    gx *= scale
    return NormGrads(gx, gw, gb)


def batch_norm(
    input: Operand,
    running_mean: Operand | None,
    running_var: Operand | None,
    weight: Operand | None = None,
    bias: Operand | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    *,
    activation: str | None = None,
) -> Result:
    """Shift and scale each channel to mean 0 and variance 1, then by `bias` and `weight`.

    Parameters
    ----------
    input : (N, C, ...)
    running_mean, running_var : (C,), optional
        Used when not training; when training moved towards the batch's statistics by `momentum`.
    weight, bias : (C,), optional
    training : bool
    momentum, eps : float
    activation : {None, "relu", "relu6"}
        Applied to the result; when training in the same pass, backward too.

    Returns
    -------
    array or Tensor of the input's shape

    Raises
    ------
    ValueError
        For shapes that do not fit, for one value per channel when training, and for missing running
        statistics when not training.

    Notes
    -----
    The variance that normalises is divided by the count, the one that `running_var` moves towards
    by the count less one, as in ``torch.nn.functional.batch_norm``.
    """
    if eps <= 0:
        raise ValueError(f"batch_norm: eps must be positive, got {eps}")
    if activation is not None and activation not in ("relu", "relu6"):
        raise ValueError(
            f"batch_norm: activation must be None, 'relu' or 'relu6', got {activation!r}"
        )
    if training:
        done = training_step(
            input, running_mean, running_var, weight, bias, momentum, eps, activation
        )
        if done is not None:
            return done
    if activation is not None:
        y = batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)
        return ACTIVATIONS[activation](y)
    x, w, b = raw(input), raw(weight), raw(bias)
    mean_kept, var_kept = raw(running_mean), raw(running_var)
    if not is_float(raw(array_first("batch_norm", input))):
        raise TypeError(f"batch_norm: input must be of a floating-point type, got {x.dtype}")
    if is_half(x.dtype):
        kept = [running_mean, running_var]
        moved = [None if v is None else raw(v).astype(np.float32) for v in kept]
        wide, gain, offset = (
            None if v is None else cast(v, np.float32) for v in (input, weight, bias)
        )
        y = batch_norm(wide, moved[0], moved[1], gain, offset, training, momentum, eps)
        for running, value in zip(kept, moved, strict=True):
            if running is not None and training:
                raw(running)[...] = value
        return cast(y, x.dtype)
    if x.ndim < 2 and x.size == 0:
        return clone(input)
    if x.ndim < 2:
        raise ValueError(f"batch_norm: input must have at least 2 axes (N, C), got {x.shape}")
    for what, v in (
        ("running_mean", mean_kept), ("running_var", var_kept), ("weight", w), ("bias", b)
    ):  # fmt: skip
        if v is not None and v.shape != x.shape[1:2]:
            raise ValueError(
                f"batch_norm: {what} must have shape {x.shape[1:2]} for input {x.shape}, "
                f"got {v.shape}"
            )
    count = x.size // max(x.shape[1], 1)
    if training:
        if count == 1:
            raise ValueError(
                "batch_norm: Expected more than 1 value per channel when training, "
                f"got input size {x.shape}"
            )
        if count == 0:
            mean, var = np.zeros(x.shape[1], x.dtype), np.ones(x.shape[1], x.dtype)
        else:
            if _fast(x):
                mean, var = _core.norm_statistics(x, 0)
            else:
                mean = _channel_sum(x) / count
                var = _channel_sum(np.square(x - _along_channels(mean, x.ndim))) / count
            _move(running_mean, mean, momentum)
            _move(running_var, var * (count / (count - 1)), momentum)
    else:
        if mean_kept is None or var_kept is None:
            raise ValueError(
                "batch_norm: running_mean and running_var must be given when not training"
            )
        mean, var = mean_kept.astype(x.dtype), var_kept.astype(x.dtype)
    rstd = 1 / np.sqrt(var + x.dtype.type(eps))
    if _fast(x) and all(v is None or compiled(x, v) for v in (w, b)):
        y = _core.norm_apply(x, 0, mean, var, w, b, None, eps, False)
    else:
        scale = rstd if w is None else rstd * w
        shift = -mean * scale if b is None else b - mean * scale
        y = x * _along_channels(scale, x.ndim)
        y += _along_channels(shift, x.ndim)
    operands = (input, weight, bias)
    if not any(isinstance(v, TensorBase) for v in operands):
        return y
    return record(
        "BatchNorm",
        y,
        operands,
        lambda g: batch_norm_backward(g, x, w, mean, rstd, training),
        saves=(input, weight),
    )


def _move(running: Operand | None, value: Array, momentum: float) -> None:
    """Move running statistics towards `value`, in place."""
    if running is None:
        return
    array = raw(running)
    array *= 1 - momentum
    array += momentum * value
    if isinstance(running, TensorBase):
        running._touch()


# ---- over rows: instance, group and layer norm ---------------------------------------------------


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
    if _fast(input) and compiled(input, grad_output):
        mean, var = known or _core.norm_statistics(input, num_groups)
        need = (True, True, True)
        return NormGrads(
            *_core.norm_backward(
                grad_output, input, num_groups, mean, var, weight, eps, False, need
            )
        )
    rows = input.reshape(shape[0], num_groups, int(np.prod(shape[1:])) // num_groups)
    mean, rstd = _row_statistics(rows, eps)
    scaled = (rows - mean) * rstd
    gw = _channel_sum(grad_output * scaled.reshape(shape))
    gb = _channel_sum(grad_output)
    g = grad_output if weight is None else grad_output * _along_channels(weight, input.ndim)
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
    if _fast(x) and all(v is None or compiled(x, v) for v in (w, b)):
        known = _core.norm_statistics(x, num_groups)
        y = _core.norm_apply(x, num_groups, *known, w, b, None, eps, False)
    else:
        if x.size == 0:
            y = x.copy()
        else:
            rows = x.reshape(x.shape[0], num_groups, -1)
            mean, rstd = _row_statistics(rows, eps)
            y = ((rows - mean) * rstd).reshape(x.shape)
        if w is not None:
            y = y * _along_channels(w, x.ndim)
        if b is not None:
            y = y + _along_channels(b, x.ndim)
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
    spatial = int(np.prod(x.shape[2:]))
    if x.ndim < 3 or spatial == 1:
        raise ValueError(
            "instance_norm: Expected more than 1 spatial element when training, "
            f"got input size {x.shape}"
        )
    if running_mean is not None and running_var is not None and x.size:
        rows = x.reshape(*x.shape[:2], -1)
        _move(running_mean, rows.mean(-1).mean(0), momentum)
        _move(running_var, rows.var(-1, ddof=1).mean(0), momentum)
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
        size = int(np.prod(tuple(normalized_shape)))
        mean, rstd = known or _core.layer_norm(input, size, None, None, eps)[1:]
        gx, gw, gb = _core.layer_norm_backward(grad_output, input, size, weight, mean, rstd, affine)
        if gw is None or gb is None:
            return NormGrads(gx, None, None)
        return NormGrads(gx, gw.reshape(normalized_shape), gb.reshape(normalized_shape))
    lead = input.shape[: input.ndim - last]
    rows = input.reshape(*lead, int(np.prod(tuple(normalized_shape))))
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
        y, *stats = _core.layer_norm(x, int(np.prod(shape)), w, b, eps)
        known = (stats[0], stats[1])
    else:
        rows = x.reshape(*x.shape[: x.ndim - len(shape)], int(np.prod(shape)))
        mean, rstd = _row_statistics(rows, eps)
        y = ((rows - mean) * rstd).reshape(x.shape)
        if w is not None:
            y *= w
        if b is not None:
            y += b
    operands = (input, weight, bias)
    if not any(isinstance(v, TensorBase) for v in operands):
        return y
    return record(
        "LayerNorm",
        y,
        operands,
        lambda g: _layer_norm_backward(g, x, shape, w, eps, known, w is not None or b is not None),
        saves=(input, weight),
    )


@floats_only
def rms_norm(
    input: Operand, normalized_shape: Any, weight: Operand | None = None, eps: float | None = None
) -> Result:
    """Divide by the root of the mean square over the last axes."""
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
    rows, axis = (*lead, x.size // max(int(np.prod(lead)), 1)), len(lead)
    out, scale = _core.normalize(x.reshape(rows), axis, eps, True)
    y = out.reshape(x.shape)
    if not isinstance(input, TensorBase):
        return y

    def backward(g: Array) -> tuple[Array]:
        gx = _core.normalize_backward(g.reshape(rows), out, scale, axis, eps, True)
        return (gx.reshape(x.shape),)

    return record("RmsNorm", y, (input,), backward, saves_output=True)


# ---- across channels -----------------------------------------------------------------------------


def _channel_window(x: Array, before: int, after: int) -> Array:
    """Sums over channels c - before ... c + after of (N, C, ...)."""
    total = np.zeros_like(x)
    channels = x.shape[1]
    for shift in range(-before, after + 1):
        low, high = max(0, -shift), min(channels, channels - shift)
        if low < high:
            total[:, low:high] += x[:, low + shift : high + shift]
    return total


@floats_only
def local_response_norm_backward(
    grad_output: Array,
    input: Array,
    size: int,
    alpha: float = 1e-4,
    beta: float = 0.75,
    k: float = 1.0,
) -> Array:
    """Gradient of :func:`local_response_norm`, of the input's shape."""
    before, after = size // 2, (size - 1) // 2
    base = k + alpha / size * _channel_window(np.square(input), before, after)
    own = grad_output * base**-beta
    # Each channel also stands in the windows of its neighbours: the same window, mirrored.
    shared = _channel_window(own * input / base, after, before)
    return own - (2 * alpha * beta / size) * input * shared


@floats_only
def local_response_norm(
    input: Operand, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Result:
    """Divide by ``(k + alpha * mean of squares over size neighbouring channels) ** beta``.

    Parameters
    ----------
    input : (N, C, ...), at least 3 axes
    size : int
        How many channels make a window; channels that do not exist count as 0.
    """
    x = raw(input)
    if x.ndim < 3:
        raise ValueError(f"local_response_norm: Expected 3D or higher input, got shape {x.shape}")
    if size < 1:
        raise ValueError(f"local_response_norm: size must be positive, got {size}")
    base = k + alpha / size * _channel_window(np.square(x), size // 2, (size - 1) // 2)
    y = x * base**-beta
    if not isinstance(input, TensorBase):
        return y
    return record(
        "LocalResponseNorm",
        y,
        (input,),
        lambda g: (local_response_norm_backward(g, x, size, alpha, beta, k),),
        saves=(input,),
    )


@in_float32
def normalize(input: Operand, p: float = 2.0, dim: Any = 1, eps: float = 1e-12) -> Result:
    """Divide vectors along `dim` by their `p`-norm, which is not taken below `eps`."""
    from .arithmetic import div
    from .elementwise import clamp
    from .reduction import norm

    x = raw(input)
    axes = axes_of(dim, x.ndim, "normalize")
    if p == 2 and eps > 0 and compiled(x) and axes is not None and len(axes) == 1:
        axis = axes[0]
        y, scale = _core.normalize(x, axis, eps, False)
        if not isinstance(input, TensorBase):
            return y
        return record(
            "Normalize",
            y,
            (input,),
            lambda g: (_core.normalize_backward(g, y, scale, axis, eps, False),),
            saves_output=True,
        )
    return div(input, clamp(norm(input, p, dim, True), min=eps))
