"""Losses of pairs in compiled rows: one pass forward, one backward."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .. import _core
from .._types import Array, Operand, Result
from ..autograd import TensorBase, needs_grad, raw, record
from ._tools import compiled

_REDUCTIONS = ("mean", "sum", "none", "batchmean")


def pair_loss(
    name: str,
    input: Operand,
    target: Operand,
    reduction: str,
    parameter: float = 0.0,
    *,
    by_target: Callable[[Array, Array], Array] | None = None,
) -> Result | None:
    """The loss called `name` of each pair, reduced; None where the compiled rows do not take it.

    ``by_target(x, t)`` is the derivative by the target; without it the loss depends on the
    difference alone.
    """
    x, t = raw(input), raw(target)
    if not (compiled(x, t) and x.shape == t.shape and reduction in _REDUCTIONS):
        return None
    scale = 1.0
    if reduction == "none":
        y = _core.pair_loss(name, x, t, parameter, False)
    else:
        if reduction == "mean":
            scale = 1 / x.size if x.size else float("nan")
        elif reduction == "batchmean" and x.ndim:
            scale = 1 / x.shape[0] if x.shape[0] else float("nan")
        y = np.asarray(scale * _core.pair_loss(name, x, t, parameter, True), x.dtype)
    if not (isinstance(input, TensorBase) or isinstance(target, TensorBase)):
        return y
    need_target = needs_grad(target)

    def backward(g: Array) -> tuple[Array, Array | None]:
        g = np.asarray(g * x.dtype.type(scale), x.dtype) if scale != 1 else g
        gx = _core.pair_loss_backward(name, g, x, t, parameter)
        if not need_target:
            return gx, None
        return gx, (-gx if by_target is None else np.asarray(g * by_target(x, t), x.dtype))

    title = "".join(word.capitalize() for word in name.split("_"))
    return record(title, y, (input, target), backward, saves=(input, target))
