"""Writing files so that nobody ever sees half of one."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

__all__ = ["replacing", "replacing_path"]


@contextmanager
def replacing_path(target: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path beside ``target`` that takes its place when the block ends well.

    If the block raises, or is interrupted, the temporary file is removed and ``target`` stays as it
    was.
    """
    target = Path(target)
    # The suffix stays last, for libraries that choose the format by it.
    temporary = target.with_name(f".{target.stem}.{secrets.token_hex(4)}{target.suffix}")
    try:
        yield temporary
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing(target: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """An open binary file that takes the place of ``target`` when the block ends well."""
    with replacing_path(target) as temporary, temporary.open("xb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
