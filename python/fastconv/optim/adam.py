"""Adam and AdamW."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from .. import _core
from .._types import Array
from .optimizer import Optimizer, one_pass

__all__ = ["Adam", "AdamW"]


class Adam(Optimizer):
    """Steps scaled by running means of the gradient and of its square (Kingma and Ba, 2015).

    Parameters
    ----------
    params : iterable of tensors or of groups
    lr : float
    betas : pair of float
        How slowly the two running means follow.
    eps : float
        Added to the root of the mean square.
    weight_decay : float
        Adds this much of each parameter to its gradient.
    amsgrad : bool
        Divide by the largest mean square so far.
    maximize : bool
        Step along the gradient instead.
    """

    decoupled = False  # whether weight decay shrinks the parameters themselves

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        **switches: Any,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "amsgrad": amsgrad,
                "maximize": maximize,
            },
            switches,
        )

    def _update_all(
        self, params: list[tuple[Array, Array, dict[str, Any]]], group: dict[str, Any]
    ) -> None:
        beta1, beta2 = group["betas"]
        kinds = ("exp_avg", "exp_avg_sq", *(("max_exp_avg_sq",) if group["amsgrad"] else ()))
        calls: dict[int, list[list[Array]]] = {}  # by the number of steps taken
        for p, g, state in params:
            if not state:
                state.update(step=0, **{kind: np.zeros_like(p) for kind in kinds})
            state["step"] += 1
            if one_pass(p, g):
                lists = calls.setdefault(state["step"], [[] for _ in range(2 + len(kinds))])
                for values, array in zip(lists, (p, g, *(state[k] for k in kinds)), strict=True):
                    values.append(array)
            else:
                self._update(p, g, state, group)
        for step, (arrays, gradients, means, squares, *largest) in calls.items():
            _core.adam_step(
                arrays,
                gradients,
                means,
                squares,
                largest[0] if largest else None,
                group["lr"],
                beta1,
                beta2,
                group["eps"],
                group["weight_decay"],
                1 / (1 - beta1**step),
                1 / math.sqrt(1 - beta2**step),
                self.decoupled,
                group["maximize"],
            )

    def _update(self, p: Array, g: Array, state: dict[str, Any], group: dict[str, Any]) -> None:
        beta1, beta2 = group["betas"]
        mean, square = state["exp_avg"], state["exp_avg_sq"]
        correction1 = 1 - beta1 ** state["step"]
        correction2 = math.sqrt(1 - beta2 ** state["step"])
        if group["maximize"]:
            g = -g
        if group["weight_decay"]:
            if self.decoupled:
                p *= 1 - group["lr"] * group["weight_decay"]
            else:
                g = g + group["weight_decay"] * p
        mean += (1 - beta1) * (g - mean)
        square *= beta2
        square += (1 - beta2) * (g * g)
        if group["amsgrad"]:
            square = np.maximum(state["max_exp_avg_sq"], square, out=state["max_exp_avg_sq"])
        p -= group["lr"] / correction1 * (mean / (np.sqrt(square) / correction2 + group["eps"]))


class AdamW(Adam):
    """:class:`Adam` with weight decay apart from the gradient (Loshchilov and Hutter, 2019)."""

    decoupled = True

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        **switches: Any,
    ) -> None:
        super().__init__(
            params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize, **switches
        )
