"""Stamps that change whenever something does that a prepared network depends on."""

from __future__ import annotations

import itertools
from typing import Any

__all__ = ["NotedDict", "changes"]

_numbers = itertools.count()


class _Changes:
    """``structure`` is a new number after every change to a module or to its hooks, ``stamp`` also
    after every change to a tensor whose memory is watched: as long as they stay the same, so does
    whatever was prepared from them."""

    __slots__ = ("stamp", "structure")

    def __init__(self) -> None:
        self.note()

    def note(self) -> None:
        """A module has just changed."""
        self.stamp = self.structure = next(_numbers)

    def note_values(self) -> None:
        """A watched tensor has just changed."""
        self.stamp = next(_numbers)


changes = _Changes()


class NotedDict(dict[str, Any]):
    """A dictionary whose changes are noted: a module's parameters, buffers and children."""

    __slots__ = ()

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, value)
        changes.note()

    def __delitem__(self, key: str) -> None:
        super().__delitem__(key)
        changes.note()

    def __ior__(self, other: Any) -> Any:  # type: ignore[misc]
        self.update(other)
        return self

    def pop(self, *args: Any) -> Any:
        """As of a dictionary."""
        value = super().pop(*args)
        changes.note()
        return value

    def popitem(self) -> tuple[str, Any]:
        """As of a dictionary."""
        item = super().popitem()
        changes.note()
        return item

    def setdefault(self, key: str, default: Any = None) -> Any:
        """As of a dictionary."""
        value = super().setdefault(key, default)
        changes.note()
        return value

    def update(self, *args: Any, **kwargs: Any) -> None:
        """As of a dictionary."""
        super().update(*args, **kwargs)
        changes.note()

    def clear(self) -> None:
        """As of a dictionary."""
        super().clear()
        changes.note()
