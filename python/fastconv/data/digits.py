"""The digits that come with the package: 1,797 scans of handwriting, credited in DIGITS.md."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .pictures import PictureDataset
from .resample import resample_matrix, resize_array

__all__ = ["Digits", "enlarge_digits", "load_digits", "normalize_digits", "scan_digit"]

MEAN, STD = 0.309, 0.350  # of all 1,797 enlarged pictures, in 0..1
TEST_SHARE = 5  # every fifth digit is held back


@lru_cache(maxsize=1)
def _scans() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The scans as published: (1797, 8, 8) counts of 0..16, and their labels (1797,)."""
    with (
        (files(__package__) / "digits.npz").open("rb") as file,
        np.load(file, allow_pickle=False) as archive,
    ):
        return archive["images"], archive["labels"]


@lru_cache(maxsize=1)
def _test_rows() -> NDArray[np.bool_]:
    """Which scans are held back: a fifth of each class, drawn once and for all."""
    labels = _scans()[1]
    rng = np.random.default_rng(1998)
    held = np.zeros(len(labels), dtype=np.bool_)
    for label in range(10):
        mine = rng.permutation(np.flatnonzero(labels == label))
        held[mine[: round(len(mine) / TEST_SHARE)]] = True
    return held


def enlarge_digits(scans: NDArray[Any]) -> NDArray[np.uint8]:
    """Enlarge scans (N, 8, 8) of 0..16 bicubically to pictures (N, 32, 32) of 0..255."""
    matrix = resample_matrix(8, 32, "bicubic")
    pictures = matrix @ scans.astype(np.float32) @ matrix.T  # (N, 32, 32)
    enlarged: NDArray[np.uint8] = np.clip(np.rint(pictures * (255 / 16)), 0, 255).astype(np.uint8)
    return enlarged


def normalize_digits(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Turn pictures (N, 32, 32) of 0..255 into inputs (N, 3, 32, 32), mean 0, deviation 1."""
    values = (pictures.astype(np.float32) / 255 - MEAN) / STD
    return np.repeat(values[:, None], 3, axis=1)


def scan_digit(picture: NDArray[Any]) -> NDArray[np.float32]:
    """Turn a picture of one digit into a scan like the built-in ones: (8, 8), values 0..16.

    The ink is whatever differs from the background (the border's usual value), dark on light or
    light on dark; it is cut out, fitted into a square as those digits were, and counted in 8x8
    blocks.

    Parameters
    ----------
    picture : ndarray, shape (H, W) or (H, W, 3)

    Raises
    ------
    ValueError
        If nothing is drawn on it.
    """
    gray = picture.astype(np.float32)
    if gray.ndim == 3:
        gray = gray @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    border = np.concatenate([gray[0], gray[-1], gray[:, 0], gray[:, -1]])
    ink = np.abs(gray - np.median(border))
    strongest = float(np.percentile(ink, 99.5)) if ink.size > 4096 else float(ink.max())
    strongest = max(strongest, float(ink.max()) / 2)
    if strongest < 16:
        raise ValueError("the picture is blank; expected one digit on a plain background")
    ink = np.clip((ink / strongest - 0.1) / 0.75, 0, 1)
    rows, columns = (np.flatnonzero((ink > 0.3).any(axis=axis)) for axis in (1, 0))
    cut = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    # Fitted into 32x32 with its proportions kept, then averaged over 4x4 blocks.
    height, width = cut.shape
    scale = 32 / max(height, width)
    new_height, new_width = max(round(height * scale), 1), max(round(width * scale), 1)
    fitted = np.zeros((32, 32), dtype=np.float32)
    top, left = (32 - new_height) // 2, (32 - new_width) // 2
    fitted[top : top + new_height, left : left + new_width] = resize_array(
        cut, new_height, new_width
    )
    scan: NDArray[np.float32] = 16 * fitted.reshape(8, 4, 8, 4).mean(axis=(1, 3))
    return scan


def load_digits(train: bool | None = None) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The built-in digits as arrays, ready for a network.

    Parameters
    ----------
    train : bool or None
        True for the 1,438 training digits, False for the held-back fifth, None for all 1,797.

    Returns
    -------
    images : ndarray of float32, shape (N, 3, 32, 32)
        Enlarged by bicubic interpolation, mean 0 and standard deviation 1.
    labels : ndarray of int64, shape (N,)

    Notes
    -----
    Source: Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI, CC BY 4.0.
    """
    digits = Digits(train)
    return normalize_digits(digits.data[..., 0]), digits.targets


class Digits(PictureDataset):
    """The built-in digits as a data set of pictures, like torchvision's MNIST.

    Parameters
    ----------
    train : bool or None
        True for the training digits, False for the held-back fifth, None for all.
    transform, target_transform : callable, optional
        Applied to each picture (32, 32, 3) of uint8 and to each label.

    Attributes
    ----------
    data : ndarray of uint8, shape (N, 32, 32, 3)
    targets : ndarray of int64, shape (N,)
    """

    classes = tuple("0123456789")

    def __init__(
        self,
        train: bool | None = True,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
    ) -> None:
        if train is not None and not isinstance(train, bool):
            raise TypeError(f"Digits: train must be True, False or None, got {train!r}")
        scans, labels = _scans()
        if train is not None:
            rows = _test_rows() != train
            scans, labels = scans[rows], labels[rows]
        pictures = np.repeat(enlarge_digits(scans)[..., None], 3, axis=3)
        super().__init__(pictures, labels, transform, target_transform)
