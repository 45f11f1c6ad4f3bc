"""Composing transforms, and the step from picture to tensor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...tensor import Tensor
from ..rng import current
from .picture import as_picture

__all__ = ["Compose", "Lambda", "Normalize", "RandomApply", "RandomChoice", "ToTensor"]


def _lines(transforms: Sequence[Any]) -> str:
    return "".join(f"\n    {transform}" for transform in transforms)


class Compose:
    """Apply transforms one after another."""

    def __init__(self, transforms: Sequence[Callable[[Any], Any]]) -> None:
        self.transforms = list(transforms)

    def __call__(self, image: Any) -> Any:
        for transform in self.transforms:
            image = transform(image)
        return image

    def __repr__(self) -> str:
        return f"Compose({_lines(self.transforms)}\n)"


class Lambda:
    """Apply any function."""

    def __init__(self, lambd: Callable[[Any], Any]) -> None:
        if not callable(lambd):
            raise TypeError(f"Lambda: expected a callable, got {type(lambd).__name__}")
        self.lambd = lambd

    def __call__(self, image: Any) -> Any:
        return self.lambd(image)

    def __repr__(self) -> str:
        return f"Lambda({getattr(self.lambd, '__name__', self.lambd)})"


class RandomApply:
    """Apply all the given transforms with probability ``p``, else none."""

    def __init__(self, transforms: Sequence[Callable[[Any], Any]], p: float = 0.5) -> None:
        self.transforms = list(transforms)
        self.p = probability("RandomApply", p)

    def __call__(self, image: Any) -> Any:
        if current().random() < self.p:
            for transform in self.transforms:
                image = transform(image)
        return image

    def __repr__(self) -> str:
        return f"RandomApply(p={self.p},{_lines(self.transforms)}\n)"


class RandomChoice:
    """Apply one of the given transforms, drawn with probabilities ``p`` (equal if None)."""

    def __init__(
        self, transforms: Sequence[Callable[[Any], Any]], p: Sequence[float] | None = None
    ) -> None:
        self.transforms = list(transforms)
        if not self.transforms or (p is not None and len(p) != len(self.transforms)):
            raise ValueError("RandomChoice: give transforms and as many probabilities, or none")
        self.p = None if p is None else np.asarray(p, dtype=np.float64) / np.sum(p)

    def __call__(self, image: Any) -> Any:
        return self.transforms[current().choice(len(self.transforms), p=self.p)](image)

    def __repr__(self) -> str:
        return f"RandomChoice({_lines(self.transforms)}\n)"


class ToTensor:
    """Turn a picture (H, W[, C]) into a tensor (C, H, W); uint8 0..255 becomes float32 0..1."""

    def __call__(self, image: Any) -> Tensor:
        picture = as_picture("ToTensor", image)
        planes = picture[None] if picture.ndim == 2 else np.moveaxis(picture, 2, 0)
        if picture.dtype == np.uint8:
            return Tensor(planes.astype(np.float32, order="C") / np.float32(255))
        return Tensor(np.ascontiguousarray(planes))

    def __repr__(self) -> str:
        return "ToTensor()"


class Normalize:
    """Subtract ``mean`` and divide by ``std``, one value per channel of a tensor (..., C, H, W)."""

    def __init__(self, mean: Sequence[float], std: Sequence[float], inplace: bool = False) -> None:
        self.mean = np.atleast_1d(np.asarray(mean, dtype=np.float64))
        self.std = np.atleast_1d(np.asarray(std, dtype=np.float64))
        self.inplace = inplace
        if self.mean.ndim != 1 or self.std.ndim != 1:
            raise ValueError("Normalize: mean and std must be sequences of numbers")
        if np.any(self.std == 0):
            raise ValueError(f"Normalize: std must not be zero, got {self.std.tolist()}")

    def __call__(self, image: Any) -> Tensor:
        if not isinstance(image, Tensor):
            raise TypeError(
                f"Normalize: expected a tensor (C, H, W), got {type(image).__name__}; "
                "put ToTensor() before it"
            )
        values = image.data
        if not np.issubdtype(values.dtype, np.floating):
            raise TypeError(f"Normalize: expected a float tensor, got {values.dtype}")
        for name, given in (("mean", self.mean), ("std", self.std)):
            if values.ndim < 3 or given.size not in (1, values.shape[-3]):
                raise ValueError(
                    f"Normalize: {name} has {given.size} values, "
                    f"which does not fit a tensor of shape {values.shape}"
                )
        mean = self.mean.astype(values.dtype)[:, None, None]
        std = self.std.astype(values.dtype)[:, None, None]
        if self.inplace:
            values -= mean
            values /= std
            return image
        return Tensor((values - mean) / std)

    def __repr__(self) -> str:
        return f"Normalize(mean={self.mean.tolist()}, std={self.std.tolist()})"


def probability(name: str, p: float) -> float:
    """A probability, checked."""
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"{name}: p must be between 0 and 1, got {p!r}")
    return float(p)
