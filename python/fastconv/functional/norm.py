"""Batch norm: each channel by its mean and variance over all images and pixels."""

from __future__ import annotations

import numpy as np

from .. import _core
from .._types import Array, Operand, Result
from ..autograd import TensorBase, raw, record
from ._batch_norm import training_step
from ._norm import NormGrads, along_channels, channel_sum, fast, move_running
from ._tools import array_first, compiled, is_float, is_half
from .activation import ACTIVATIONS
from .convert import cast, clone
from .narrow import floats_only

__all__ = ["NormGrads", "batch_norm", "batch_norm_backward"]


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
    if fast(input) and compiled(input, grad_output):
        var = (1 / np.square(rstd)).astype(input.dtype)
        return NormGrads(
            *_core.norm_backward(
                grad_output, input, 0, mean, var, weight, 0.0, not training, (True, True, True)
            )
        )
    scaled = (input - along_channels(mean, ndim)) * along_channels(rstd, ndim)
    gb = channel_sum(grad_output)
    gw = channel_sum(grad_output * scaled)
    scale = along_channels(rstd if weight is None else rstd * weight, ndim)
    if not training:
        return NormGrads(grad_output * scale, gw, gb)
    count = max(count, 1)
    gx = grad_output - along_channels(gb / count, ndim)
    gx -= scaled * along_channels(gw / count, ndim)
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
    taped = any(isinstance(v, TensorBase) for v in (input, weight, bias))
    if training:
        if count == 1:
            raise ValueError(
                "batch_norm: Expected more than 1 value per channel when training, "
                f"got input size {x.shape}"
            )
        if count == 0:
            mean, var = np.zeros(x.shape[1], x.dtype), np.ones(x.shape[1], x.dtype)
        else:
            if fast(x):
                mean, var = _core.norm_statistics(x, 0)
            else:
                mean = channel_sum(x) / count
                var = channel_sum(np.square(x - along_channels(mean, x.ndim))) / count
            move_running(running_mean, mean, momentum)
            move_running(running_var, var * (count / (count - 1)), momentum)
    else:
        if mean_kept is None or var_kept is None:
            raise ValueError(
                "batch_norm: running_mean and running_var must be given when not training"
            )
        # The tape keeps the mean, which the caller may change.
        mean, var = mean_kept.astype(x.dtype, copy=taped), var_kept.astype(x.dtype, copy=False)
    engine = fast(x) and (w is None or compiled(x, w)) and (b is None or compiled(x, b))
    if engine:
        y = _core.norm_apply(x, 0, mean, var, w, b, None, eps, False)
        if not taped:
            return y
    rstd = 1 / np.sqrt(var + x.dtype.type(eps))
    if not engine:
        scale = rstd if w is None else rstd * w
        shift = -mean * scale if b is None else b - mean * scale
        y = x * along_channels(scale, x.ndim)
        y += along_channels(shift, x.ndim)
        if not taped:
            return y
    return record(
        "BatchNorm",
        y,
        (input, weight, bias),
        lambda g: batch_norm_backward(g, x, w, mean, rstd, training),
        saves=(input, weight),
    )
