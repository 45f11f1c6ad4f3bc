"""Einstein's summation and its gradient, which is again Einstein's summation."""

from __future__ import annotations

import string
from collections import Counter
from typing import Any

import numpy as np

from .._types import Array, Operand, Result
from ..autograd import TensorBase, needs_grad, raw, record
from ._tools import sum_to
from .narrow import in_float32

__all__ = ["einsum"]


def einsum(equation: str, *operands: Any) -> Result:
    """Sum products of elements over the indices that the output does not name.

    Parameters
    ----------
    equation : str
        One letter per axis: ``"bij,bjk->bik"`` multiplies matrices. ``...`` stands for any axes,
        which broadcast. Without ``->`` the output has what ``...`` stands for, then the letters
        that occur once, in alphabetical order. A letter twice in one operand takes its diagonal.
    *operands : arrays or tensors
        As many as the equation has terms, or one sequence of them. An axis of extent 1 broadcasts.

    Returns
    -------
    array or Tensor

    Raises
    ------
    ValueError
        If the equation does not describe the operands.

    Notes
    -----
    Semantics are those of ``torch.einsum``.
    """
    if not isinstance(equation, str):
        raise TypeError(f"einsum: equation must be a str, got {type(equation).__name__}")
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = tuple(operands[0])
    return _einsum(equation, *operands)


@in_float32
def _einsum(equation: str, *operands: Operand) -> Result:
    arrays = [raw(o) for o in operands]
    terms, output = _letters(equation, [a.ndim for a in arrays])
    y = _sum(terms, output, arrays)
    if not any(isinstance(o, TensorBase) for o in operands):
        return y
    needed = [needs_grad(o) for o in operands]

    def backward(g: Array) -> tuple[Array | None, ...]:
        return tuple(
            _gradient(g, terms, output, arrays, i) if n else None for i, n in enumerate(needed)
        )

    return record("Einsum", y, operands, backward, saves=operands)


def _sum(terms: list[str], output: str, arrays: list[Array]) -> Array:
    equation = ",".join(terms) + "->" + output
    try:
        return np.array(np.einsum(equation, *arrays, optimize=len(arrays) > 1))
    except ValueError as error:
        shapes = ", ".join(str(a.shape) for a in arrays)
        raise ValueError(f"einsum: {equation!r} does not fit shapes {shapes}: {error}") from None


def _letters(equation: str, ranks: list[int]) -> tuple[list[str], str]:
    """The term of each operand and of the output, one letter an axis: no dots, none implied."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(ranks):
        raise ValueError(
            f"einsum: equation {equation!r} has {len(terms)} operands, but got {len(ranks)}"
        )
    free = [c for c in string.ascii_letters if c not in equation]
    named = [len(t.replace("...", "")) for t in terms]
    dotted = [n - k if "..." in t else 0 for t, k, n in zip(terms, named, ranks, strict=True)]
    for term, count, more, rank in zip(terms, named, dotted, ranks, strict=True):
        if not set(term.replace("...", "", 1)) <= set(string.ascii_letters):
            raise ValueError(f"einsum: {term!r} in equation {equation!r} must be letters and '...'")
        if count + more != rank or more < 0:
            raise ValueError(f"einsum: {term!r} has {count} indices, its operand {rank} axes")
    dots = "".join(free[: max(dotted)])
    terms = [
        t.replace("...", dots[len(dots) - n :] if n else "")
        for t, n in zip(terms, dotted, strict=True)
    ]
    if arrow:
        output = right.replace("...", dots)
        if not set(output) <= set("".join(terms)) or len(set(output)) != len(output):
            raise ValueError(
                f"einsum: the output {right!r} must name indices of the operands, each once"
            )
        return terms, output
    once = [c for c, n in Counter("".join(terms)).items() if n == 1 and c not in dots]
    return terms, dots + "".join(sorted(once))


def _gradient(g: Array, terms: list[str], output: str, arrays: list[Array], i: int) -> Array:
    """What reaches operand i: the output's gradient times the other operands."""
    term = "".join(dict.fromkeys(terms[i]))  # each index once
    x = np.einsum(f"{terms[i]}->{term}", arrays[i])
    others = [t for j, t in enumerate(terms) if j != i]
    known = set(output).union(*others)
    kept = "".join(c for c in term if c in known)
    part = _sum([output, *others], kept, [g, *(a for j, a in enumerate(arrays) if j != i)])
    # An index that only this operand has was summed over: its gradient is the same all along.
    full = iter(part.shape)
    part = part.reshape([next(full) if c in known else 1 for c in term])
    target = tuple(n if c in known else 1 for c, n in zip(term, x.shape, strict=True))
    summed = sum_to(part, target)  # where this operand was broadcast
    assert summed is not None
    summed = np.broadcast_to(summed, x.shape)
    if term == terms[i]:
        return summed
    gradient = np.zeros(arrays[i].shape, g.dtype)
    np.einsum(f"{terms[i]}->{term}", gradient)[...] = summed  # a view of the diagonal
    return gradient
