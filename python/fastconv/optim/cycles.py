"""Learning rates that go along cosines or zigzags, once or again and again."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from .optimizer import Optimizer
from .schedule import LRScheduler

__all__ = ["CosineAnnealingLR", "CosineAnnealingWarmRestarts", "CyclicLR", "OneCycleLR"]


class CosineAnnealingLR(LRScheduler):
    """From the initial rate to `eta_min` along half a cosine over `T_max` epochs, and back."""

    def __init__(
        self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        self.T_max = T_max
        self.eta_min = eta_min
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        low, t, top = self.eta_min, self.last_epoch, self.T_max
        if t == 0:
            return self._rates
        if (t - 1 - top) % (2 * top) == 0:  # leaving the bottom, where the ratio would be 0 / 0
            rise = (1 - math.cos(math.pi / top)) / 2
            return [
                lr + (base - low) * rise
                for lr, base in zip(self._rates, self.base_lrs, strict=True)
            ]
        ratio = (1 + math.cos(math.pi * t / top)) / (1 + math.cos(math.pi * (t - 1) / top))
        return [ratio * (lr - low) + low for lr in self._rates]

    def _rates_at_once(self) -> list[float]:
        share = (1 + math.cos(math.pi * self.last_epoch / self.T_max)) / 2
        return [self.eta_min + (base - self.eta_min) * share for base in self.base_lrs]


class CosineAnnealingWarmRestarts(LRScheduler):
    """Half cosines that start again after `T_0` epochs, each `T_mult` times as long."""

    def __init__(
        self,
        optimizer: Optimizer,
        T_0: int,
        T_mult: int = 1,
        eta_min: float = 0.0,
        last_epoch: int = -1,
    ) -> None:
        if T_0 < 1 or T_mult < 1:
            raise ValueError("CosineAnnealingWarmRestarts: T_0 and T_mult must be at least 1")
        self.T_0 = T_0
        self.T_mult = T_mult
        self.eta_min = eta_min
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        length, within = float(self.T_0), float(self.last_epoch)
        while within >= length:
            within -= length
            length *= self.T_mult
        share = (1 + math.cos(math.pi * within / length)) / 2
        return [self.eta_min + (base - self.eta_min) * share for base in self.base_lrs]


def _set_momentum(group: dict[str, Any], momentum: float) -> None:
    if "betas" in group:
        group["betas"] = (momentum, *group["betas"][1:])
    else:
        group["momentum"] = momentum


class CyclicLR(LRScheduler):
    """Between `base_lr` and `max_lr` in a zigzag, batch by batch (Smith, 2017).

    Up in `step_size_up` steps, down in `step_size_down`. How high a cycle goes: in mode
    "triangular" always as high, in "triangular2" half as high as the one before, in "exp_range"
    times ``gamma`` for every step; or by `scale_fn` of the number of the cycle or, with the
    `scale_mode` "iterations", of the step. Momentum goes the other way.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: Any,
        max_lr: Any,
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: Any = 0.8,
        max_momentum: Any = 0.9,
        last_epoch: int = -1,
    ) -> None:
        if mode not in ("triangular", "triangular2", "exp_range") and scale_fn is None:
            raise ValueError(f"CyclicLR: mode {mode!r} is unknown, and there is no scale_fn")
        groups = optimizer.param_groups
        self.max_lrs = self._for_groups(optimizer, "max_lr", max_lr)
        lows = self._for_groups(optimizer, "base_lr", base_lr)
        self.total_size = float(step_size_up) + float(
            step_size_up if step_size_down is None else step_size_down
        )
        self.step_ratio = step_size_up / self.total_size
        self.mode = mode
        self.gamma = gamma
        self.scale_fn = scale_fn
        self.scale_mode = scale_mode
        self.cycle_momentum = cycle_momentum
        self.base_momentums = self._for_groups(optimizer, "base_momentum", base_momentum)
        self.max_momentums = self._for_groups(optimizer, "max_momentum", max_momentum)
        if cycle_momentum and not all("betas" in g or "momentum" in g for g in groups):
            raise ValueError("CyclicLR: the optimizer has no momentum or betas to cycle")
        if last_epoch == -1:
            for group, low in zip(groups, lows, strict=True):
                group["lr"] = low
        super().__init__(optimizer, last_epoch)

    @staticmethod
    def _for_groups(optimizer: Optimizer, name: str, value: Any) -> list[float]:
        """One number for each group."""
        count = len(optimizer.param_groups)
        values = list(value) if isinstance(value, (list, tuple)) else [value] * count
        if len(values) != count:
            raise ValueError(f"CyclicLR: expected {count} values of {name}, got {len(values)}")
        return values

    def _scale(self, cycle: float) -> float:
        if self.scale_fn is not None:
            return self.scale_fn(cycle if self.scale_mode == "cycle" else self.last_epoch)
        if self.mode == "exp_range":
            return float(self.gamma**self.last_epoch)
        return float(2.0 ** (1 - cycle)) if self.mode == "triangular2" else 1.0

    def get_lr(self) -> list[float]:
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        x = 1 + self.last_epoch / self.total_size - cycle
        rise = x / self.step_ratio if x <= self.step_ratio else (x - 1) / (self.step_ratio - 1)
        height = rise * self._scale(cycle)
        if self.cycle_momentum:
            for group, low, high in zip(
                self.optimizer.param_groups, self.base_momentums, self.max_momentums, strict=True
            ):
                _set_momentum(group, high - (high - low) * height)
        return [
            base + (high - base) * height
            for base, high in zip(self.base_lrs, self.max_lrs, strict=True)
        ]


class OneCycleLR(LRScheduler):
    """Up to `max_lr` and down far below where it began, batch by batch (Smith, 2018).

    Momentum goes the other way, between `max_momentum` and `base_momentum`. In three phases the way
    down stops where it began, and falls from there while the momentum stays.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: Any,
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float = 0.85,
        max_momentum: float = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ValueError(
                    "You must define either total_steps OR (epochs AND steps_per_epoch)"
                )
            total_steps = epochs * steps_per_epoch
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(
                f"OneCycleLR: anneal_strategy must be 'cos' or 'linear', got {anneal_strategy!r}"
            )
        groups = optimizer.param_groups
        self.total_steps = total_steps
        self.pct_start = pct_start
        self.anneal_strategy = anneal_strategy
        self.cycle_momentum = cycle_momentum
        self.base_momentum = base_momentum
        self.max_momentum = max_momentum
        self.final_div_factor = final_div_factor
        self.three_phase = three_phase
        self.max_lrs = list(max_lr) if isinstance(max_lr, (list, tuple)) else [max_lr] * len(groups)
        for group, top in zip(groups, self.max_lrs, strict=True):
            group["lr"] = top / div_factor
        super().__init__(optimizer, last_epoch)

    def _between(self, start: float, end: float, share: float) -> float:
        if self.anneal_strategy == "linear":
            return start + (end - start) * share
        return end + (start - end) / 2 * (1 + math.cos(math.pi * share))

    def get_lr(self) -> list[float]:
        step = self.last_epoch
        if step > self.total_steps:
            raise ValueError(f"Tried to step {step} times. The total number is {self.total_steps}")
        peak, end = self.pct_start * self.total_steps - 1, self.total_steps - 1
        marks = [peak, 2 * peak, end] if self.three_phase else [peak, end]
        phase = next((i for i, mark in enumerate(marks) if step <= mark), len(marks) - 1)
        start = marks[phase - 1] if phase else 0
        share = (step - start) / (marks[phase] - start)
        momenta = [self.max_momentum, self.base_momentum, self.max_momentum, self.max_momentum]
        rates = []
        for group, base, top in zip(
            self.optimizer.param_groups, self.base_lrs, self.max_lrs, strict=True
        ):
            last = base / self.final_div_factor
            places = [base, top, base, last] if self.three_phase else [base, top, last]
            rates.append(self._between(places[phase], places[phase + 1], share))
            if self.cycle_momentum:
                momentum = self._between(momenta[phase], momenta[phase + 1], share)
                _set_momentum(group, momentum)
        return rates
