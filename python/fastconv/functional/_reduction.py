"""What every loss does with the losses of its elements."""

from __future__ import annotations

from .._types import Operand, Result
from ..autograd import raw
from .reduction import mean, sum

__all__ = ["chosen_reduction", "reduced", "same_shape"]


def chosen_reduction(reduction: str, size_average: bool | None, reduce: bool | None) -> str:
    """`reduction`, or what the arguments say that it was called before (PyTorch 0.4)."""
    if size_average is None and reduce is None:
        return reduction
    if reduce is False:
        return "none"
    return "sum" if size_average is False else "mean"


def reduced(name: str, loss: Result, reduction: str) -> Result:
    """The mean, the sum, or the losses as they are."""
    if reduction == "mean":
        return mean(loss)
    if reduction == "sum":
        return sum(loss)
    if reduction == "none":
        return loss
    raise ValueError(f"{name}: reduction must be 'mean', 'sum' or 'none', got {reduction!r}")


def same_shape(name: str, input: Operand, target: Operand) -> None:
    """ValueError unless the two have one shape."""
    if raw(input).shape != raw(target).shape:
        raise ValueError(
            f"{name}: input and target must have one shape, "
            f"got {raw(input).shape} and {raw(target).shape}"
        )
