"""What tensors that share one buffer know of each other, and what is still to be computed."""

from __future__ import annotations

import itertools
import threading
import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .tensor_base import TensorBase

__all__ = ["Memory", "calls", "settle_all", "versions"]

versions = itertools.count()  # of all memories: no number is used twice


class Memory:
    """What tensors that share one buffer know of each other.

    ``version`` changes with every in-place change, so that the tape notices when an array that it
    needs was overwritten; ``exposed`` counts how often the array was handed out, to be written by
    hand; ``tensors`` are those (weakly) that look into the buffer; ``waiting`` are walks (weakly,
    deferred.py) that are still to read it; ``watched`` says that a network was prepared from the
    values (nn/chain.py).
    """

    __slots__ = ("exposed", "tensors", "version", "waiting", "watched")

    def __init__(self) -> None:
        self.version = next(versions)
        self.exposed = 0
        self.tensors: list[weakref.ref[TensorBase]] = []
        self.waiting: list[weakref.ref[Any]] = []
        self.watched = False

    def wait(self, walk: Any) -> None:
        """Note that `walk` is still to read these values."""
        if len(self.waiting) > 8:
            self.waiting = [ref for ref in self.waiting if ref() is not None]
        self.waiting.append(weakref.ref(walk))


class _Calls(threading.local):
    depth = 0
    walk: Any = None


#: Per thread: how many modules in evaluation mode are running one inside the other, and what they
#: have still to compute (deferred.py), from weights among others.
calls = _Calls()


def settle_all(waiting: Sequence[weakref.ref[Any]]) -> None:
    """Have all those that still live computed."""
    for ref in waiting:
        found = ref()
        if found is not None:
            found.settle()
