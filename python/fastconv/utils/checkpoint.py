"""Trading time for memory: forget what a part of the network computed, and compute it anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..autograd import TensorBase, needs_grad, raw, record_many, run_backward
from ..grad_mode import enable_grad, is_grad_enabled, no_grad
from ..tensor import Tensor

__all__ = ["checkpoint"]


def checkpoint(
    function: Callable[..., Any], *args: Any, use_reentrant: bool | None = None, **kwargs: Any
) -> Any:
    """``function(*args)`` without keeping its intermediate results for the backward pass.

    They are computed a second time when the gradient comes, so the function must compute the same
    again. Gradients reach the tensors among `args` and the parameters that the function uses.

    Parameters
    ----------
    function : callable
        Returns a tensor.
    *args
        Its arguments.
    """
    if not is_grad_enabled() or not any(needs_grad(a) for a in args):
        return function(*args, **kwargs)
    with no_grad():
        result = function(*args, **kwargs)
    if not isinstance(result, TensorBase):
        raise TypeError(f"checkpoint: function must return a tensor, got {type(result).__name__}")
    arrays = [(raw(a), needs_grad(a)) if isinstance(a, TensorBase) else a for a in args]

    def backward(g: Any) -> list[Any]:
        again = [
            Tensor(a[0], requires_grad=a[1]) if isinstance(t, TensorBase) else t
            for a, t in zip(arrays, args, strict=True)
        ]
        with enable_grad():
            run_backward([(function(*again, **kwargs), g)])
        return [
            a.grad._array if isinstance(a, TensorBase) and a.grad is not None else None
            for a in again
        ]

    return record_many("Checkpoint", (result._array,), args, backward)[0]
