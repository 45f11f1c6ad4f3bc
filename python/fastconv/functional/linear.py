"""The fully connected layer."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from .. import _core
from .._types import Array, Operand, Result
from ..autograd import TensorBase, needs_grad, raw, record
from ._tools import compiled, product
from .narrow import in_float32

__all__ = ["LinearGrads", "bilinear", "linear", "linear_backward"]


class LinearGrads(NamedTuple):
    """Gradients of a linear map; None where not asked for."""

    input: Array | None
    weight: Array | None
    bias: Array | None


_FEW = 32  # rows: up to here one call, with the bias, is quicker than a product of matrices
_FEW_GRADIENTS = 10  # and up to here the gradients' products best read all of it as it lies


def _few_rows(x: Array, w: Array, most: int) -> bool:
    """Whether the compiled layer takes these operands, and is the quicker way."""
    return x.ndim == 2 and 0 < len(x) <= most and w.size > 0 and compiled(x, w)


@in_float32
def linear_backward(
    grad_output: Array,
    input: Array,
    weight: Array,
    *,
    need: tuple[bool, bool, bool] = (True, True, True),
) -> LinearGrads:
    """Gradients of :func:`linear`.

    Parameters
    ----------
    grad_output : (..., out)
    input : (..., in)
    weight : (out, in)
    need : three bools
        Which gradients to compute: input, weight, bias.
    """
    few = _few_rows(input, weight, _FEW_GRADIENTS)
    if few and grad_output.ndim == 2 and compiled(grad_output, input):
        return LinearGrads(*_core.linear_backward(grad_output, input, weight, need))
    g = grad_output.reshape(-1, grad_output.shape[-1])
    x = input.reshape(-1, input.shape[-1])
    return LinearGrads(
        product(grad_output, weight) if need[0] else None,
        product(g.T, x) if need[1] else None,
        np.asarray(g.sum(0)) if need[2] else None,
    )


@in_float32
def linear(input: Operand, weight: Operand, bias: Operand | None = None) -> Result:
    """``input @ weight.T + bias``.

    Parameters
    ----------
    input : (..., in)
    weight : (out, in)
    bias : (out,), optional

    Returns
    -------
    array or Tensor, (..., out)

    Raises
    ------
    ValueError
        If the shapes do not fit.
    TypeError
        If the dtypes differ.
    """
    x, w, b = raw(input), raw(weight), raw(bias)
    if w.ndim != 2 or x.ndim == 0 or x.shape[-1] != w.shape[1]:
        raise ValueError(
            f"linear: weight of shape {w.shape} expects input (..., {w.shape[-1]}), "
            f"got shape {x.shape}"
        )
    if b is not None and b.shape != w.shape[:1]:
        raise ValueError(f"linear: bias must have shape {w.shape[:1]}, got {b.shape}")
    if x.dtype != w.dtype or (b is not None and b.dtype != w.dtype):
        raise TypeError(
            f"linear: input, weight and bias must have one dtype, got {x.dtype}, {w.dtype}"
            + ("" if b is None else f", {b.dtype}")
        )
    if _few_rows(x, w, _FEW):
        y, b = _core.linear(x, w, b), None
    else:
        y = product(x, w.T)
    if b is not None:
        y = np.add(y, b, out=y) if y.ndim else y + b
    if not (
        isinstance(input, TensorBase)
        or isinstance(weight, TensorBase)
        or isinstance(bias, TensorBase)
    ):
        return y
    need = (needs_grad(input), needs_grad(weight), needs_grad(bias))
    return record(
        "Linear",
        y,
        (input, weight, bias),
        lambda g: linear_backward(g, x, w, need=need),
        saves=(input, weight),
    )


@in_float32
def bilinear(
    input1: Operand, input2: Operand, weight: Operand, bias: Operand | None = None
) -> Result:
    """``input1[i] weight[k, i, j] input2[j]`` summed over i and j, for each output k.

    Parameters
    ----------
    input1 : (..., I)
    input2 : (..., J)
    weight : (K, I, J)
    bias : (K,), optional

    Returns
    -------
    array or Tensor
        (..., K).

    Raises
    ------
    ValueError
        If the extents do not fit.
    """
    from .arithmetic import add
    from .einsum import einsum
    from .shape import reshape

    first, second, w = raw(input1).shape, raw(input2).shape, raw(weight).shape
    if len(w) != 3 or first[:-1] != second[:-1] or (*first[-1:], *second[-1:]) != w[1:]:
        raise ValueError(
            "bilinear: expected input1 (..., I), input2 (..., J) and weight (K, I, J), "
            f"got {first}, {second} and {w}"
        )
    lead = first[:-1]
    rows = math.prod(lead)
    a = reshape(input1, (rows, raw(input1).shape[-1]))
    b = reshape(input2, (rows, raw(input2).shape[-1]))
    y = einsum("ni,kij,nj->nk", a, weight, b)
    y = y if bias is None else add(y, bias)
    return reshape(y, (*lead, raw(weight).shape[0]))
