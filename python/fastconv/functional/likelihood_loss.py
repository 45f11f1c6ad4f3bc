"""Losses that are likelihoods: of counts and of Gaussians."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .._types import Array, Operand, Result
from ..autograd import raw
from ._reduction import chosen_reduction, reduced
from ._tools import fit_together
from .arithmetic import add, div, mul, pow, sub
from .elementwise import exp, log, masked_fill
from .narrow import floats_only, in_float32
from .shape import unsqueeze

__all__ = [
    "gaussian_nll_loss",
    "poisson_nll_loss",
]


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
