"""CIFAR-10 in its binary version, which is bytes and no pickle."""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..serialization.files import replacing
from .download import RemoteFile, fetch
from .pictures import PictureDataset

__all__ = ["CIFAR10"]

_RECORD = 1 + 3 * 32 * 32  # a label, then red, green and blue planes
_MOST = 10_000  # records in a file
_FOLDER = "cifar-10-batches-bin"
_ARCHIVE = RemoteFile(
    "cifar-10-binary.tar.gz",
    ["https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"],
    "c32a1d4ab5d03f1284b67883e8d87530",
    200_000_000,
)


class CIFAR10(PictureDataset):
    """60,000 colour pictures of 32x32 in ten classes (Krizhevsky, 2009).

    Parameters
    ----------
    root : path
        Folder that holds ``cifar-10-batches-bin`` with the original ``.bin`` files, or
        ``cifar-10-binary.tar.gz`` itself.
    train : bool
        True for the 50,000 training pictures, False for the 10,000 of the test.
    transform, target_transform : callable, optional
    download : bool
        Fetch the archive (162 MB) if it is not there.

    Raises
    ------
    RuntimeError
        If files are missing; the message says what to put where.
    ValueError
        If a file is not what it should be.
    """

    classes = (
        "airplane", "automobile", "bird", "cat", "deer",
        "dog", "frog", "horse", "ship", "truck",
    )  # fmt: skip

    def __init__(
        self,
        root: str | Path,
        train: bool = True,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        download: bool = False,
    ) -> None:
        names = [f"data_batch_{i}.bin" for i in range(1, 6)] if train else ["test_batch.bin"]
        paths = [Path(root) / _FOLDER / name for name in names]
        if not all(path.is_file() for path in paths):
            _unpack(fetch(_ARCHIVE, Path(root), download, "CIFAR10"), paths)
        records = np.concatenate([_records(path) for path in paths])
        labels = records[:, 0]
        if labels.max() >= len(self.classes):
            raise ValueError(f"CIFAR10: {paths[0].parent} holds the label {labels.max()}")
        planes = records[:, 1:].reshape(-1, 3, 32, 32)
        pictures = np.ascontiguousarray(planes.transpose(0, 2, 3, 1))
        super().__init__(pictures, labels, transform, target_transform)
        self.root, self.train = Path(root), bool(train)


def _records(path: Path) -> NDArray[np.uint8]:
    """The file's records as rows (N, 3073)."""
    size = path.stat().st_size
    if size == 0 or size % _RECORD or size > _MOST * _RECORD:
        raise ValueError(
            f"CIFAR10: {path} has {size} bytes; expected up to {_MOST} records of {_RECORD}"
        )
    return np.fromfile(path, np.uint8).reshape(-1, _RECORD)


def _unpack(archive: Path, paths: list[Path]) -> None:
    """Take the wanted files, and nothing else, out of the archive."""
    wanted = {f"{path.parent.name}/{path.name}": path for path in paths}
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for member in tar:
                path = wanted.get(member.name.removeprefix("./"))
                source = tar.extractfile(member) if path is not None and member.isfile() else None
                if path is None or source is None:
                    continue
                if member.size > _MOST * _RECORD:
                    raise ValueError(f"CIFAR10: {archive}: {member.name} is too large")
                path.parent.mkdir(parents=True, exist_ok=True)
                with replacing(path) as out:
                    out.write(source.read())
                del wanted[member.name.removeprefix("./")]
                if not wanted:
                    return
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise ValueError(f"CIFAR10: {archive} is damaged ({error}); delete it") from None
    raise ValueError(f"CIFAR10: {archive} does not hold {', '.join(sorted(wanted))}")
