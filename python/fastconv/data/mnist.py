"""MNIST and data sets in its file format, IDX."""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from .download import RemoteFile, fetch
from .pictures import PictureDataset

__all__ = ["MNIST", "read_idx"]

_MAX_BYTES = 2**30
_UNSIGNED_BYTE = 0x08  # the only element type that these data sets use


def read_idx(path: Path, ndim: int) -> NDArray[np.uint8]:
    """Read an IDX file of bytes, plain or gzipped.

    Layout: two zero bytes, the element type, the number of dimensions, each extent as a big-endian
    32-bit number, then the elements.

    Raises
    ------
    ValueError
        If it is not such a file with ``ndim`` dimensions, or longer or shorter than it declares.
    """
    try:
        with path.open("rb") as raw:
            zipped = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            stream = cast(BinaryIO, gzip.GzipFile(fileobj=raw)) if zipped else raw
            head = stream.read(4)
            if len(head) < 4 or head[:2] != b"\0\0" or head[2:] != bytes([_UNSIGNED_BYTE, ndim]):
                raise ValueError(f"{path}: not an IDX file of bytes with {ndim} dimensions")
            extents = stream.read(4 * ndim)
            shape = [int.from_bytes(extents[4 * i : 4 * i + 4], "big") for i in range(ndim)]
            wanted = math.prod(shape)
            # gzip cannot expand more than 1032 times: a larger claim is a lie, refused unread
            most = min(path.stat().st_size * (1032 if zipped else 1), _MAX_BYTES)
            if len(extents) < 4 * ndim or wanted > most:
                raise ValueError(f"{path}: declares shape {shape}, which its size belies")
            data = stream.read(wanted + 1)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{path}: damaged file ({error})") from None
    if len(data) != wanted:
        raise ValueError(f"{path}: holds more or fewer than the {wanted} bytes it declares")
    return np.frombuffer(data, np.uint8).reshape(shape)


_MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
_DIGESTS = {
    "train-images-idx3-ubyte": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte": "d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte": "9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte": "ec29112dd5afa0611ce80d1b7f02629c",
}


class MNIST(PictureDataset):
    """Handwritten digits, 28x28 grey: 60,000 to train on and 10,000 to test (LeCun et al., 1998).

    Parameters
    ----------
    root : path
        Folder that holds ``MNIST/raw`` with the four original files, plain or ``.gz``.
    train : bool
    transform, target_transform : callable, optional
    download : bool
        Fetch missing files, with a progress bar where tqdm is installed.

    Raises
    ------
    RuntimeError
        If files are missing; the message says what to put where.
    ValueError
        If a file is not what it should be.
    """

    classes = tuple("0123456789")

    def __init__(
        self,
        root: str | Path,
        train: bool = True,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        download: bool = False,
    ) -> None:
        folder = Path(root) / "MNIST" / "raw"
        part = "train" if train else "t10k"
        images = read_idx(_file(f"{part}-images-idx3-ubyte", folder, download), 3)
        labels = read_idx(_file(f"{part}-labels-idx1-ubyte", folder, download), 1)
        if images.shape[1:] != (28, 28) or len(images) != len(labels) or not len(labels):
            raise ValueError(
                f"MNIST: {folder} holds pictures of shape {images.shape} "
                f"and {len(labels)} labels; expected (N, 28, 28) and N"
            )
        if labels.max() >= len(self.classes):
            raise ValueError(f"MNIST: {folder} holds the label {labels.max()}")
        super().__init__(images, labels, transform, target_transform)
        self.root, self.train = Path(root), train


def _file(name: str, folder: Path, download: bool) -> Path:
    """The plain file if it is there, else the gzipped one, fetched if need be."""
    if (folder / name).is_file():
        return folder / name
    zipped = f"{name}.gz"
    remote = RemoteFile(zipped, [mirror + zipped for mirror in _MIRRORS], _DIGESTS[name], 2**26)
    return fetch(remote, folder, download, "MNIST")
