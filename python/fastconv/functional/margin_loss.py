"""Losses with a margin between classes."""

from __future__ import annotations

import numpy as np

from .._types import Operand, Result
from ..autograd import raw
from ._reduction import chosen_reduction, reduced, same_shape
from .arithmetic import add, div, mul, rsub, sub
from .elementwise import exp, log1p, neg, square
from .indexing import gather, getitem
from .narrow import floats_only
from .rectifiers import relu
from .reduction import sum
from .shape import reshape, unsqueeze
from .sigmoids import logsigmoid

__all__ = [
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "soft_margin_loss",
]


@floats_only
def soft_margin_loss(
    input: Operand,
    target: Operand,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Result:
    """``log(1 + exp(-target * input))`` for targets 1 and -1.

    Parameters
    ----------
    input, target : arrays of one shape
    reduction : {"mean", "sum", "none"}
        Of the losses of all elements.

    Returns
    -------
    array or Tensor
        A number, or for ``"none"`` the losses.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    reduction = chosen_reduction(reduction, size_average, reduce)
    same_shape("soft_margin_loss", input, target)
    loss = log1p(exp(mul(input, -np.asarray(raw(target)))))
    return reduced("soft_margin_loss", loss, reduction)


def _rows(name: str, input: Operand) -> Result:
    """Scores as (N, C); one sample alone counts as a batch of one."""
    x = raw(input)
    if x.ndim > 2 or 0 in x.shape[-1:]:
        raise ValueError(f"{name}: input must be (N, C) or (C,), got shape {x.shape}")
    return reshape(input, (1, x.size)) if x.ndim < 2 else input


@floats_only
def multi_margin_loss(
    input: Operand,
    target: Operand,
    p: int = 1,
    margin: float = 1.0,
    weight: Operand | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Result:
    """The mean over classes i other than the target y of ``max(0, margin - x[y] + x[i]) ** p``.

    Parameters
    ----------
    input : (N, C) or (C,)
    target : (N,) or ()
        Class numbers.
    p : {1, 2}
    margin : float
    weight : (C,), optional
        A weight for each target class.
    """
    reduction = chosen_reduction(reduction, size_average, reduce)
    name = "multi_margin_loss"
    if p not in (1, 2):
        raise ValueError(f"{name}: p must be 1 or 2, got {p}")
    x, t = _rows(name, input), np.asarray(raw(target))
    count, classes = raw(x).shape
    if t.dtype.kind not in "iu":
        raise TypeError(f"{name}: target must be integers, got {t.dtype}")
    # One sample alone may come with its target in a row of one, as in PyTorch.
    if t.shape != (count,) and not (raw(input).ndim < 2 and t.size == 1):
        raise ValueError(f"{name}: target must have shape ({count},), got {t.shape}")
    rows, t = np.arange(count), t.reshape(count)
    if t.size and not 0 <= t.min() <= t.max() < classes:
        raise IndexError(f"{name}: target is out of bounds for {classes} classes")
    kind = raw(x).dtype
    share = (np.arange(classes) != t[:, None]).astype(kind) / kind.type(classes)
    if weight is not None:
        w = np.asarray(raw(weight))
        if w.shape != (classes,):
            raise ValueError(f"{name}: weight must have shape ({classes},), got {w.shape}")
        share = share * w.astype(kind)[t][:, None]
    short = relu(add(sub(x, unsqueeze(getitem(x, (rows, t)), 1)), margin))
    loss = sum(mul(short if p == 1 else square(short), share), 1)
    alone = np.ndim(raw(target)) == 0
    return reduced(name, getitem(loss, 0) if alone else loss, reduction)


@floats_only
def multilabel_margin_loss(
    input: Operand,
    target: Operand,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Result:
    """For each target y and each class i that is none: ``max(0, 1 - x[y] + x[i]) / C``, summed.

    Parameters
    ----------
    input : (N, C) or (C,)
    target : of that shape
        Class numbers in front, -1 after the last.
    """
    reduction = chosen_reduction(reduction, size_average, reduce)
    name = "multilabel_margin_loss"
    same_shape(name, input, target)
    x = _rows(name, input)
    t = np.asarray(raw(target)).reshape(raw(x).shape)
    if t.dtype.kind not in "iu":
        raise TypeError(f"{name}: target must be integers, got {t.dtype}")
    classes = t.shape[1]
    listed = np.cumprod(t != -1, 1).astype(bool)  # those before the first -1
    safe = np.where(listed, t, 0)
    if safe.size and not 0 <= safe.min() <= safe.max() < classes:
        raise IndexError(f"{name}: target is out of bounds for {classes} classes")
    is_target = np.zeros(t.shape, bool)
    np.logical_or.at(is_target, (np.arange(len(t))[:, None], safe), listed)
    pairs = (listed[:, :, None] & ~is_target[:, None, :]).astype(raw(x).dtype)
    short = relu(add(sub(unsqueeze(x, 1), unsqueeze(gather(x, 1, safe), 2)), 1.0))  # (N, y, i)
    loss = div(sum(mul(short, pairs), (1, 2)), float(classes))
    return reduced(name, getitem(loss, 0) if raw(input).ndim < 2 else loss, reduction)


@floats_only
def multilabel_soft_margin_loss(
    input: Operand,
    target: Operand,
    weight: Operand | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Result:
    """Binary cross entropy with logits, averaged over the classes.

    Parameters
    ----------
    input, target : (N, C)
        Scores, and 0 or 1.
    weight : (C,), optional
        A factor for each class.
    reduction : {"mean", "sum", "none"}
        Of the losses of all elements.

    Returns
    -------
    array or Tensor
        A number, or for ``"none"`` (N,).

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    reduction = chosen_reduction(reduction, size_average, reduce)
    name = "multilabel_soft_margin_loss"
    same_shape(name, input, target)
    likely = mul(target, logsigmoid(input))
    loss = neg(add(likely, mul(rsub(target, 1.0), logsigmoid(neg(input)))))
    if weight is not None:
        loss = mul(loss, weight)
    return reduced(name, div(sum(loss, -1), float(raw(input).shape[-1])), reduction)
