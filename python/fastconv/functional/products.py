"""Products of vectors and matrices."""

from __future__ import annotations

import numpy as np

from .._types import Array, Operand, Result
from ..autograd import needs_grad, raw, record
from ._tools import product, sum_to
from .arithmetic import _both, add, div, mul
from .narrow import in_float32

__all__ = [
    "addcdiv",
    "addcmul",
    "addmm",
    "baddbmm",
    "bmm",
    "dot",
    "matmul",
    "mm",
    "mv",
    "outer",
]


@in_float32
def matmul_backward(grad_output: Array, input: Array, other: Array) -> tuple[Array, Array]:
    """Gradients of ``input @ other``; operands as NumPy's matmul takes them.

    Parameters
    ----------
    grad_output : (..., M, N)
    input : (..., M, K)
    other : (..., K, N)

    Returns
    -------
    tuple of arrays
        Gradients of the shapes of `input` and `other`.
    """
    g = grad_output
    a = input[None, :] if input.ndim == 1 else input
    b = other[:, None] if other.ndim == 1 else other
    if input.ndim == 1:
        g = np.expand_dims(g, -2 if other.ndim > 1 else 0)
    if other.ndim == 1:
        g = np.expand_dims(g, -1)
    ga = sum_to(product(g, np.swapaxes(b, -1, -2)), a.shape)
    gb = sum_to(product(np.swapaxes(a, -1, -2), g), b.shape)
    assert ga is not None
    assert gb is not None
    return ga.reshape(input.shape), gb.reshape(other.shape)


@in_float32
def matmul(input: Operand, other: Operand) -> Result:
    """Matrix product, as ``numpy.matmul``: 1-D, 2-D or batches.

    Parameters
    ----------
    input : (..., M, K) or (K,)
    other : (..., K, N) or (K,)
        Leading axes broadcast.

    Returns
    -------
    array or Tensor
        (..., M, N), without the axes of vectors.

    Raises
    ------
    ValueError
        If the inner extents differ.
    """
    a, b, taped = _both(input, other)
    y = product(a, b)
    if not taped:
        return y
    need_a, need_b = needs_grad(input), needs_grad(other)

    def backward(g: Array) -> tuple[Array | None, ...]:
        if a.ndim == b.ndim == 2:
            return (product(g, b.T) if need_a else None), (product(a.T, g) if need_b else None)
        ga, gb = matmul_backward(g, a, b)
        return (ga if need_a else None), (gb if need_b else None)

    return record("Matmul", y, (input, other), backward, saves=(input, other))


def _exact_rank(name: str, rank: int, *values: Operand) -> None:
    for value in values:
        if raw(value).ndim != rank:
            raise ValueError(f"{name}: expected arrays of {rank} axes, got {raw(value).shape}")


@in_float32
def mm(input: Operand, mat2: Operand) -> Result:
    """Product of two matrices."""
    _exact_rank("mm", 2, input, mat2)
    return matmul(input, mat2)


@in_float32
def bmm(input: Operand, mat2: Operand) -> Result:
    """Product of two batches of matrices: (B, M, K) by (B, K, N)."""
    _exact_rank("bmm", 3, input, mat2)
    return matmul(input, mat2)


@in_float32
def dot(input: Operand, other: Operand) -> Result:
    """Inner product of two vectors."""
    _exact_rank("dot", 1, input, other)
    if raw(input).shape != raw(other).shape:
        raise ValueError(
            f"dot: expected vectors of one length, got {raw(input).shape} and {raw(other).shape}"
        )
    return matmul(input, other)


def outer(input: Operand, vec2: Operand) -> Result:
    """Outer product of two vectors."""
    _exact_rank("outer", 1, input, vec2)
    return mul(input[:, None], vec2[None, :])


def mv(input: Operand, vec: Operand) -> Result:
    """Product of a matrix (M, K) and a vector (K,)."""
    _exact_rank("mv", 2, input)
    _exact_rank("mv", 1, vec)
    return matmul(input, vec)


@in_float32
def addcmul(input: Operand, tensor1: Operand, tensor2: Operand, *, value: float = 1) -> Result:
    """``input + value * tensor1 * tensor2``."""
    return add(input, mul(tensor1, tensor2), alpha=value)


@in_float32
def addcdiv(input: Operand, tensor1: Operand, tensor2: Operand, *, value: float = 1) -> Result:
    """``input + value * tensor1 / tensor2``."""
    return add(input, div(tensor1, tensor2), alpha=value)


@in_float32
def baddbmm(
    input: Operand, batch1: Operand, batch2: Operand, *, beta: float = 1, alpha: float = 1
) -> Result:
    """``beta * input + alpha * batch1 @ batch2``, each a batch of matrices."""
    product = bmm(batch1, batch2)
    return add(input if beta == 1 else mul(input, beta), product, alpha=alpha)


@in_float32
def addmm(
    input: Operand, mat1: Operand, mat2: Operand, *, beta: float = 1, alpha: float = 1
) -> Result:
    """``beta * input + alpha * mat1 @ mat2``."""
    product = mm(mat1, mat2)
    return add(input if beta == 1 else mul(input, beta), product, alpha=alpha)
