"""Losses of predictions beside targets of their shape: regression and probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._types import Array, Operand, Result
from ..autograd import TensorBase, needs_grad, raw, record
from ._pairs import pair_loss
from ._reduction import chosen_reduction, reduced, same_shape
from ._tools import fit_together
from .arithmetic import add, mul, rsub, sub
from .elementwise import abs as absolute
from .elementwise import exp, square
from .narrow import floats_only, in_float32
from .reduction import sum
from .sigmoids import logsigmoid

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "mse_loss",
    "smooth_l1_loss",
]


# ---- regression ----------------------------------------------------------------------------------


@floats_only
def mse_loss(
    input: Operand,
    target: Operand,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Result:
    """The squared difference of each pair, ``(input - target)**2``, reduced.

    Parameters
    ----------
    input, target : arrays of one shape
        They broadcast, as in PyTorch.
    reduction : {"mean", "sum", "none"}
        Of the losses of all elements.

    Returns
    -------
    array or Tensor
        A number, or for ``"none"`` the squares.

    Raises
    ------
    ValueError
        If the shapes do not fit together, or for another reduction.

    Notes
    -----
    Its minimum over constants is the mean of the targets.
    """
    reduction = chosen_reduction(reduction, size_average, reduce)
    fused = pair_loss("mse_loss", input, target, reduction)
    if fused is not None:
        return fused
    fit_together("mse_loss", input=input, target=target)
    return reduced("mse_loss", square(sub(input, target)), reduction)


@in_float32
def l1_loss(
    input: Operand,
    target: Operand,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Result:
    """The absolute difference of each pair, ``|input - target|``, reduced.

    Parameters
    ----------
    input, target : arrays of one shape
        They broadcast, as in PyTorch.
    reduction : {"mean", "sum", "none"}
        Of the losses of all elements.

    Returns
    -------
    array or Tensor
        A number, or for ``"none"`` the absolute differences.

    Raises
    ------
    ValueError
        If the shapes do not fit together, or for another reduction.

    Notes
    -----
    Its minimum over constants is the median of the targets; the gradient at 0 is 0.
    """
    reduction = chosen_reduction(reduction, size_average, reduce)
    fused = pair_loss("l1_loss", input, target, reduction)
    if fused is not None:
        return fused
    fit_together("l1_loss", input=input, target=target)
    return reduced("l1_loss", absolute(sub(input, target)), reduction)


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
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Result:
    """``d**2 / (2 beta)`` where the difference d is below `beta`, else ``|d| - beta / 2``.

    Parameters
    ----------
    input, target : arrays of one shape
        They broadcast, as in PyTorch.
    reduction : {"mean", "sum", "none"}
        Of the losses of all elements.
    beta : float
        Where the parabola goes over into a line; 0 gives :func:`l1_loss`.

    Returns
    -------
    array or Tensor
        A number, or for ``"none"`` the losses.

    Raises
    ------
    ValueError
        If `beta` is negative or the shapes do not fit together.

    Notes
    -----
    Girshick, "Fast R-CNN", 2015.
    """
    reduction = chosen_reduction(reduction, size_average, reduce)
    if beta < 0:
        raise ValueError(f"smooth_l1_loss: beta must not be negative, got {beta}")
    if beta == 0:
        return l1_loss(input, target, reduction=reduction)
    fused = pair_loss("smooth_l1_loss", input, target, reduction, beta)
    if fused is not None:
        return fused
    fit_together("smooth_l1_loss", input=input, target=target)
    loss = _bent("SmoothL1", sub(input, target), beta, 1 / beta)
    return reduced("smooth_l1_loss", loss, reduction)


@floats_only
def huber_loss(
    input: Operand,
    target: Operand,
    reduction: str = "mean",
    delta: float = 1.0,
    weight: Operand | None = None,
) -> Result:
    """``d**2 / 2`` where the difference d is below `delta`, else ``delta * (|d| - delta / 2)``.

    Parameters
    ----------
    input, target : arrays of one shape
        They broadcast, as in PyTorch.
    reduction : {"mean", "sum", "none"}
        Of the losses of all elements.
    delta : float, positive
        Where the parabola goes over into a line.
    weight : array, optional
        A factor for each loss.

    Returns
    -------
    array or Tensor
        A number, or for ``"none"`` the losses.

    Raises
    ------
    ValueError
        If `delta` is not positive or the shapes do not fit together.

    Notes
    -----
    Huber, "Robust estimation of a location parameter", 1964.
    """
    if delta <= 0:
        raise ValueError(f"huber_loss: delta must be positive, got {delta}")
    if weight is None:
        fused = pair_loss("huber_loss", input, target, reduction, delta)
        if fused is not None:
            return fused
    fit_together("huber_loss", input=input, target=target)
    loss = _bent("Huber", sub(input, target), delta, 1.0)
    return reduced("huber_loss", loss if weight is None else mul(loss, weight), reduction)


# ---- probabilities -------------------------------------------------------------------------------


@floats_only
def binary_cross_entropy(
    input: Operand,
    target: Operand,
    weight: Operand | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Result:
    """``-(t log p + (1 - t) log(1 - p))`` of probabilities; no logarithm is let below -100.

    Parameters
    ----------
    input, target : arrays of one shape
        Probabilities from 0 to 1.
    weight : array, optional
        A factor for each loss.
    reduction : {"mean", "sum", "none"}
        Of the losses of all elements.

    Returns
    -------
    array or Tensor
        A number, or for ``"none"`` the losses.

    Raises
    ------
    ValueError
        If a probability lies outside 0 to 1, or the shapes differ.

    See Also
    --------
    binary_cross_entropy_with_logits : of scores, and without overflow.
    """
    reduction = chosen_reduction(reduction, size_average, reduce)
    same_shape("binary_cross_entropy", input, target)
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
    return reduced("binary_cross_entropy", loss if weight is None else mul(loss, weight), reduction)


@floats_only
def binary_cross_entropy_with_logits(
    input: Operand,
    target: Operand,
    weight: Operand | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Operand | None = None,
) -> Result:
    """:func:`binary_cross_entropy` of ``sigmoid(input)``, without overflow.

    Parameters
    ----------
    input, target : arrays of one shape
        Scores, and probabilities from 0 to 1.
    weight : array, optional
        A factor for each loss.
    reduction : {"mean", "sum", "none"}
        Of the losses of all elements.
    pos_weight : array, optional
        A factor for the losses of positive targets, one per class along the last axis.

    Returns
    -------
    array or Tensor
        A number, or for ``"none"`` the losses.

    Raises
    ------
    ValueError
        If the shapes differ, or for another reduction.
    """
    reduction = chosen_reduction(reduction, size_average, reduce)
    name = "binary_cross_entropy_with_logits"
    same_shape(name, input, target)
    if weight is None and pos_weight is None:
        fused = pair_loss(name, input, target, reduction, by_target=lambda x, _: -x)
        if fused is not None:
            return fused
    log_p = logsigmoid(input)
    # log(1 - p) = log p - x, so that both terms share one logarithm.
    if pos_weight is not None:
        log_p = mul(add(mul(sub(pos_weight, 1), target), 1), log_p)
    loss = sub(mul(rsub(target, 1), input), log_p)
    return reduced(name, loss if weight is None else mul(loss, weight), reduction)


def _self_information(target: Operand) -> Result:
    """``t log t``, 0 at 0."""
    t = raw(target)
    logs = np.log(np.where(t == 0, 1, t)).astype(t.dtype)
    if not isinstance(target, TensorBase):
        return t * logs
    return record("TLogT", t * logs, (target,), lambda g: (g * (logs + 1),), saves=(target,))


def _kl_by_target(x: Array, t: Array) -> Any:
    return np.log(np.where(t == 0, 1, t)) + 1 - x


def _kl_by_log_target(x: Array, t: Array) -> Any:
    return np.exp(t) * (t - x + 1)


@in_float32
def kl_div(
    input: Operand,
    target: Operand,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Result:
    """``t (log t - input)``, the Kullback-Leibler divergence; `input` holds log-probabilities.

    Parameters
    ----------
    input, target : arrays of one shape
        Log-probabilities, and probabilities.
    reduction : {"mean", "batchmean", "sum", "none"}
        ``"batchmean"``, the sum divided by the extent of the first axis, is the mathematical one.
    log_target : bool
        `target` holds log-probabilities too.

    Returns
    -------
    array or Tensor
        A number, or for ``"none"`` the terms.

    Raises
    ------
    ValueError
        For another reduction.
    """
    reduction = chosen_reduction(reduction, size_average, reduce)
    name, by_target = "kl_div", _kl_by_target
    if log_target:
        name, by_target = "kl_div_log", _kl_by_log_target
    known = pair_loss(name, input, target, reduction, by_target=by_target)
    if known is not None:
        return known
    if log_target:
        loss = mul(exp(target), sub(target, input))
    else:
        loss = sub(_self_information(target), mul(target, input))
    if reduction == "batchmean":
        return mul(sum(loss), 1 / raw(input).shape[0] if raw(input).ndim else 1.0)
    return reduced("kl_div", loss, reduction)
