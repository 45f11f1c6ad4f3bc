"""Losses and distances between pairs and triplets of vectors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .._types import Operand, Result
from ..autograd import raw
from ._reduction import chosen_reduction, reduced
from ._tools import fit_together
from .arithmetic import add, div, minimum, mul, rsub, sub, where
from .elementwise import clamp, neg, sqrt, square
from .narrow import floats_only, in_float32
from .rectifiers import relu
from .reduction import sum
from .shape import broadcast_to
from .vector_norm import norm

__all__ = [
    "cosine_embedding_loss",
    "cosine_similarity",
    "hinge_embedding_loss",
    "margin_ranking_loss",
    "pairwise_distance",
    "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
]


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
