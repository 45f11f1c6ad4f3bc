"""What tensors that share one buffer know of each other, and what is still to be computed."""

from __future__ import annotations

import itertools
import threading
import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .tensor_base import TensorBase

__all__ = ["Memory", "pending", "settle_all", "versions"]

versions = itertools.count()  # of all memories: no number is used twice


class Memory:
    """What tensors that share one buffer know of each other.

    ``version`` changes with every in-place change, so that the tape notices when an array that it
    needs was overwritten; ``exposed`` counts how often the array was handed out, to be written by
    hand; ``tensors`` are those (weakly) that look into the buffer; ``waiting`` are jobs (weakly,
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

    def wait(self, job: Any) -> None:
        """Note that `job` is still to read these values."""
        if len(self.waiting) > 8:
            self.waiting = [ref for ref in self.waiting if ref() is not None]
        self.waiting.append(weakref.ref(job))


class _Pending(threading.local):
    def __init__(self) -> None:
        self.tensors: list[weakref.ref[Any]] = []


#: Per thread: results (weakly) that may still have to be computed, from weights among others.
pending = _Pending()


def settle_all(waiting: Sequence[weakref.ref[Any]]) -> None:
    """Have all those that still live computed."""
    for ref in waiting:
        found = ref()
        if found is not None:
            found.settle()
