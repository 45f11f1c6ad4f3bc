"""Losses."""

from __future__ import annotations

from typing import Any

import numpy as np

from .activations import softmax
from .rows import Fixed, Row, a, bad, call, classes, positive, signs, still, unit

#: Class numbers, of which one is to be ignored.
TARGET = Fixed(np.array([[0, 3, 1], [2, -100, 4], [1, 1, 0], [4, 2, 3]]))


def _reduced(loss: Any, reduction: str = "mean", **more: Any) -> Any:
    return {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction](loss)


def _loss(name: str, one: Any, *calls: Any, **more: Any) -> Row:
    """A loss whose `one(*args, **kwargs)` gives it before the reduction."""

    def truth(*args: Any, reduction: str = "mean", **kwargs: Any) -> Any:
        return _reduced(one(*args, **kwargs), reduction)

    first = calls[0]
    reduced = [call(*first.args, **first.kwargs, reduction=r) for r in ("sum", "none")]
    more["bad"] = [
        *more.get("bad", ()),
        bad(ValueError, "reduction must be", *first.args, **first.kwargs, reduction="max"),
        bad(TypeError, "must be an array or a Tensor", [1.0], *first.args[1:]),
    ]
    return Row(name, truth, [*calls, *reduced], **more)


def _nll(
    x: Any, t: Any, weight: Any = None, ignore_index: int = -100, reduction: str = "mean"
) -> Any:
    """One sample and position at a time."""
    x, t = (x, t) if x.ndim > 1 else (x[None], np.asarray(t)[None])
    losses, weights = np.zeros(t.shape), np.zeros(t.shape)
    for at in np.ndindex(t.shape):
        if t[at] != ignore_index:
            weights[at] = 1 if weight is None else weight[t[at]]
            losses[at] = -x[(at[0], t[at], *at[1:])] * weights[at]
    if reduction == "mean":
        return losses.sum() / weights.sum()
    return _reduced(losses, reduction)


def _cross_entropy(
    x: Any, t: Any, weight: Any = None, ignore_index: int = -100, reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:  # fmt: skip
    axis = min(x.ndim - 1, 1)
    logs, count = np.log(softmax(x, axis)), x.shape[axis]
    w = np.ones(count) if weight is None else weight
    shaped = w.reshape([-1 if i == axis else 1 for i in range(x.ndim)])
    even = -(logs * shaped).sum(axis)
    if t.dtype.kind == "f":
        t = t * (1 - label_smoothing) + label_smoothing / count
        return _reduced(-(logs * t * shaped).sum(axis), reduction)
    hard = _nll(logs, t, w, ignore_index, reduction)
    counts = t != ignore_index
    even = np.where(counts, even, 0)
    if reduction == "mean":
        even = even.sum() / w[t[counts]].sum()
    elif reduction == "sum":
        even = even.sum()
    return hard * (1 - label_smoothing) + even * label_smoothing / count


def _bent(d: Any, bend: float) -> Any:
    return np.where(abs(d) < bend, d * d / 2, bend * (abs(d) - bend / 2))


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def _bce(p: Any, t: Any, weight: Any = 1.0, pos_weight: Any = 1.0) -> Any:
    return -weight * (pos_weight * t * np.log(p) + (1 - t) * np.log(1 - p))


def _kl(x: Any, t: Any, reduction: str = "mean", log_target: bool = False) -> Any:
    loss = np.exp(t) * (t - x) if log_target else t * (np.log(t) - x)
    return loss.sum() / len(x) if reduction == "batchmean" else _reduced(loss, reduction)


def _cosine(x: Any, y: Any, dim: int = 1) -> Any:
    lengths = [np.sqrt((v * v).sum(dim)) for v in (x, y)]
    return (x * y).sum(dim) / (lengths[0] * lengths[1])


def _distance(x: Any, y: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Any:
    return (abs(x - y + eps) ** p).sum(-1, keepdims=keepdim) ** (1 / p)


def _triplet(
    x: Any, near: Any, far: Any, margin: float = 1.0, p: float = 2, eps: float = 1e-6,
    swap: bool = False, distance_function: Any = None,
) -> Any:  # fmt: skip
    d = distance_function or (lambda a, b: _distance(a, b, p, eps))
    other = np.minimum(d(x, far), d(near, far)) if swap else d(x, far)
    return np.maximum(d(x, near) - other + margin, 0)


def _multi_margin(x: Any, t: Any, p: int = 1, margin: float = 1.0, weight: Any = None) -> Any:
    losses = []
    for row, y in zip(x, t, strict=True):
        terms = [max(0, margin - row[y] + v) ** p for i, v in enumerate(row) if i != y]
        losses.append(sum(terms) / len(row) * (1 if weight is None else weight[y]))
    return np.array(losses)


def _multilabel(x: Any, t: Any) -> Any:
    losses = []
    for row, labels in zip(x, t.tolist(), strict=True):
        named = labels[: labels.index(-1)] if -1 in labels else labels
        others = [i for i in range(len(row)) if i not in named]
        terms = [max(0, 1 - row[y] + row[i]) for y in named for i in others]
        losses.append(sum(terms) / len(row))
    return np.array(losses)


def _poisson(x: Any, t: Any, log_input: bool = True, full: bool = False, eps: float = 1e-8) -> Any:
    loss = np.exp(x) - t * x if log_input else x - t * np.log(x + eps)
    if full:
        stirling = t * np.log(t) - t + np.log(2 * np.pi * t) / 2
        loss = loss + np.where(t > 1, stirling, 0)
    return loss


def _gaussian(x: Any, t: Any, var: Any, full: bool = False, eps: float = 1e-6) -> Any:
    var = np.maximum(var if var.ndim == x.ndim else var[..., None], eps)
    loss = (np.log(var) + (x - t) ** 2 / var) / 2
    return loss + (np.log(2 * np.pi) / 2 if full else 0)


X, Y = a(3, 4), a(3, 4)
APART = [bad(ValueError, "input (3, 4) and target (3, 5)", X, a(3, 5))]
SCORES = a(4, 5, 3)


def _manhattan(x: Any, y: Any) -> Any:
    return abs(x - y).sum(-1)


ROWS = [
    Row(
        "nll_loss", _nll,
        [
            call(SCORES, TARGET, reduction=r, weight=w)
            for r in ("mean", "sum", "none")
            for w in (None, still(positive(5)))
        ] + [call(a(4, 5), classes(5, 4), ignore_index=2), call(a(5), Fixed(np.int64(3)))],
        bad=[
            bad(IndexError, "out of bounds", a(2, 3), np.array([0, 9])),
            bad(TypeError, "integers", a(2, 3), np.array([0.0, 1.0])),
            bad(ValueError, "target must have shape (2,)", a(2, 3), np.array([0, 1, 2])),
            bad(ValueError, "weight must have shape (3,)", a(2, 3), np.array([0, 1]), a(4)),
            bad(ValueError, "reduction", a(2, 3), np.array([0, 1]), reduction="max"),
            bad(TypeError, "input must be", [1.0], np.array([0, 1])),
        ],
    ),
    Row(
        "cross_entropy", _cross_entropy,
        [
            call(SCORES, TARGET, reduction=r, weight=w, label_smoothing=s)
            for r in ("mean", "sum", "none")
            for w in (None, still(positive(5)))
            for s in (0.0, 0.3)
        ] + [
            call(a(4, 5), classes(5, 4)),
            call(a(5), Fixed(np.int64(3))),
            call(SCORES, unit(4, 5, 3), still(positive(5)), label_smoothing=0.2),
            call(a(5), unit(5), reduction="sum"),
        ],
        bad=[
            bad(IndexError, "out of bounds", a(2, 3), np.array([0, 9])),
            bad(ValueError, "target must have shape", a(2, 3), np.array([0, 1, 2])),
            bad(ValueError, "ignore_index needs", a(2, 3), unit(2, 3), ignore_index=1),
            bad(ValueError, "label_smoothing", a(2, 3), np.array([0, 1]), label_smoothing=2.0),
            bad(ValueError, "weight must have shape (3,)", a(2, 3), np.array([0, 1]), a(4)),
            bad(ValueError, "reduction", a(2, 3), np.array([0, 1]), reduction="max"),
            bad(TypeError, "input must be", [1.0], np.array([0, 1])),
        ],
    ),
    _loss("mse_loss", lambda x, y: (x - y) ** 2, call(X, Y), call(a(4), a(4)), bad=APART),
    _loss("l1_loss", lambda x, y: abs(x - y), call(X, Y), bad=APART),
    _loss("smooth_l1_loss", lambda x, y, beta=1.0: _bent(x - y, beta) / beta, call(X, Y),
          call(X, Y, beta=0.7),
          bad=[*APART, bad(ValueError, "beta must not be negative", X, Y, beta=-1)]),
    _loss("huber_loss", lambda x, y, delta=1.0: _bent(x - y, delta), call(X, Y),
          call(X, Y, delta=0.7),
          bad=[*APART, bad(ValueError, "delta must be positive", X, Y, delta=0)]),
    _loss("binary_cross_entropy", _bce, call(unit(3, 4), unit(3, 4)),
          call(unit(3, 4), unit(3, 4), still(positive(3, 4))),
          bad=[bad(ValueError, "between 0 and 1", np.full(3, -1.0), unit(3)),
               bad(ValueError, "one shape", unit(3), unit(4))]),
    _loss("binary_cross_entropy_with_logits",
          lambda x, t, weight=1.0, pos_weight=1.0: _bce(_sigmoid(x), t, weight, pos_weight),
          call(X, unit(3, 4)),
          call(X, unit(3, 4), still(positive(3, 4)), pos_weight=still(positive(4))),
          bad=[bad(ValueError, "one shape", X, unit(4))]),
    Row("kl_div", _kl,
        [call(X, unit(3, 4), reduction=r) for r in ("batchmean", "sum", "none")]
        + [call(X, Y, reduction="batchmean", log_target=True)],
        bad=[bad(ValueError, "reduction", X, unit(3, 4), reduction="max"),
             bad(TypeError, "input must be", [1.0], unit(1))]),
    Row("cosine_similarity", _cosine, [call(X, Y), call(X, Y, 0), call(a(2, 1, 4), a(3, 4), -1)],
        bad=[bad(TypeError, "x1 must be", [1.0], unit(1))]),
    Row("pairwise_distance", _distance, [call(X, Y), call(X, Y, 3.0, 1e-3, True)],
        bad=[bad(TypeError, "x1 must be", [1.0], unit(1))]),
    _loss("margin_ranking_loss", lambda x, y, t, margin=0: np.maximum(-t * (x - y) + margin, 0),
          call(X, Y, signs(3, 4)), call(X, Y, signs(3, 4), 0.5),
          bad=[bad(ValueError, "one number of axes", X, a(4), signs(3, 4))]),
    _loss("hinge_embedding_loss",
          lambda x, t, margin=1.0: np.where(t == 1, x, np.maximum(0, margin - x)),
          call(X, signs(3, 4)), call(X, signs(3, 4), 0.5)),
    _loss("cosine_embedding_loss",
          lambda x, y, t, margin=0: np.where(
              t == 1, 1 - _cosine(x, y), np.maximum(_cosine(x, y) - margin, 0)),
          call(X, Y, signs(3)), call(X, Y, signs(3), -0.5),
          bad=[bad(ValueError, "expected inputs (N, D)", X, Y, signs(3, 4))]),
    _loss("soft_margin_loss", lambda x, t: np.log(1 + np.exp(-t * x)), call(X, signs(3, 4)),
          bad=[bad(ValueError, "one shape", X, signs(4))]),
    _loss("multi_margin_loss", _multi_margin, call(X, classes(4, 3)),
          call(X, classes(4, 3), 2, 0.7, still(positive(4))),
          bad=[bad(ValueError, "p must be 1 or 2", X, classes(4, 3), 3),
               bad(IndexError, "out of bounds", X, np.array([0, 1, 7])),
               bad(ValueError, "target must have shape (3,)", X, np.array([0, 1]))]),
    _loss("multilabel_margin_loss", _multilabel,
          call(X, Fixed(np.array([[1, 3, -1, 2], [-1, 0, 0, 0], [2, 0, 1, -1]]))),
          bad=[bad(IndexError, "out of bounds", a(1, 2), np.array([[5, -1]]))]),
    _loss("multilabel_soft_margin_loss",
          lambda x, t, weight=1.0: _bce(_sigmoid(x), t, weight).mean(-1),
          call(X, still(unit(3, 4))), call(X, still(unit(3, 4)), still(positive(4)))),
    _loss("triplet_margin_loss", _triplet, call(X, Y, a(3, 4)),
          call(X, Y, a(3, 4), 0.5, 3.0, 1e-3, True),
          bad=[bad(ValueError, "margin must be greater", X, Y, a(3, 4), -1.0),
               bad(ValueError, "one number of axes", X, Y, a(4))]),
    _loss("triplet_margin_with_distance_loss", _triplet, call(X, Y, a(3, 4)),
          call(X, Y, a(3, 4), distance_function=_manhattan, swap=True, margin=0.5),
          bad=[bad(ValueError, "margin must be greater", X, Y, a(3, 4), margin=-1.0)]),
    _loss("poisson_nll_loss", _poisson, call(X, still(positive(3, 4))),
          call(positive(3, 4), still(positive(3, 4)), False, True)),
    _loss("gaussian_nll_loss", _gaussian, call(X, Y, positive(3, 4)),
          call(X, Y, positive(3, 1), True), call(X, Y, positive(1, 4)),
          call(X, Y, positive(3)),
          bad=[bad(ValueError, "var must have shape", X, Y, positive(2)),
               bad(ValueError, "negative entries", X, Y, np.full((3, 4), -1.0))]),
]  # fmt: skip
