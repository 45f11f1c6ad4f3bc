"""Losses with a margin, between pairs and triplets, and those of counts and of Gaussians."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .._types import Array, Operand, Result
from ..autograd import raw
from ._reduction import chosen_reduction, reduced, same_shape
from ._tools import fit_together
from .arithmetic import add, div, minimum, mul, pow, rsub, sub, where
from .elementwise import clamp, exp, log, log1p, masked_fill, neg, sqrt, square
from .indexing import gather, getitem
from .narrow import floats_only, in_float32
from .rectifiers import relu
from .reduction import sum
from .shape import broadcast_to, reshape, unsqueeze
from .sigmoids import logsigmoid
from .vector_norm import norm

__all__ = [
    "cosine_embedding_loss",
    "cosine_similarity",
    "gaussian_nll_loss",
    "hinge_embedding_loss",
    "margin_ranking_loss",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "pairwise_distance",
    "poisson_nll_loss",
    "soft_margin_loss",
    "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
]


# ---- pairs and triplets --------------------------------------------------------------------------


@in_float32
def pairwise_distance(
    x1: Operand, x2: Operand, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Result:
    """The `p`-norm of ``x1 - x2 + eps`` along the last axis.

    Parameters
    ----------
    x1, x2 : (..., D), broadcast
    p : float
    eps : float
        Keeps the gradient at equal vectors finite.
    keepdim : bool
        Keep the last axis, with extent 1.

    Returns
    -------
    array or Tensor
        (...).

    Raises
    ------
    ValueError
        If the shapes do not fit together.
    """
    fit_together("pairwise_distance", x1=x1, x2=x2)
    return norm(add(sub(x1, x2), eps), p, -1, keepdim)


@floats_only
def cosine_similarity(x1: Operand, x2: Operand, dim: int = 1, eps: float = 1e-8) -> Result:
    """The cosine of the angle between vectors along `dim`.

    Parameters
    ----------
    x1, x2 : arrays, broadcast
    dim : int
    eps : float
        No length is taken below it.

    Returns
    -------
    array or Tensor
        Without the axis `dim`.

    Raises
    ------
    ValueError
        If the shapes do not fit together.
    """
    shape = fit_together("cosine_similarity", x1=x1, x2=x2)
    x1, x2 = broadcast_to(x1, shape), broadcast_to(x2, shape)
    lengths = mul(clamp(norm(x1, 2, dim), min=eps), clamp(norm(x2, 2, dim), min=eps))
    return div(sum(mul(x1, x2), dim), lengths)


@in_float32
def margin_ranking_loss(
    input1: Operand,
    input2: Operand,
    target: Operand,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Result:
    """``max(0, margin - target * (input1 - input2))``: target 1 wants `input1` larger, -1 smaller.

    Parameters
    ----------
    input1, input2, target : arrays with one number of axes, broadcast
    margin : float
    reduction : {"mean", "sum", "none"}
    """
    reduction = chosen_reduction(reduction, size_average, reduce)
    ranks = [raw(v).ndim for v in (input1, input2, target)]
    if len(set(ranks)) != 1:
        raise ValueError(
            "margin_ranking_loss: input1, input2 and target must have one number of axes, "
            f"got {ranks[0]}, {ranks[1]} and {ranks[2]}"
        )
    fit_together("margin_ranking_loss", input1=input1, input2=input2, target=target)
    short = add(mul(neg(target), sub(input1, input2)), margin)
    return reduced("margin_ranking_loss", relu(short), reduction)


@in_float32
def hinge_embedding_loss(
    input: Operand,
    target: Operand,
    margin: float = 1.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Result:
    """`input` where the target is 1, ``max(0, margin - input)`` where it is -1.

    Parameters
    ----------
    input : array of any shape
        Distances, say.
    target : 1 and -1, broadcast
    margin : float
    reduction : {"mean", "sum", "none"}
        Of the losses of all elements.

    Returns
    -------
    array or Tensor
        A number, or for ``"none"`` the losses.

    Raises
    ------
    ValueError
        If the shapes do not fit together.
    """
    reduction = chosen_reduction(reduction, size_average, reduce)
    fit_together("hinge_embedding_loss", input=input, target=target)
    t = raw(target)
    near = where(t != -1, input, 0.0)
    far = where(t != 1, relu(rsub(input, margin)), 0.0)
    return reduced("hinge_embedding_loss", add(near, far), reduction)


@in_float32
def cosine_embedding_loss(
    input1: Operand,
    input2: Operand,
    target: Operand,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Result:
    """``1 - cosine`` where the target is 1, ``max(0, cosine - margin)`` where it is -1.

    Parameters
    ----------
    input1, input2 : (N, D), or (D,)
    target : (N,) of 1 and -1, or ()
    """
    reduction = chosen_reduction(reduction, size_average, reduce)
    a, b, t = raw(input1), raw(input2), raw(target)
    if t.ndim > 1 or a.ndim != t.ndim + 1 or b.ndim != t.ndim + 1:
        raise ValueError(
            "cosine_embedding_loss: expected inputs (N, D) with target (N,), or (D,) with (), got "
            f"{a.shape}, {b.shape} and {t.shape}"
        )
    lengths = mul(add(sum(square(input1), -1), 1e-12), add(sum(square(input2), -1), 1e-12))
    cosine = div(sum(mul(input1, input2), -1), sqrt(lengths))
    same = where(t == 1, rsub(cosine, 1.0), 0.0)
    other = where(t == -1, relu(sub(cosine, margin)), 0.0)
    return reduced("cosine_embedding_loss", add(same, other), reduction)


@in_float32
def triplet_margin_loss(
    anchor: Operand,
    positive: Operand,
    negative: Operand,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Result:
    """``max(0, d(anchor, positive) - d(anchor, negative) + margin)`` with `p`-norms as distances.

    Parameters
    ----------
    anchor, positive, negative : (..., D) with one number of axes
    margin : float, positive
    p, eps : as :func:`pairwise_distance` takes them
    swap : bool
        Take the negative's distance to the positive where that is smaller.
    """
    reduction = chosen_reduction(reduction, size_average, reduce)
    ranks = [raw(v).ndim for v in (anchor, positive, negative)]
    if len(set(ranks)) != 1:
        raise ValueError(
            "triplet_margin_loss: anchor, positive and negative must have one number of axes, "
            f"got {ranks[0]}, {ranks[1]} and {ranks[2]}"
        )

    def distance(a: Operand, b: Operand) -> Result:
        return pairwise_distance(a, b, p, eps)

    return _triplet(
        "triplet_margin_loss", distance, anchor, positive, negative, margin, swap, reduction
    )


@in_float32
def triplet_margin_with_distance_loss(
    anchor: Operand,
    positive: Operand,
    negative: Operand,
    *,
    distance_function: Callable[[Any, Any], Any] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Result:
    """:func:`triplet_margin_loss` with any distance between two operands."""
    name = "triplet_margin_with_distance_loss"
    shapes = [raw(v).ndim for v in (anchor, positive, negative)]
    if len(set(shapes)) != 1:
        raise ValueError(
            f"{name}: anchor, positive and negative must have one number of axes, "
            f"got {shapes[0]}, {shapes[1]} and {shapes[2]}"
        )
    distance = pairwise_distance if distance_function is None else distance_function
    return _triplet(name, distance, anchor, positive, negative, margin, swap, reduction)


def _triplet(
    name: str,
    distance: Callable[[Any, Any], Any],
    anchor: Operand,
    positive: Operand,
    negative: Operand,
    margin: float,
    swap: bool,
    reduction: str,
) -> Result:
    if margin <= 0:
        raise ValueError(f"{name}: margin must be greater than 0, got {margin}")
    fit_together(name, anchor=anchor, positive=positive, negative=negative)
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = minimum(far, distance(positive, negative))
    return reduced(name, relu(add(sub(near, far), margin)), reduction)


# ---- classes -------------------------------------------------------------------------------------


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


# ---- likelihoods ---------------------------------------------------------------------------------


@in_float32
def poisson_nll_loss(
    input: Operand,
    target: Operand,
    log_input: bool = True,
    full: bool = False,
    size_average: bool | None = None,
    eps: float = 1e-8,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Result:
    """``rate - target * log(rate)`` of a Poisson distribution; `input` is the rate's logarithm.

    Parameters
    ----------
    input, target : arrays, broadcast
    log_input : bool
        Without it `input` is the rate itself, and `eps` is added inside the logarithm.
    full : bool
        Add Stirling's approximation of ``log(target!)`` where the target is above 1.
    """
    reduction = chosen_reduction(reduction, size_average, reduce)
    fit_together("poisson_nll_loss", input=input, target=target)
    if log_input:
        loss = sub(exp(input), mul(target, input))
    else:
        loss = sub(input, mul(target, log(add(input, eps))))
    if full:
        large = add(sub(mul(target, log(target)), target), mul(log(mul(target, math.tau)), 0.5))
        loss = add(loss, masked_fill(large, raw(target) <= 1, 0.0))
    return reduced("poisson_nll_loss", loss, reduction)


def _variance(shape: tuple[int, ...], var: Any, like: Array, eps: float) -> Result:
    """The variance to divide by: not below `eps`, though its gradient is as if it were free."""
    if isinstance(var, (int, float)):
        var = np.full(shape, var, like.dtype)
    v = raw(var)
    if v.shape != shape:
        one = [n for n, m in zip(v.shape, shape, strict=False) if n != m]
        if v.shape == shape[:-1]:
            var = unsqueeze(var, -1)
        elif v.ndim != len(shape) or one != [1]:
            raise ValueError(
                f"gaussian_nll_loss: var must have shape {shape}, {shape[:-1]}, or {shape} with "
                f"one extent 1, got {v.shape}"
            )
    if (v < 0).any():
        raise ValueError("gaussian_nll_loss: var has negative entries")
    return add(var, np.maximum(eps - raw(var), 0).astype(v.dtype))


@floats_only
def gaussian_nll_loss(
    input: Operand,
    target: Operand,
    var: Any,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Result:
    """``(log(var) + (input - target)**2 / var) / 2``.

    Parameters
    ----------
    input, target : arrays, broadcast
    var : float, or array of the input's shape, with the last axis left out or one of extent 1
        Taken as `eps` where it is below.
    full : bool
        Add the constant ``log(2 pi) / 2``.
    """
    if eps <= 0:
        raise ValueError(f"gaussian_nll_loss: eps must be positive, got {eps}")
    fit_together("gaussian_nll_loss", input=input, target=target)
    spread = _variance(raw(input).shape, var, raw(input), eps)
    loss = mul(add(log(spread), div(pow(sub(input, target), 2), spread)), 0.5)
    if full:
        loss = add(loss, 0.5 * math.log(math.tau))
    return reduced("gaussian_nll_loss", loss, reduction)
