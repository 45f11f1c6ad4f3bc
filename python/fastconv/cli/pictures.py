"""Reading pictures from files, and writing them, with Pillow."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..data.folder import load_picture
from ..serialization.files import replacing_path
from .errors import CommandError, need

__all__ = ["read_picture", "write_picture"]


def read_picture(path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """A picture as (H, W, 3) of uint8, or `CommandError`."""
    need("PIL")
    try:
        return load_picture(Path(path))
    except FileNotFoundError:
        raise CommandError(f"{path}: no such file") from None
    except ValueError as error:
        raise CommandError(str(error)) from None


def write_picture(path: str | os.PathLike[str], picture: NDArray[np.uint8]) -> None:
    """Write (H, W) or (H, W, 3) of uint8; the suffix names the format."""
    Image = need("PIL.Image")
    path = Path(path)
    Image.init()
    if Image.EXTENSION.get(path.suffix.lower()) not in Image.SAVE:
        raise CommandError(f"{path}: no picture format has the suffix {path.suffix!r}")
    try:
        with replacing_path(path) as temporary:
            Image.fromarray(picture).save(temporary)
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror or error}") from None
