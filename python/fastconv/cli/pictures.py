"""Reading pictures from files, and writing them, with Pillow."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.folder import load_picture
from ..serialization.files import replacing_path
from .errors import CommandError, need

__all__ = ["read_frames", "read_picture", "write_frames"]

_MOST_BYTES = 2**31  # of all frames of an animation


def read_picture(path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """A picture as (H, W, 3) of uint8, or `CommandError`."""
    need("PIL")
    try:
        return load_picture(Path(path))
    except FileNotFoundError:
        raise CommandError(f"{path}: no such file") from None
    except ValueError as error:
        raise CommandError(str(error)) from None


def read_frames(path: Path) -> tuple[NDArray[np.uint8], int]:
    """The frames (F, H, W, 3) of a picture or an animation, and the milliseconds between them."""
    first = read_picture(path)[None]  # checks the file
    Image, ImageSequence = need("PIL.Image"), need("PIL.ImageSequence")
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(path) as opened:
            count = getattr(opened, "n_frames", 1)
            if count == 1 or opened.format == "MPO":  # a photograph with a preview in it
                return first, 0
            if count * first.nbytes > _MOST_BYTES:
                raise CommandError(f"{path}: the animation is too large ({count} frames)")
            try:
                pause = int(opened.info.get("duration", 100))
                frames = [np.array(f.convert("RGB")) for f in ImageSequence.Iterator(opened)]
                return np.stack(frames), pause
            except (OSError, ValueError, SyntaxError, EOFError) as error:
                raise CommandError(f"{path}: {error}") from None


def write_frames(path: Path, frames: NDArray[np.uint8], pause: int = 0) -> None:
    """Write frames (F, H, W, 3); the suffix names the format; it must hold animations if F > 1."""
    Image = need("PIL.Image")
    Image.init()
    kind = Image.EXTENSION.get(path.suffix.lower())
    if kind not in Image.SAVE:
        raise CommandError(f"{path}: no picture format has the suffix {path.suffix!r}")
    pictures = [Image.fromarray(frame) for frame in frames]
    options: dict[str, Any] = {"quality": 92} if kind in ("JPEG", "WEBP") else {}
    if len(pictures) > 1:
        if kind not in Image.SAVE_ALL:
            raise CommandError(f"{path}: {kind} holds one picture, not {len(pictures)} frames")
        options |= {"save_all": True, "append_images": pictures[1:], "duration": pause, "loop": 0}
    try:
        with replacing_path(path) as temporary:
            pictures[0].save(temporary, format=kind, **options)
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror or error}") from None
