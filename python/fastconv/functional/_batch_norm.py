"""Batch norm of a training step by the compiled kernels, with the activation behind it."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _core
from .._types import Array, Operand
from ..autograd import TensorBase, needs_grad, raw, record
from ..tape import Saved, offer_clamp, saved_of
from ._tools import compiled

__all__ = ["training_step"]


def training_step(
    input: Operand,
    running_mean: Operand | None,
    running_var: Operand | None,
    weight: Operand | None,
    bias: Operand | None,
    momentum: float,
    eps: float,
    activation: str | None,
) -> Any:
    """The result of a training step of batch norm; None where the compiled kernels do not apply,
    or where there is something to complain about."""
    x = raw(input)
    if (
        type(x) is not np.ndarray
        or x.ndim < 3
        or not x.flags.c_contiguous
        or x.size < 2 * x.shape[1]
        or not x.size
    ):
        return None
    vectors = [raw(v) for v in (weight, bias, running_mean, running_var)]
    given = [v for v in vectors if v is not None]
    if not compiled(x, *given) or any(v.shape != x.shape[1:2] for v in given):
        return None
    w, b, mean_kept, var_kept = vectors
    if (mean_kept is None) != (var_kept is None):
        return None
    if mean_kept is not None and not (mean_kept.flags.carray and var_kept.flags.carray):
        return None
    y, mean, var = _core.batch_norm(x, w, b, mean_kept, var_kept, momentum, eps, activation)
    for running in (running_mean, running_var):
        if isinstance(running, TensorBase):
            running._touch()
    operands = (input, weight, bias)
    if not any(isinstance(v, TensorBase) for v in operands):
        return y
    need = needs_grad(input)

    def backward(g: Array) -> tuple[Array | None, ...]:
        return _core.batch_norm_backward(g, x, w, b, mean, var, eps, activation, need)

    if activation is not None:
        return record("BatchNorm", y, operands, backward, saves=(input, weight, bias))

    def take(clamp: str) -> Saved:
        nonlocal activation
        activation = clamp
        return of_bias

    of_bias = saved_of(bias)
    result = record("BatchNorm", y, operands, backward, saves=(input, weight))
    offer_clamp(result, take)
    return result
