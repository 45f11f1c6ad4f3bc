"""Losses."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _core
from .._types import Array, Operand, Result
from ..autograd import TensorBase, needs_grad, raw, record
from ._pairs import pair_loss
from ._tools import compiled, fit_together
from .activation import logsigmoid
from .arithmetic import add, mul, rsub, sub
from .convert import is_channels_last
from .elementwise import abs as absolute
from .elementwise import masked_fill, neg, square
from .narrow import floats_only, in_float32
from .reduction import mean, sum
from .softmax import log_softmax

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cosine_similarity",
    "cross_entropy",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "mse_loss",
    "nll_loss",
    "nll_loss_backward",
    "smooth_l1_loss",
]


def _reduced(name: str, loss: Result, reduction: str) -> Result:
    if reduction == "mean":
        return mean(loss)
    if reduction == "sum":
        return sum(loss)
    if reduction == "none":
        return loss
    raise ValueError(f"{name}: reduction must be 'mean', 'sum' or 'none', got {reduction!r}")


def _same_shape(name: str, input: Operand, target: Operand) -> None:
    if raw(input).shape != raw(target).shape:
        raise ValueError(
            f"{name}: input and target must have one shape, "
            f"got {raw(input).shape} and {raw(target).shape}"
        )


# ---- classes -------------------------------------------------------------------------------------


def _checked_targets(name: str, x: Array, target: Any) -> Array:
    """Class numbers, of the scores' shape without the class axis."""
    t = np.asarray(raw(target))
    axis = 0 if x.ndim == 1 else 1
    if x.ndim == 0:
        raise ValueError(f"{name}: input must be (C,), (N, C) or (N, C, d1, ...), got shape ()")
    expected = x.shape[:axis] + x.shape[axis + 1 :]
    if t.dtype.kind not in "iu":
        raise TypeError(f"{name}: class targets must be integers, got {t.dtype}")
    if t.shape != expected:
        raise ValueError(
            f"{name}: target must have shape {expected} for input {x.shape}, got {t.shape}"
        )
    return t


def _in_bounds(name: str, x: Array, t: Array, ignore_index: int) -> tuple[Array, Array]:
    """Targets with ignored ones set to 0, and which count."""
    classes = x.shape[0 if x.ndim == 1 else 1]
    counts = np.asarray(t != ignore_index)
    safe = np.where(counts, t, 0)
    if safe.size and (safe.min() < 0 or safe.max() >= classes):
        bad = safe[(safe < 0) | (safe >= classes)].flat[0]
        raise IndexError(f"{name}: target {bad} is out of bounds for {classes} classes")
    return safe, counts


def _class_weight(name: str, weight: Any, x: Array) -> Array | None:
    if weight is None:
        return None
    w = np.asarray(raw(weight))
    classes = x.shape[0 if x.ndim == 1 else 1]
    if w.shape != (classes,):
        raise ValueError(f"{name}: weight must have shape ({classes},), got {w.shape}")
    return w.astype(x.dtype, copy=False)


@floats_only
def nll_loss_backward(
    grad_output: Array,
    input: Array,
    target: Array,
    weight: Array | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Array:
    """Gradient of :func:`nll_loss` with respect to its input, an array of the input's shape."""
    name = "nll_loss_backward"
    t = _checked_targets(name, input, target)
    safe, counts = _in_bounds(name, input, t, ignore_index)
    w = _class_weight(name, weight, input)
    scale = 1.0
    if reduction == "mean":
        shares = float(counts.sum() if w is None else (w[safe] * counts).sum())
        scale = 1 / shares if shares else np.nan
    last = is_channels_last(input)
    return _likelihood_backward(grad_output, input.shape, t, w, ignore_index, scale, last)


def _likelihood_backward(
    g: Array,
    shape: tuple[int, ...],
    t: Array,
    w: Array | None,
    ignore_index: int,
    scale: float,
    last: bool,
) -> Array:
    """``-scale * g * w[t]`` at the targets that count, 0 elsewhere; channels last in memory?"""
    if compiled(g):
        return _core.likelihood_backward(g, shape, t, w, ignore_index, scale, last)
    axis = 0 if len(shape) == 1 else 1
    counts = t != ignore_index
    safe = np.where(counts, t, 0)
    share = np.where(counts, scale if w is None else scale * w[safe], 0)
    gx = np.zeros(shape, g.dtype)
    values = np.expand_dims(-g * share, axis).astype(g.dtype)
    np.put_along_axis(gx, np.expand_dims(safe, axis), values, axis)
    return gx


@floats_only
def nll_loss(
    input: Operand,
    target: Operand,
    weight: Operand | None = None,
    size_average: None = None,
    ignore_index: int = -100,
    reduce: None = None,
    reduction: str = "mean",
) -> Result:
    """Minus the log-probability of the target classes.

    Parameters
    ----------
    input : (C,), (N, C) or (N, C, d1, ...)
        Log-probabilities.
    target : (), (N,) or (N, d1, ...)
        Class numbers.
    weight : (C,), optional
        A weight for each class; the mean is then weighted.
    ignore_index : int
        Targets of this value do not count.
    reduction : {"mean", "sum", "none"}

    Raises
    ------
    ValueError, TypeError, IndexError
        For shapes, dtypes and class numbers that do not fit.
    """
    return _nll("nll_loss", input, target, weight, ignore_index, reduction)


def _nll(
    name: str,
    input: Operand,
    target: Operand,
    weight: Operand | None,
    ignore_index: int,
    reduction: str,
) -> Result:
    x = raw(input)
    t = _checked_targets(name, x, target)
    w = _class_weight(name, weight, x)
    if compiled(x):
        try:
            losses, total, shares = _core.likelihood(x, t, w, ignore_index)
        except ValueError:
            _in_bounds(name, x, t, ignore_index)
            raise
    else:
        axis = 0 if x.ndim == 1 else 1
        safe, counts = _in_bounds(name, x, t, ignore_index)
        share = counts.astype(x.dtype) if w is None else (w[safe] * counts).astype(x.dtype)
        picked = np.take_along_axis(x, np.expand_dims(safe, axis), axis).squeeze(axis)
        losses = -np.where(counts, picked, 0).astype(x.dtype) * share
        total, shares = float(losses.sum()), float(share.sum())
    scale = 1.0
    if reduction == "mean":
        scale = 1 / shares if shares else np.nan
        y = np.asarray(total / shares if shares else np.nan, x.dtype)
    elif reduction == "sum":
        y = np.asarray(total, x.dtype)
    else:
        y = np.asarray(_reduced(name, losses, reduction))
    if not (isinstance(input, TensorBase) or isinstance(target, TensorBase)):
        return y
    known, shape, last = np.array(t), x.shape, is_channels_last(x)
    return record(
        "NllLoss",
        y,
        (input,),
        lambda g: (_likelihood_backward(g, shape, known, w, ignore_index, scale, last),),
    )


@floats_only
def cross_entropy(
    input: Operand,
    target: Operand,
    weight: Operand | None = None,
    size_average: None = None,
    ignore_index: int = -100,
    reduce: None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Result:
    """The negative log-likelihood of the target classes under ``softmax(input)``.

    Parameters
    ----------
    input : (C,), (N, C) or (N, C, d1, ...)
        Scores, before softmax.
    target
        Class numbers, of the input's shape without the class axis; or probabilities, of its shape.
    weight : (C,), optional
        A weight for each class.
    ignore_index : int
        Class numbers of this value do not count.
    reduction : {"mean", "sum", "none"}
    label_smoothing : float
        How much of the target is spread evenly over all classes, from 0 to 1.

    Raises
    ------
    ValueError, TypeError, IndexError
        For shapes, dtypes and class numbers that do not fit.

    Notes
    -----
    Semantics are those of ``torch.nn.functional.cross_entropy``.
    """
    if not 0 <= label_smoothing <= 1:
        raise ValueError(
            f"cross_entropy: label_smoothing must be between 0 and 1, got {label_smoothing}"
        )
    x = raw(input)
    if x.ndim == 0:
        raise ValueError("cross_entropy: input must be (C,), (N, C) or (N, C, d1, ...), got ()")
    axis = 0 if x.ndim == 1 else 1
    log_p = log_softmax(input, axis)
    t = np.asarray(raw(target))
    if t.dtype.kind == "f":
        if ignore_index >= 0:
            raise ValueError("cross_entropy: ignore_index needs class numbers as target")
        return _soft_cross_entropy(log_p, target, weight, reduction, label_smoothing, axis)
    likelihood = _nll("cross_entropy", log_p, target, weight, ignore_index, reduction)
    if label_smoothing == 0:
        return likelihood
    # The even part: minus the (weighted) mean over classes of all log-probabilities.
    safe, counts = _in_bounds("cross_entropy", x, t, ignore_index)
    w = _class_weight("cross_entropy", weight, x)
    shape = [1] * x.ndim
    shape[axis] = -1
    weighted = log_p if w is None else mul(log_p, w.reshape(shape))
    even = masked_fill(neg(sum(weighted, axis)), ~counts, 0.0)
    if reduction == "mean":
        total = counts.sum() if w is None else (w[safe] * counts).sum()
        with np.errstate(divide="ignore", invalid="ignore"):
            even = mul(sum(even), float(np.divide(1.0, total)))
    elif reduction == "sum":
        even = sum(even)
    spread = label_smoothing / x.shape[axis]
    return add(mul(likelihood, 1 - label_smoothing), mul(even, spread))


def _soft_cross_entropy(
    log_p: Operand,
    target: Operand,
    weight: Operand | None,
    reduction: str,
    label_smoothing: float,
    axis: int,
) -> Result:
    """Cross entropy with probabilities as targets; the mean is over everything but classes."""
    x, p = raw(log_p), target
    _same_shape("cross_entropy", log_p, target)
    if label_smoothing:
        p = add(mul(p, 1 - label_smoothing), label_smoothing / x.shape[axis])
    w = _class_weight("cross_entropy", weight, x)
    if w is not None:
        shape = [1] * x.ndim
        shape[axis] = -1
        p = mul(p, w.reshape(shape))
    losses = neg(sum(mul(log_p, p), axis))
    if reduction == "mean":
        count = x.size // max(x.shape[axis], 1)
        return mul(sum(losses), 1 / max(count, 1))
    return _reduced("cross_entropy", losses, reduction)


# ---- regression ----------------------------------------------------------------------------------


@floats_only
def mse_loss(
    input: Operand,
    target: Operand,
    size_average: None = None,
    reduce: None = None,
    reduction: str = "mean",
) -> Result:
    """The squared difference."""
    fused = pair_loss("mse_loss", input, target, reduction)
    if fused is not None:
        return fused
    fit_together("mse_loss", input=input, target=target)
    return _reduced("mse_loss", square(sub(input, target)), reduction)


@in_float32
def l1_loss(
    input: Operand,
    target: Operand,
    size_average: None = None,
    reduce: None = None,
    reduction: str = "mean",
) -> Result:
    """The absolute difference."""
    fused = pair_loss("l1_loss", input, target, reduction)
    if fused is not None:
        return fused
    fit_together("l1_loss", input=input, target=target)
    return _reduced("l1_loss", absolute(sub(input, target)), reduction)


def _bent(name: str, difference: Operand, bend: float, slope: float) -> Result:
    """``d**2 / 2`` up to `bend`, from there on a straight line; the whole times `slope`."""
    d = raw(difference)
    size = np.abs(d)
    y = slope * np.where(size < bend, 0.5 * d * d, bend * (size - 0.5 * bend))
    if not isinstance(difference, TensorBase):
        return y
    return record(name, y, (difference,), lambda g: (g * slope * np.clip(d, -bend, bend),))


@floats_only
def smooth_l1_loss(
    input: Operand,
    target: Operand,
    size_average: None = None,
    reduce: None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Result:
    """``d**2 / (2 beta)`` where the difference is below `beta`, else ``|d| - beta / 2``."""
    if beta < 0:
        raise ValueError(f"smooth_l1_loss: beta must not be negative, got {beta}")
    if beta == 0:
        return l1_loss(input, target, reduction=reduction)
    fused = pair_loss("smooth_l1_loss", input, target, reduction, beta)
    if fused is not None:
        return fused
    fit_together("smooth_l1_loss", input=input, target=target)
    loss = _bent("SmoothL1", sub(input, target), beta, 1 / beta)
    return _reduced("smooth_l1_loss", loss, reduction)


@floats_only
def huber_loss(
    input: Operand,
    target: Operand,
    reduction: str = "mean",
    delta: float = 1.0,
    weight: Operand | None = None,
) -> Result:
    """``d**2 / 2`` where the difference is below `delta`, else ``delta * (|d| - delta / 2)``."""
    if delta <= 0:
        raise ValueError(f"huber_loss: delta must be positive, got {delta}")
    if weight is None:
        fused = pair_loss("huber_loss", input, target, reduction, delta)
        if fused is not None:
            return fused
    fit_together("huber_loss", input=input, target=target)
    loss = _bent("Huber", sub(input, target), delta, 1.0)
    return _reduced("huber_loss", loss if weight is None else mul(loss, weight), reduction)


# ---- probabilities -------------------------------------------------------------------------------


@floats_only
def binary_cross_entropy(
    input: Operand,
    target: Operand,
    weight: Operand | None = None,
    size_average: None = None,
    reduce: None = None,
    reduction: str = "mean",
) -> Result:
    """``-(t log p + (1 - t) log(1 - p))``; the logarithms are not let below -100."""
    _same_shape("binary_cross_entropy", input, target)
    p, t = raw(input), raw(target)
    if p.size and not (p.min() >= 0 and p.max() <= 1):
        raise ValueError("binary_cross_entropy: all elements of input should be between 0 and 1")
    if weight is None:
        fused = pair_loss(
            "binary_cross_entropy",
            input,
            target,
            reduction,
            by_target=lambda p, _: np.log1p(-p) - np.log(p),
        )
        if fused is not None:
            return fused
    with np.errstate(divide="ignore"):
        y = -(t * np.maximum(np.log(p), -100) + (1 - t) * np.maximum(np.log1p(-p), -100))
    y = y.astype(p.dtype, copy=False)
    loss: Any = y
    if isinstance(input, TensorBase) or isinstance(target, TensorBase):
        need = needs_grad(target)

        def backward(g: Array) -> tuple[Array | None, ...]:
            gp = g * (p - t) / np.maximum((1 - p) * p, 1e-12)
            return gp, (g * (np.log1p(-p) - np.log(p)) if need else None)

        loss = record("BinaryCrossEntropy", y, (input, target), backward, saves=(input, target))
    return _reduced(
        "binary_cross_entropy", loss if weight is None else mul(loss, weight), reduction
    )


@floats_only
def binary_cross_entropy_with_logits(
    input: Operand,
    target: Operand,
    weight: Operand | None = None,
    size_average: None = None,
    reduce: None = None,
    reduction: str = "mean",
    pos_weight: Operand | None = None,
) -> Result:
    """:func:`binary_cross_entropy` of ``sigmoid(input)``, without overflow."""
    name = "binary_cross_entropy_with_logits"
    _same_shape(name, input, target)
    if weight is None and pos_weight is None:
        fused = pair_loss(name, input, target, reduction, by_target=lambda x, _: -x)
        if fused is not None:
            return fused
    log_p = logsigmoid(input)
    # log(1 - p) = log p - x, so that both terms share one logarithm.
    if pos_weight is not None:
        log_p = mul(add(mul(sub(pos_weight, 1), target), 1), log_p)
    loss = sub(mul(rsub(target, 1), input), log_p)
    return _reduced(name, loss if weight is None else mul(loss, weight), reduction)


def _self_information(target: Operand) -> Result:
    """``t log t``, 0 at 0."""
    t = raw(target)
    logs = np.log(np.where(t == 0, 1, t)).astype(t.dtype)
    if not isinstance(target, TensorBase):
        return t * logs
    return record("TLogT", t * logs, (target,), lambda g: (g * (logs + 1),), saves=(target,))


@in_float32
def kl_div(
    input: Operand,
    target: Operand,
    size_average: None = None,
    reduce: None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Result:
    """``t (log t - input)``, `input` being log-probabilities; ``"batchmean"`` divides by N."""
    from .elementwise import exp

    if log_target:
        loss = mul(exp(target), sub(target, input))
    else:
        loss = sub(_self_information(target), mul(target, input))
    if reduction == "batchmean":
        return mul(sum(loss), 1 / raw(input).shape[0] if raw(input).ndim else 1.0)
    return _reduced("kl_div", loss, reduction)


@floats_only
def cosine_similarity(x1: Operand, x2: Operand, dim: int = 1, eps: float = 1e-8) -> Result:
    """The cosine of the angle between vectors along `dim`."""
    from .arithmetic import div
    from .elementwise import clamp
    from .reduction import norm
    from .shape import broadcast_to

    shape = fit_together("cosine_similarity", x1=x1, x2=x2)
    x1, x2 = broadcast_to(x1, shape), broadcast_to(x2, shape)
    lengths = mul(clamp(norm(x1, 2, dim), min=eps), clamp(norm(x2, 2, dim), min=eps))
    return div(sum(mul(x1, x2), dim), lengths)
