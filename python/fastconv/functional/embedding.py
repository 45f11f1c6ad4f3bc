"""Rows of a table."""

from __future__ import annotations

import numpy as np

from .._types import Array, Operand, Result
from ..autograd import TensorBase, raw, record

__all__ = ["embedding"]


def _shortened(weight: Operand, rows: Array, max_norm: float, norm_type: float) -> None:
    """Scale those of the table's rows that are read down to `max_norm`, in place."""
    table = raw(weight)
    read = np.unique(rows)
    lengths = np.linalg.norm(table[read], norm_type, axis=1)
    long = lengths > max_norm
    table[read[long]] *= (max_norm / (lengths[long] + 1e-7))[:, None].astype(table.dtype)
    if isinstance(weight, TensorBase) and long.any():
        weight._touch()


def embedding(
    input: Operand,
    weight: Operand,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Result:
    """The rows of a table that whole numbers name.

    Parameters
    ----------
    input : integers of any shape
    weight : (rows, size)
    padding_idx : int, optional
        A row without a gradient.
    max_norm : float, optional
        Rows longer than this that are read are shortened to it, in `weight` itself.
    norm_type : float
        Which norm that is.
    scale_grad_by_freq : bool
        Divide a row's gradient by the number of times that it was read.
    sparse : bool
        Without effect: gradients are whole arrays.

    Returns
    -------
    array or Tensor
        (*input.shape, size).

    Raises
    ------
    TypeError
        If `input` is of no whole numbers.
    ValueError
        If `weight` is no table, or has no row `padding_idx`.
    IndexError
        If a number lies outside of the table.
    """
    rows, table = np.asarray(raw(input)), raw(weight)
    if rows.dtype.kind not in "iu":
        raise TypeError(f"embedding: input must be whole numbers, got {rows.dtype}")
    if np.ndim(table) != 2:
        raise ValueError(f"embedding: weight must have two axes, got shape {np.shape(table)}")
    count = len(table)
    if padding_idx is not None:
        if not -count <= padding_idx < count:
            raise ValueError(f"embedding: padding_idx {padding_idx} is no row of {count}")
        padding_idx %= count
    if rows.size and not (rows.min() >= 0 and rows.max() < count):
        worst = rows.min() if rows.min() < 0 else rows.max()
        raise IndexError(f"embedding: input {worst} is no row of {count}")
    if max_norm is not None:
        _shortened(weight, rows, max_norm, norm_type)
    result = table[rows]
    if not (isinstance(input, TensorBase) or isinstance(weight, TensorBase)):
        return result

    def backward(g: Array) -> tuple[None, Array]:
        # Sums of many rows of half precision are taken in single.
        sums = np.zeros(table.shape, np.result_type(g.dtype, np.float32))
        np.add.at(sums, rows, g)
        if scale_grad_by_freq:
            times = np.bincount(rows.ravel(), minlength=count)
            sums /= np.maximum(times, 1)[:, None].astype(sums.dtype)
        if padding_idx is not None:
            sums[padding_idx] = 0
        return None, sums.astype(g.dtype, copy=False)

    return record("Embedding", result, (input, weight), backward)
