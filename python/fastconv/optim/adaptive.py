"""Adadelta, Adamax, NAdam and RAdam."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from .._types import Array
from .optimizer import Optimizer

__all__ = ["Adadelta", "Adamax", "NAdam", "RAdam"]


def _slope(p: Array, g: Array, group: dict[str, Any]) -> Array:
    """The gradient with its sign and the weight decay that the group asks for."""
    if group["maximize"]:
        g = -g
    if group["weight_decay"]:
        if group.get("decoupled_weight_decay"):
            p *= 1 - group["lr"] * group["weight_decay"]
        else:
            g = g + group["weight_decay"] * p
    return g


def _follow(mean: Array, value: Array, keep: float) -> None:
    """Let a running mean follow `value`."""
    mean *= keep
    mean += (1 - keep) * value


class Adadelta(Optimizer):
    """Steps as long as earlier steps were, for gradients as large as earlier ones (Zeiler, 2012).

    Parameters
    ----------
    params : iterable of tensors or of groups
    lr : float
    rho : float
        How slowly the two running means follow.
    eps : float
        Added under both roots.
    weight_decay : float
        Adds this much of each parameter to its gradient.
    maximize : bool
        Step along the gradient instead.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        *,
        maximize: bool = False,
        **switches: Any,
    ) -> None:
        if not 0 <= rho <= 1:
            raise ValueError(f"Adadelta: rho must lie in [0, 1], got {rho}")
        defaults = {"lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, {**defaults, "maximize": maximize}, switches)

    def _update(self, p: Array, g: Array, state: dict[str, Any], group: dict[str, Any]) -> None:
        g, rho, eps = _slope(p, g, group), group["rho"], group["eps"]
        if not state:
            state.update(step=0, square_avg=np.zeros_like(p), acc_delta=np.zeros_like(p))
        state["step"] += 1
        _follow(state["square_avg"], g * g, rho)
        step = np.sqrt(state["acc_delta"] + eps) / np.sqrt(state["square_avg"] + eps) * g
        _follow(state["acc_delta"], step * step, rho)
        p -= group["lr"] * step


_OWN = ("decoupled_weight_decay", "momentum_decay")  # settings that some have


class _TwoMeans(Optimizer):
    """What Adam's relatives share: their settings."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        *,
        maximize: bool = False,
        **more: Any,
    ) -> None:
        own: dict[str, Any] = {k: more.pop(k) for k in _OWN if k in more}
        own |= {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, {**own, "maximize": maximize}, more)

    def _means(self, p: Array, g: Array, state: dict[str, Any], group: dict[str, Any]) -> Array:
        """Count the step and let both running means follow the gradient, which is returned."""
        g = _slope(p, g, group)
        beta1, beta2 = group["betas"]
        if not state:
            state.update(step=0, exp_avg=np.zeros_like(p), exp_avg_sq=np.zeros_like(p))
        state["step"] += 1
        _follow(state["exp_avg"], g, beta1)
        _follow(state["exp_avg_sq"], g * g, beta2)
        return g


class Adamax(_TwoMeans):
    """Adam with the largest gradient in place of the mean square (Kingma and Ba, 2015).

    Parameters
    ----------
    params : iterable of tensors or of groups
    lr, betas, eps, weight_decay, maximize
        As :class:`Adam` takes them; `lr` is 2e-3 unless given.
    """

    def _update(self, p: Array, g: Array, state: dict[str, Any], group: dict[str, Any]) -> None:
        g, (beta1, beta2) = _slope(p, g, group), group["betas"]
        if not state:
            state.update(step=0, exp_avg=np.zeros_like(p), exp_inf=np.zeros_like(p))
        state["step"] += 1
        _follow(state["exp_avg"], g, beta1)
        largest = state["exp_inf"]
        np.maximum(beta2 * largest, np.abs(g) + group["eps"], out=largest)
        p -= group["lr"] / (1 - beta1 ** state["step"]) * state["exp_avg"] / largest


class NAdam(_TwoMeans):
    """Adam with Nesterov's momentum (Dozat, 2016).

    Parameters
    ----------
    params : iterable of tensors or of groups
    lr, betas, eps, weight_decay, maximize
        As :class:`Adam` takes them; `lr` is 2e-3 unless given.
    momentum_decay : float
        How fast the momentum grows to its full size.
    decoupled_weight_decay : bool
        Shrink the parameters apart from the gradient, as :class:`AdamW` does.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        **more: Any,
    ) -> None:
        more |= {"momentum_decay": momentum_decay, "decoupled_weight_decay": decoupled_weight_decay}
        super().__init__(params, lr, betas, eps, weight_decay, **more)

    def _update(self, p: Array, g: Array, state: dict[str, Any], group: dict[str, Any]) -> None:
        g = self._means(p, g, state, group)
        (beta1, beta2), decay, step = group["betas"], group["momentum_decay"], state["step"]
        now, following = (beta1 * (1 - 0.5 * 0.96 ** (n * decay)) for n in (step, step + 1))
        product = state["mu_product"] = state.get("mu_product", 1.0) * now
        root = np.sqrt(state["exp_avg_sq"] / (1 - beta2**step)) + group["eps"]
        p -= group["lr"] * (1 - now) / (1 - product) * (g / root)
        p -= group["lr"] * following / (1 - product * following) * (state["exp_avg"] / root)


class RAdam(_TwoMeans):
    """Adam that takes plain steps until its mean square has seen enough (Liu et al., 2020).

    Parameters
    ----------
    params : iterable of tensors or of groups
    lr, betas, eps, weight_decay, maximize
        As :class:`Adam` takes them.
    decoupled_weight_decay : bool
        Shrink the parameters apart from the gradient, as :class:`AdamW` does.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        **more: Any,
    ) -> None:
        more["decoupled_weight_decay"] = decoupled_weight_decay
        super().__init__(params, lr, betas, eps, weight_decay, **more)

    def _update(self, p: Array, g: Array, state: dict[str, Any], group: dict[str, Any]) -> None:
        self._means(p, g, state, group)
        (beta1, beta2), step = group["betas"], state["step"]
        unbiased = 1 - beta2**step
        longest = 2 / (1 - beta2) - 1
        length = longest - 2 * step * beta2**step / unbiased  # of the mean square's memory
        change: Any = state["exp_avg"] / (1 - beta1**step)
        if length > 5:
            straight = (length - 4) * (length - 2) * longest
            straight /= (longest - 4) * (longest - 2) * length
            root = np.sqrt(state["exp_avg_sq"]) + group["eps"]
            change = change * (math.sqrt(straight) * math.sqrt(unbiased) / root)
        p -= group["lr"] * change
