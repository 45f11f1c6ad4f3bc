"""LBFGS: whole-batch steps along directions that the last gradients make."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from .._types import Array
from ..autograd import no_grad
from ..grad_mode import enable_grad
from .optimizer import Optimizer

__all__ = ["LBFGS"]


class _Point(NamedTuple):
    """Somewhere along a line: how far, the loss there, its slope along the line, its gradient."""

    t: float
    loss: float
    slope: float
    gradient: Array


def _between(a: _Point, b: _Point, low: float, high: float) -> float:
    """Where the cubic through both points is least, within [low, high]; else the middle."""
    a, b = (a, b) if a.t <= b.t else (b, a)
    bend = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.t - b.t)
    square = bend * bend - a.slope * b.slope
    root = math.sqrt(max(square, 0))
    across = b.slope - a.slope + 2 * root
    if not square >= 0 or across == 0:
        return (low + high) / 2
    best = b.t - (b.t - a.t) * ((b.slope + root - bend) / across)
    return min(max(best, low), high)


class _LineSearch:
    """A step that fulfils the strong Wolfe conditions (Nocedal and Wright, algorithm 3.5)."""

    decrease, curvature = 1e-4, 0.9

    def __init__(
        self, at: Callable[[float], _Point], start: _Point, tolerance: float, most: int
    ) -> None:
        self.at, self.start, self.tolerance, self.most = at, start, tolerance, most
        self.left = most  # points after the first

    def _high(self, p: _Point) -> bool:
        return p.loss > self.start.loss + self.decrease * p.t * self.start.slope

    def _flat(self, p: _Point) -> bool:
        return abs(p.slope) <= -self.curvature * self.start.slope

    def run(self, t: float) -> _Point:
        """Go on until two points have a good one between them, then look for it there."""
        last, p = self.start, self.at(t)
        while self.left:
            if self._high(p) or (self.most - self.left > 1 and p.loss >= last.loss):
                return self._zoom(last, p)
            if self._flat(p):
                return p
            if p.slope >= 0:
                return self._zoom(last, p)
            low, high = p.t + 0.01 * (p.t - last.t), 10 * p.t
            last, p = p, self.at(_between(last, p, low, high))
            self.left -= 1
        return min(self.start, p, key=lambda q: q.loss)

    def _zoom(self, first: _Point, second: _Point) -> _Point:
        best, other = (first, second) if first.loss <= second.loss else (second, first)
        stuck = False
        while self.left and abs(best.t - other.t) >= self.tolerance:
            low, high = sorted((best.t, other.t))
            t, margin = _between(best, other, low, high), 0.1 * (high - low)
            near = min(high - t, t - low) < margin
            if near and (stuck or t >= high or t <= low):
                t = high - margin if abs(t - high) < abs(t - low) else low + margin
                near = False
            stuck = near
            p = self.at(t)
            self.left -= 1
            if self._high(p) or p.loss >= best.loss:
                best, other = (best, p) if best.loss <= p.loss else (p, best)
                continue
            if self._flat(p):
                return p
            if p.slope * (other.t - best.t) >= 0:
                other = best
            best = p
        return best


class LBFGS(Optimizer):
    """The quasi-Newton method of limited memory (Liu and Nocedal, 1989).

    Parameters
    ----------
    params : iterable of tensors
        One group only.
    lr : float
        The length of a step, or the first that the line search tries.
    max_iter : int
        Most iterations of one :meth:`step`.
    max_eval : int, optional
        Most losses of one step; by default 1.25 times `max_iter`.
    tolerance_grad : float
        Stop where no gradient is larger.
    tolerance_change : float
        Stop where neither loss nor parameters move more.
    history_size : int
        Changes that are remembered.
    line_search_fn : {None, "strong_wolfe"}
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        if line_search_fn not in (None, "strong_wolfe"):
            raise ValueError(
                f"LBFGS: line_search_fn must be None or 'strong_wolfe', got {line_search_fn!r}"
            )
        super().__init__(
            params,
            {
                "lr": lr,
                "max_iter": max_iter,
                "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
                "tolerance_grad": tolerance_grad,
                "tolerance_change": tolerance_change,
                "history_size": history_size,
                "line_search_fn": line_search_fn,
            },
        )
        if len(self.param_groups) != 1:
            raise ValueError("LBFGS: there can be one group of parameters only")
        self._params: list[Any] = self.param_groups[0]["params"]

    def _gradient(self) -> Array:
        """All gradients in one row."""
        parts = [
            np.zeros(p._array.size, p._array.dtype) if p.grad is None else p.grad._array.ravel()
            for p in self._params
        ]
        return np.concatenate(parts)

    def _place(self, values: Array) -> None:
        """Set all parameters from one row."""
        at = 0
        for p in self._params:
            p._array[...] = values[at : at + p._array.size].reshape(p._array.shape)
            at += p._array.size
            p._touch()

    def _direction(self, gradient: Array, state: dict[str, Any], most: int) -> Array:
        """Downhill, as far as the last changes of the gradient tell the curvature."""
        change, moved = gradient - state["prev_flat_grad"], state["d"] * state["t"]
        product = float(change @ moved)
        changes, moves, ratios = state["old_dirs"], state["old_stps"], state["ro"]
        if product > 1e-10:
            if len(changes) == most:
                del changes[0], moves[0], ratios[0]
            changes.append(change)
            moves.append(moved)
            ratios.append(1 / product)
            state["H_diag"] = product / float(change @ change)
        d: Array = -gradient
        shares = []
        for y, s, ratio in zip(changes[::-1], moves[::-1], ratios[::-1], strict=True):
            shares.append(float(s @ d) * ratio)
            d = d - d.dtype.type(shares[-1]) * y
        d = d * d.dtype.type(state["H_diag"])
        for y, s, ratio, share in zip(changes, moves, ratios, shares[::-1], strict=True):
            d = d + s * d.dtype.type(share - float(y @ d) * ratio)
        return d

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Go on until a limit or a tolerance stops it.

        Parameters
        ----------
        closure : callable
            Computes the loss anew, with its gradients; the first result is returned.
        """
        if closure is None:
            raise TypeError("LBFGS: step needs a closure that computes the loss and its gradients")
        with no_grad():
            return self._step(closure)

    def _step(self, closure: Callable[[], Any]) -> Any:
        group = self.param_groups[0]
        state = self.state.setdefault(self._params[0], {})
        if not state:
            state.update(func_evals=0, n_iter=0, old_dirs=[], old_stps=[], ro=[], H_diag=1.0)
        evaluated = 0

        def loss_and_gradient() -> tuple[Any, Array]:
            nonlocal evaluated
            evaluated += 1
            with enable_grad():
                result = closure()
            return result, self._gradient()

        first, gradient = loss_and_gradient()
        loss = float(first)
        if np.abs(gradient).max(initial=0) > group["tolerance_grad"]:
            for i in range(group["max_iter"]):
                state["n_iter"] += 1
                fresh = state["n_iter"] == 1
                most = group["history_size"]
                d = -gradient if fresh else self._direction(gradient, state, most)
                slope, before = float(gradient @ d), loss
                t = group["lr"] * (min(1.0, 1 / float(np.abs(gradient).sum())) if fresh else 1)
                state.update(d=d, t=t, prev_flat_grad=gradient, prev_loss=loss)
                if slope > -group["tolerance_change"]:
                    break
                x = np.concatenate([p._array.ravel() for p in self._params])

                def at(t: float, x: Array = x, d: Array = d) -> _Point:
                    self._place(x + d * d.dtype.type(t))
                    result, g = loss_and_gradient()
                    return _Point(t, float(result), float(g @ d), g)

                if group["line_search_fn"]:
                    start = _Point(0.0, loss, slope, gradient)
                    tolerance = group["tolerance_change"] / float(np.abs(d).max())
                    left = group["max_eval"] - evaluated
                    found = _LineSearch(at, start, tolerance, left).run(t)
                    self._place(x + d * d.dtype.type(found.t))
                    state["t"] = t = found.t
                    loss, gradient = found.loss, found.gradient
                elif i + 1 == group["max_iter"]:
                    self._place(x + d * d.dtype.type(t))
                    break
                else:
                    _, loss, _, gradient = at(t)
                if (
                    evaluated >= group["max_eval"]
                    or np.abs(gradient).max() <= group["tolerance_grad"]
                    or np.abs(d * t).max() <= group["tolerance_change"]
                    or abs(loss - before) < group["tolerance_change"]
                ):
                    break
        state["func_evals"] += evaluated
        return first
