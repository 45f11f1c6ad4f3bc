"""A folder of pictures: one sub-folder per class."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .dataset import Dataset

__all__ = ["IMAGE_SUFFIXES", "ImageFolder", "load_picture"]

IMAGE_SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")


def load_picture(path: str | Path) -> NDArray[np.uint8]:
    """Read a picture as (H, W, 3) of uint8: upright, transparency laid on white.

    Raises
    ------
    ImportError
        If Pillow is not installed.
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no picture, or one that would unpack to gigabytes.
    """
    try:
        from PIL import Image, ImageOps
    except ModuleNotFoundError:
        raise ImportError(
            "reading pictures needs Pillow; install it with: pip install 'fastconv[cli]'"
        ) from None
    try:
        with warnings.catch_warnings():
            # Pillow only warns at first; a picture of that size is refused here.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as opened:
                opened.load()
                picture: Any = ImageOps.exif_transpose(opened)
    except FileNotFoundError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ValueError(f"{path}: the picture is too large") from None
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        known = "cannot identify" not in str(error)
        reason = " ".join(str(error).split()) if known else "not a picture"
        raise ValueError(f"{path}: {reason}") from None
    if picture.mode.startswith("I"):  # 16 bits
        gray = np.clip(np.asarray(picture).astype(np.int64) // 257, 0, 255).astype(np.uint8)
        return np.repeat(gray[..., None], 3, axis=2)
    if "A" in picture.getbands() or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return np.array(picture.convert("RGB"))


class ImageFolder(Dataset[tuple[Any, Any]]):
    """Pictures in ``root/CLASS/**``, as torchvision's; classes are numbered by name.

    Parameters
    ----------
    root : path
    transform, target_transform : callable, optional
    loader : callable, optional
        Reads a path; `load_picture` (needs Pillow) unless given.

    Attributes
    ----------
    classes : tuple of str
    class_to_idx : dict
    samples : list of (path, label)
    targets : ndarray of int64

    Raises
    ------
    FileNotFoundError
        If there is no such folder, or no class, or a class without pictures.
    """

    def __init__(
        self,
        root: str | Path,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        loader: Callable[[Path], Any] = load_picture,
    ) -> None:
        self.root = Path(root)
        if not self.root.is_dir():
            raise FileNotFoundError(f"ImageFolder: {root} is not a folder")
        folders = sorted(entry for entry in self.root.iterdir() if entry.is_dir())
        folders = [folder for folder in folders if not folder.name.startswith(".")]
        if not folders:
            raise FileNotFoundError(
                f"ImageFolder: {root} has no sub-folders; expected one per class, with its pictures"
            )
        self.classes = tuple(folder.name for folder in folders)
        self.class_to_idx = {name: i for i, name in enumerate(self.classes)}
        self.samples: list[tuple[Path, int]] = []
        for label, folder in enumerate(folders):
            found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
            if not found:
                raise FileNotFoundError(
                    f"ImageFolder: {folder} holds no pictures ({', '.join(IMAGE_SUFFIXES)})"
                )
            self.samples += [(path, label) for path in found]
        self.targets = np.array([label for _, label in self.samples], dtype=np.int64)
        self.transform = transform
        self.target_transform = target_transform
        self.loader = loader

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        path, label = self.samples[index]
        picture: Any = self.loader(path)
        target: Any = label
        if self.transform is not None:
            picture = self.transform(picture)
        if self.target_transform is not None:
            target = self.target_transform(label)
        return picture, target
