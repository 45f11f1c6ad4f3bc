"""Resizing by tables: each axis by itself, every output a weighted sum of inputs."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from .. import _core
from .._types import Array
from ._tools import compiled

Table = tuple[Array, Array, Array]


class Taps:
    """How one axis is resized: output i is the sum over t of ``weights[i, t] * x[sources[i, t]]``.

    Parameters
    ----------
    sources : (O, T) int
    weights : (O, T) float64, or None for ones
    n : extent of the input
    inside : (O, T) bool, optional
        Which taps there are, where outputs have different numbers of them.
    """

    def __init__(
        self, sources: Array, weights: Array | None, n: int, inside: Array | None = None
    ) -> None:
        self.sources, self.n = sources, n
        self.weights = np.ones(sources.shape) if weights is None else weights
        self.plain = weights is None and sources.shape[1] == 1
        self.inside = np.ones(sources.shape, bool) if inside is None else inside

    @cached_property
    def table(self) -> Table:
        """As the compiled engine reads it: where each output's taps start, sources, weights."""
        start = np.zeros(len(self.sources) + 1, np.int64)
        np.cumsum(self.inside.sum(1), out=start[1:])
        sources = self.sources[self.inside].astype(np.int64)
        return start, sources, self.weights[self.inside].astype(np.float64)

    @cached_property
    def turned(self) -> Table:
        """The table of the gradient: for each input the outputs that it stands in."""
        start, sources, weights = self.table
        outputs = np.repeat(np.arange(len(start) - 1), np.diff(start))
        order = np.argsort(sources, kind="stable")
        back = np.zeros(self.n + 1, np.int64)
        np.cumsum(np.bincount(sources, minlength=self.n), out=back[1:])
        return back, outputs[order], weights[order]

    def matrix(self, dtype: object) -> Array:
        """The weights as a matrix (O, n)."""
        m = np.zeros((len(self.sources), self.n))
        rows = np.arange(len(self.sources))[:, None]
        np.add.at(m, (rows, self.sources), np.where(self.inside, self.weights, 0))
        return m.astype(dtype)  # type: ignore[call-overload, no-any-return]


class Plan(tuple["Taps | None", ...]):
    """How the last axes are resized, each by its taps; None leaves one as it is."""

    @cached_property
    def tables(self) -> tuple[Table | None, ...]:
        """Of all axes, as the compiled engine reads them."""
        return tuple(None if t is None else t.table for t in self)

    @cached_property
    def turned(self) -> tuple[Table | None, ...]:
        """Those of the gradient."""
        return tuple(None if t is None else t.turned for t in self)


def resized(name: str, x: Array, plan: Plan) -> Array:
    """The last axes of `x` resized by `plan`."""
    if compiled(x):
        return _core.resample(name, x, plan.tables)
    for axis, taps in enumerate(plan, x.ndim - len(plan)):
        if taps is not None and taps.plain:
            x = np.take(x, taps.sources[:, 0], axis)
        elif taps is not None:
            x = _product(x, axis, taps.matrix(x.dtype))
    return x


def resized_backward(name: str, g: Array, plan: Plan) -> Array:
    """The gradient of :func:`resized` with respect to its input."""
    if compiled(g):
        return _core.resample(name, g, plan.turned)
    for axis, taps in enumerate(plan, g.ndim - len(plan)):
        if taps is not None:
            g = _product(g, axis, taps.matrix(g.dtype).T)
    return g


def _product(x: Array, axis: int, matrix: Array) -> Array:
    return np.moveaxis(np.matmul(np.moveaxis(x, axis, -1), matrix.T), -1, axis)
