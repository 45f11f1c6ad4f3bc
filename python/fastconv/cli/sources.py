"""The data that ``fastconv train --data`` names: pictures, labels, how networks are fed them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data import (
    CIFAR10,
    MNIST,
    Dataset,
    Digits,
    ImageFolder,
    Subset,
    random_split,
    transforms,
)
from ..data.digits import MEAN, STD
from ..tensor import Tensor
from .errors import CommandError, gate

__all__ = ["Feed", "Source", "open_source"]

_LARGEST = 1024


@dataclass(frozen=True)
class Feed:
    """What turns pictures into network inputs; stored with the weights for ``predict``."""

    data: str
    classes: tuple[str, ...]
    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def inputs(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Pictures (N, size, size, 3) of uint8 as float32 inputs (N, 3, size, size)."""
        mean = np.float32(255) * np.asarray(self.mean, dtype=np.float32)[:, None, None]
        scale = np.float32(1 / 255) / np.asarray(self.std, dtype=np.float32)[:, None, None]
        planes = np.moveaxis(pictures, 3, 1).astype(np.float32, order="C")
        planes -= mean
        planes *= scale
        return planes

    def collate(self, batch: list[tuple[NDArray[np.uint8], int]]) -> tuple[Tensor, Tensor]:
        """A list of (picture, label) as a batch of inputs and labels."""
        pictures, labels = zip(*batch, strict=True)
        return Tensor(self.inputs(np.stack(pictures))), Tensor(np.array(labels, dtype=np.int64))

    def metadata(self) -> dict[str, str]:
        """As strings, for a file of weights."""
        return {
            "data": self.data,
            "classes": json.dumps(self.classes),
            "size": str(self.size),
            "mean": json.dumps(self.mean),
            "std": json.dumps(self.std),
        }

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str]) -> Feed:
        """The inverse of `metadata`; ValueError if it is not such."""
        try:
            classes, mean, std = (json.loads(metadata[k]) for k in ("classes", "mean", "std"))
            feed = cls(
                metadata["data"], tuple(classes), int(metadata["size"]), tuple(mean), tuple(std)
            )
            sane = (
                1 <= feed.size <= _LARGEST
                and all(isinstance(name, str) for name in feed.classes)
                and len(feed.mean) == len(feed.std) == 3
                and all(np.isfinite(feed.mean + feed.std))
                and all(s > 0 for s in feed.std)
            )
        except (KeyError, TypeError, ValueError):
            sane = False
        if not sane:
            raise ValueError("the metadata does not describe a network trained by fastconv train")
        return feed


@dataclass(frozen=True)
class Source:
    """Training and held-back samples, each (picture of uint8, label)."""

    train: Dataset[Any]
    test: Dataset[Any]
    feed: Feed


def _rgb(picture: Any) -> NDArray[np.uint8]:
    """Grey pictures (H, W) with three equal channels."""
    array = np.asarray(picture)
    return np.repeat(array[..., None], 3, axis=2) if array.ndim == 2 else array


def _augmentation(data: str, size: int) -> list[Callable[[Any], Any]]:
    """Label-preserving changes: digits may be turned a little, never mirrored."""
    if data in ("digits", "mnist"):
        return [
            transforms.RandomAffine(
                12, translate=(0.08, 0.08), scale=(0.85, 1.1), shear=8, interpolation="bilinear"
            ),
            transforms.RandomApply([transforms.GaussianNoise(sigma=0.03)], p=0.3),
        ]
    return [
        transforms.RandomCrop(size, padding=size // 8, padding_mode="reflect"),
        transforms.RandomHorizontalFlip(),
        transforms.ColorJitter(brightness=0.2, contrast=0.2, saturation=0.2),
    ]


def open_source(data: str, root: Path, size: int | None, augment: bool, seed: int) -> Source:
    """Open a data set by name ("digits", "cifar10", "mnist") or as a folder of pictures.

    A folder holds one sub-folder per class, or ``train`` and ``test`` (or ``val``) with those; in
    the first case a fifth of the pictures, drawn by ``seed``, is held back.
    """
    make: Callable[[bool, Any], Any]
    mean, std = (0.5,) * 3, (0.25,) * 3
    if data == "digits":
        size, mean, std = size or 32, (MEAN,) * 3, (STD,) * 3
        make = Digits
    elif data == "mnist":
        size, mean, std = size or 32, (0.1307,) * 3, (0.3081,) * 3
        make = partial(_download, MNIST, root)
    elif data == "cifar10":
        size, mean, std = size or 32, (0.4914, 0.4822, 0.4465), (0.247, 0.2435, 0.2616)
        make = partial(_download, CIFAR10, root)
    elif Path(data).is_dir():
        size = size or 32
        make = partial(_folder_part, Path(data), seed)
    else:
        raise CommandError(f"--data {data}: neither digits, mnist, cifar10 nor a folder")
    if size > _LARGEST:
        raise CommandError(f"--size must be at most {_LARGEST}, got {size}")
    prepare: list[Callable[[Any], Any]] = [_rgb]
    if not (size == 32 and data in ("digits", "cifar10")):
        prepare.append(transforms.Resize((size, size)))
    random = _augmentation(data, size) if augment else []
    with gate(f"--data {data}"):
        train = make(True, transforms.Compose([*prepare, *random]))
        test = make(False, transforms.Compose(prepare))
        whole: Any = train.dataset if isinstance(train, Subset) else train
        classes = whole.classes
        if len(classes) < 2 or not len(train) or not len(test):
            raise ValueError(
                "expected two classes or more, with pictures to train on and to hold back"
            )
    return Source(train, test, Feed(data, tuple(classes), size, mean, std))


def _download(kind: Any, root: Path, train: bool, transform: Any) -> Dataset[Any]:
    dataset: Dataset[Any] = kind(root, train, transform, download=True)
    return dataset


def _folder_part(root: Path, seed: int, train: bool, transform: Any) -> Dataset[Any]:
    held = next((root / name for name in ("test", "val") if (root / name).is_dir()), None)
    if held is not None and (root / "train").is_dir():
        part = ImageFolder(root / "train" if train else held, transform)
        other = ImageFolder(held if train else root / "train")
        if part.classes != other.classes:
            raise ValueError(f"{root / 'train'} and {held} hold different classes")
        return part
    pictures = ImageFolder(root, transform)
    back = len(pictures) // 5
    parts = random_split(pictures, [len(pictures) - back, back], generator=[seed, 1])
    return parts[0] if train else parts[1]
