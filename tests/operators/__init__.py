"""The operator table: one row an operator. Adding an operator means adding a row."""

from __future__ import annotations

from . import (
    activations,
    arithmetic,
    convolution,
    losses,
    more,
    norms,
    pooling,
    reductions,
    resizing,
    sampling,
    shapes,
)
from .rows import Bad, Call, Drawn, Row

__all__ = ["TABLE", "Bad", "Call", "Drawn", "Row"]

TABLE: list[Row] = [
    *activations.ROWS,
    *arithmetic.ROWS,
    *convolution.ROWS,
    *losses.ROWS,
    *more.ROWS,
    *norms.ROWS,
    *pooling.ROWS,
    *reductions.ROWS,
    *resizing.ROWS,
    *sampling.ROWS,
    *shapes.ROWS,
]
