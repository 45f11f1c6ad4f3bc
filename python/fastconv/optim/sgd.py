"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from .. import _core
from .._types import Array
from .optimizer import Optimizer, one_pass

__all__ = ["SGD"]


class SGD(Optimizer):
    """Steps against the gradient, with momentum.

    Parameters
    ----------
    params : iterable of tensors or of groups
    lr : float
        Length of the step.
    momentum : float
        How much of the last step is kept.
    dampening : float
        By how much the gradient is weakened when it joins the momentum.
    weight_decay : float
        Adds this much of each parameter to its gradient.
    nesterov : bool
        Look ahead along the momentum.
    maximize : bool
        Step along the gradient instead.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        **switches: Any,
    ) -> None:
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("SGD: nesterov needs a momentum and zero dampening")
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "dampening": dampening,
                "weight_decay": weight_decay,
                "nesterov": nesterov,
                "maximize": maximize,
            },
            switches,
        )

    def _update_all(
        self, params: list[tuple[Array, Array, dict[str, Any]]], group: dict[str, Any]
    ) -> None:
        momentum = group["momentum"]
        # Those whose buffer is new, and those that have one: one call each.
        calls: dict[bool, tuple[list[Array], list[Array], list[Array]]] = {}
        for p, g, state in params:
            if not one_pass(p, g):
                self._update(p, g, state, group)
                continue
            first = momentum != 0 and "momentum_buffer" not in state
            if first:
                state["momentum_buffer"] = np.empty(p.shape, p.dtype)
            arrays, gradients, buffers = calls.setdefault(first, ([], [], []))
            arrays.append(p)
            gradients.append(g)
            if momentum:
                buffers.append(state["momentum_buffer"])
        for first, (arrays, gradients, buffers) in calls.items():
            _core.sgd_step(
                arrays,
                gradients,
                buffers if momentum else None,
                group["lr"],
                momentum,
                group["dampening"],
                group["weight_decay"],
                group["nesterov"],
                group["maximize"],
                first,
            )

    def _update(self, p: Array, g: Array, state: dict[str, Any], group: dict[str, Any]) -> None:
        momentum = group["momentum"]
        if group["maximize"]:
            g = -g
        if group["weight_decay"]:
            g = g + group["weight_decay"] * p
        if momentum:
            buffer = state.get("momentum_buffer")
            if buffer is None:
                buffer = state["momentum_buffer"] = np.array(g)
            else:
                buffer *= momentum
                buffer += g if not group["dampening"] else g * (1 - group["dampening"])
            g = g + momentum * buffer if group["nesterov"] else buffer
        p -= group["lr"] * g
