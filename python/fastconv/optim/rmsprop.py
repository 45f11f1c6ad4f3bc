"""RMSprop and Adagrad."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from .._types import Array
from .optimizer import Optimizer

__all__ = ["Adagrad", "RMSprop"]


class RMSprop(Optimizer):
    """Steps divided by the root of a running mean of squared gradients.

    Parameters
    ----------
    params : iterable of tensors or of groups
    lr : float
    alpha : float
        How slowly the mean square follows.
    eps : float
        Added to its root.
    weight_decay : float
        Adds this much of each parameter to its gradient.
    momentum : float
        How much of the last step is kept.
    centered : bool
        Divide by the root of the variance instead.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        *,
        maximize: bool = False,
        **switches: Any,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "alpha": alpha,
                "eps": eps,
                "weight_decay": weight_decay,
                "momentum": momentum,
                "centered": centered,
                "maximize": maximize,
            },
            switches,
        )

    def _update(self, p: Array, g: Array, state: dict[str, Any], group: dict[str, Any]) -> None:
        alpha = group["alpha"]
        if group["maximize"]:
            g = -g
        if group["weight_decay"]:
            g = g + group["weight_decay"] * p
        if not state:
            state.update(step=0, square_avg=np.zeros_like(p))
            if group["momentum"]:
                state["momentum_buffer"] = np.zeros_like(p)
            if group["centered"]:
                state["grad_avg"] = np.zeros_like(p)
        state["step"] += 1
        square = state["square_avg"]
        square *= alpha
        square += (1 - alpha) * (g * g)
        if group["centered"]:
            mean = state["grad_avg"]
            mean += (1 - alpha) * (g - mean)
            square = square - mean * mean
        step = g / (np.sqrt(square) + group["eps"])
        if group["momentum"]:
            buffer = state["momentum_buffer"]
            buffer *= group["momentum"]
            buffer += step
            step = buffer
        p -= group["lr"] * step


class Adagrad(Optimizer):
    """Steps divided by the root of the sum of all squared gradients so far."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
        **switches: Any,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "lr_decay": lr_decay,
                "weight_decay": weight_decay,
                "initial_accumulator_value": initial_accumulator_value,
                "eps": eps,
                "maximize": maximize,
            },
            switches,
        )

    def _update(self, p: Array, g: Array, state: dict[str, Any], group: dict[str, Any]) -> None:
        if group["maximize"]:
            g = -g
        if group["weight_decay"]:
            g = g + group["weight_decay"] * p
        if not state:
            state.update(step=0, sum=np.full_like(p, group["initial_accumulator_value"]))
        lr = group["lr"] / (1 + state["step"] * group["lr_decay"])
        state["step"] += 1
        state["sum"] += g * g
        p -= lr * (g / (np.sqrt(state["sum"]) + group["eps"]))
