"""Operators of one's own: a forward and a backward written by hand."""

from __future__ import annotations

from typing import Any

from .autograd import TensorBase, needs_grad, raw, record_many
from .grad_mode import no_grad
from .tensor import Tensor

__all__ = ["Context", "Function"]


class Context:
    """What a :class:`Function` keeps from its forward for its backward."""

    def __init__(self, needs_input_grad: tuple[bool, ...]) -> None:
        self.needs_input_grad = needs_input_grad
        self.saved_tensors: tuple[Any, ...] = ()

    def save_for_backward(self, *tensors: Any) -> None:
        """Keep tensors; they are ``ctx.saved_tensors`` in the backward."""
        self.saved_tensors = tensors

    def mark_non_differentiable(self, *tensors: Any) -> None:
        """Nothing to do: gradients of outputs that nobody used are None."""


class Function:
    """An operator with a hand-written gradient, as ``torch.autograd.Function``.

    A subclass has two static methods: ``forward(ctx, *args)`` computes tensors from tensors,
    outside the tape, and ``backward(ctx, *grads)`` gives one gradient (or None) for each of `args`.
    It is called as ``MyFunction.apply(*args)``.
    """

    @staticmethod
    def forward(ctx: Any, *args: Any) -> Any:
        """Compute the result; subclasses say."""
        raise NotImplementedError("a Function needs a static method forward(ctx, *args)")

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        """Compute the gradients of the arguments; subclasses say."""
        raise NotImplementedError("a Function needs a static method backward(ctx, *grads)")

    @classmethod
    def apply(cls, *args: Any) -> Any:
        """Run the operator and put it on the tape."""
        ctx = Context(tuple(needs_grad(a) for a in args))
        with no_grad():
            # The tape must not be seen through the arguments: their values are what counts here.
            given = [Tensor(a._array) if isinstance(a, TensorBase) else a for a in args]
            result = cls.forward(ctx, *given)
        outputs = result if isinstance(result, tuple) else (result,)

        def backward(*grads: Any) -> list[Any]:
            with no_grad():
                found = cls.backward(ctx, *(None if g is None else Tensor(g) for g in grads))
            found = found if isinstance(found, tuple) else (found,)
            return [None if g is None else raw(g) for g in found]

        taped = record_many(cls.__name__, [raw(o) for o in outputs], args, backward)
        return taped if isinstance(result, tuple) else taped[0]
