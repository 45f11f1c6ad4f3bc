"""A data set of pictures held in memory, what the readers have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .dataset import Dataset

__all__ = ["PictureDataset"]


class PictureDataset(Dataset[tuple[Any, Any]]):
    """Pictures with labels.

    Attributes
    ----------
    data : ndarray of uint8, shape (N, H, W) or (N, H, W, 3)
    targets : ndarray of int64, shape (N,)
    classes : tuple of str
        The name of each label.
    """

    classes: tuple[str, ...] = ()

    def __init__(
        self,
        data: NDArray[np.uint8],
        targets: NDArray[Any],
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
    ) -> None:
        self.data = data
        self.targets = targets.astype(np.int64)
        self.transform = transform
        self.target_transform = target_transform

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        picture: Any = self.data[index]
        label: Any = int(self.targets[index])
        if self.transform is not None:
            picture = self.transform(picture)
        if self.target_transform is not None:
            label = self.target_transform(label)
        return picture, label
