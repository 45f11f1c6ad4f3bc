"""Losses of scores against class numbers, or against the classes' probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _core
from .._types import Array, Operand, Result
from ..autograd import TensorBase, raw, record
from ._reduction import chosen_reduction, reduced, same_shape
from ._tools import compiled
from .arithmetic import add, mul
from .convert import is_channels_last
from .elementwise import masked_fill, neg
from .narrow import floats_only
from .reduction import sum
from .softmax import log_softmax

__all__ = ["cross_entropy", "nll_loss", "nll_loss_backward"]


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
    if w.dtype != x.dtype:
        raise TypeError(f"{name}: weight must be {x.dtype} like input, got {w.dtype}")
    return w


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
    smoothing: float = 0.0,
) -> Array:
    """``-scale * g * w[t]`` at the targets that count, 0 elsewhere; channels last in memory?"""
    if compiled(g):
        return _core.likelihood_backward(g, shape, t, w, ignore_index, scale, last, smoothing)
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
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
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
    reduction = chosen_reduction(reduction, size_average, reduce)
    return _nll("nll_loss", input, target, weight, ignore_index, reduction)


def _nll(
    name: str,
    input: Operand,
    target: Operand,
    weight: Operand | None,
    ignore_index: int,
    reduction: str,
    smoothing: float = 0.0,
    log_p: Array | None = None,
) -> Result:
    """The likelihood's loss. Of compiled types only: `smoothing`, and `log_p`, which the loss is of
    where `input` is what its log-softmax was taken of."""
    x = raw(input) if log_p is None else log_p
    t = _checked_targets(name, x, target)
    w = _class_weight(name, weight, x)
    if compiled(x):
        try:
            losses, total, shares = _core.likelihood(x, t, w, ignore_index, smoothing)
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
        y = np.asarray(reduced(name, losses, reduction))
    if not (isinstance(input, TensorBase) or isinstance(target, TensorBase)):
        return y
    known, shape, last = np.array(t), x.shape, is_channels_last(x)

    def backward(g: Array) -> tuple[Array]:
        if log_p is not None:
            return (
                _core.cross_entropy_backward(g, log_p, known, w, ignore_index, scale, smoothing),
            )
        return (_likelihood_backward(g, shape, known, w, ignore_index, scale, last, smoothing),)

    return record("NllLoss" if log_p is None else "CrossEntropy", y, (input,), backward)


@floats_only
def cross_entropy(
    input: Operand,
    target: Operand,
    weight: Operand | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
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
    reduction = chosen_reduction(reduction, size_average, reduce)
    if not 0 <= label_smoothing <= 1:
        raise ValueError(
            f"cross_entropy: label_smoothing must be between 0 and 1, got {label_smoothing}"
        )
    x = raw(input)
    if x.ndim == 0:
        raise ValueError("cross_entropy: input must be (C,), (N, C) or (N, C, d1, ...), got ()")
    axis = 0 if x.ndim == 1 else 1
    t = np.asarray(raw(target))
    if compiled(x) and t.dtype.kind != "f":
        scores = raw(log_softmax(x, axis))
        return _nll(
            "cross_entropy",
            input,
            target,
            weight,
            ignore_index,
            reduction,
            label_smoothing,
            scores,
        )
    log_p = log_softmax(input, axis)
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
    same_shape("cross_entropy", log_p, target)
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
    return reduced("cross_entropy", losses, reduction)
