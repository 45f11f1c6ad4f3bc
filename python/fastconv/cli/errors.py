"""How the command says that it cannot go on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType

__all__ = ["CommandError", "gate", "need"]

_EXTRA = ("PIL", "matplotlib", "tqdm")  # what the extra brings, by the names they are imported by


class CommandError(Exception):
    """Bad input: one line for the user, exit code 2."""


def need(module: str) -> ModuleType:
    """Import a module of the ``cli`` extra, or say which extra to install."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        missing = (error.name or "").split(".")[0]
        if missing not in _EXTRA:
            raise
        raise CommandError(
            f"this needs {missing}; install it with: pip install 'fastconv[cli]'"
        ) from None


@contextmanager
def gate(what: str = "") -> Iterator[None]:
    """Turn the errors that bad input raises inside the block into `CommandError`."""
    try:
        yield
    except (ValueError, TypeError, KeyError, OSError, RuntimeError, MemoryError) as error:
        detail = " ".join(str(error).split()) or type(error).__name__
        raise CommandError(f"{what}: {detail}" if what else detail) from error
