"""TensorBase: an array, its gradient and its place in the graph."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ._types import Array, Result
from .changes import changes
from .grad_mode import mode
from .memory import Memory, calls, settle_all, versions

if TYPE_CHECKING:
    from .tape import Edge, Node

__all__ = ["Hook", "TensorBase", "make_tensor", "needs_grad", "raw", "wrap"]

Hook: TypeAlias = Callable[[Any], Any]


class TensorBase:
    """What the tape knows of a tensor: an array, its gradient and its place in the graph."""

    __slots__ = (
        "__weakref__",
        "_array",
        "_hooks",
        "_index",
        "_memory",
        "_node",
        "_requires_grad",
        "grad",
    )

    _array: Array
    grad: Any  # a Tensor or None

    def __init__(self, array: Array, requires_grad: bool = False) -> None:
        self._array = array
        self._requires_grad = requires_grad
        self._node: Node | None = None
        self._index = 0
        self._memory: Memory | None = None
        self._hooks: list[Hook] | None = None
        self.grad = None

    def _edge(self) -> Edge | None:
        if self._node is not None:
            self._node.used = True
            return self._node, self._index
        return self if self._requires_grad else None

    def _shared_memory(self) -> Memory:
        if self._memory is None:
            self._memory = Memory()
        return self._memory

    def _share(self, other: TensorBase) -> None:
        """Note that this tensor looks into the memory of `other`."""
        memory = other._shared_memory()
        if not memory.tensors:
            memory.tensors.append(weakref.ref(other))
        memory.tensors = [ref for ref in memory.tensors if ref() is not None]
        memory.tensors.append(weakref.ref(self))
        self._memory = memory

    def _touch(self) -> None:
        """Note that the array was changed in place."""
        memory = self._memory
        if memory is not None:
            memory.version = next(versions)
            if memory.watched:
                changes.note_values()

    def _before_change(self) -> None:
        """Have everything computed that still needs the values as they are."""
        memory = self._memory
        if memory is None:
            return
        needed = memory.watched or any(ref() is not None for ref in memory.waiting)
        if needed and calls.walk is not None:
            calls.walk.settle()
        if memory.waiting:
            waiting, memory.waiting = memory.waiting, []
            settle_all(waiting)  # for another thread

    def _expose(self) -> None:
        """Note that the array is handed out, and may be changed by hand from now on."""
        memory = self._memory
        if memory is not None:
            self._before_change()
            memory.exposed += 1
            if memory.watched:
                changes.note_values()

    # What a deferred tensor (deferred.py) does in its own way.

    def _with_activation(self, activation: str, inplace: bool) -> TensorBase | None:
        """The tensor after an activation, if that can join what is still to be computed."""
        return None

    def _with_residual(self, other: Any) -> TensorBase | None:
        """The sum with `other`, if that can join what is still to be computed."""
        return None

    def _with_gate(self, other: Any) -> TensorBase | None:
        """The product with `other`, which was made of this, if that can wait."""
        return None

    def _beside(self, tensors: Sequence[Any]) -> TensorBase | None:
        """`tensors` side by side along axis 1, if they fit and that can wait."""
        return None

    def _become(self, result: TensorBase) -> bool:
        """Whether the tensor, not computed yet, now stands for `result`."""
        return False

    def _accumulate(self, grad: Array, ours: bool) -> None:
        """Add `grad` to ``.grad``; `ours` says that nobody else holds the array."""
        if grad.dtype != self._array.dtype:
            grad, ours = grad.astype(self._array.dtype), True
        if self.grad is None:
            self.grad = wrap(grad if ours else grad.copy(order="K"))
        else:
            np.add(self.grad._array, grad, out=self.grad._array)
            self.grad._touch()


#: Makes the public tensor around an array; ``tensor.py`` says how.
make_tensor: Callable[[Array], TensorBase] = TensorBase


def wrap(array: Array) -> Result:
    """A tensor around an array, outside the tape."""
    return make_tensor(array)


def needs_grad(value: object) -> bool:
    """Whether a gradient with respect to `value` will be asked for."""
    return isinstance(value, TensorBase) and value._requires_grad and mode.recording


def raw(value: Any) -> Any:
    """The array of a tensor; anything else as it is."""
    return value._array if isinstance(value, TensorBase) else value
