"""Data sets: anything with a length whose items are samples."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, chain
from typing import Any, Generic, TypeVar

from .rng import make_generator

__all__ = ["ChainDataset", "ConcatDataset", "Dataset", "IterableDataset", "Subset"]
__all__ += ["TensorDataset", "random_split"]

T_co = TypeVar("T_co", covariant=True)


class Dataset(Generic[T_co]):
    """Base of map-style data sets: subclasses define ``__getitem__`` and ``__len__``."""

    def __getitem__(self, index: Any) -> T_co:
        raise NotImplementedError(f"{type(self).__name__} does not define __getitem__")

    def __len__(self) -> int:
        raise NotImplementedError(f"{type(self).__name__} does not define __len__")

    def __iter__(self) -> Iterator[T_co]:
        # Without this Python would call __getitem__ until an IndexError that need never come.
        return (self[i] for i in range(len(self)))

    def __add__(self, other: Dataset[Any]) -> ConcatDataset:
        return ConcatDataset([self, other])


class IterableDataset(Dataset[T_co]):
    """Base of data sets that are a stream: subclasses define ``__iter__``, and may ``__len__``.

    A `DataLoader` batches what comes, in order, in the calling thread.
    """

    def __iter__(self) -> Iterator[T_co]:
        raise NotImplementedError(f"{type(self).__name__} does not define __iter__")

    def __len__(self) -> int:
        raise TypeError(f"object of type {type(self).__name__!r} has no len()")

    def __add__(self, other: Dataset[Any]) -> Any:
        return ChainDataset([self, other])


class ChainDataset(IterableDataset[Any]):
    """Several streams one after another."""

    def __init__(self, datasets: Iterable[Dataset[Any]]) -> None:
        self.datasets = list(datasets)

    def __iter__(self) -> Iterator[Any]:
        return chain.from_iterable(self.datasets)

    def __len__(self) -> int:
        return sum(len(dataset) for dataset in self.datasets)


class TensorDataset(Dataset[tuple[Any, ...]]):
    """Samples held in memory: item i is the i-th row of every tensor or array given.

    An index array gives a whole batch in one gather, which is what `DataLoader` uses.

    Raises
    ------
    ValueError
        If nothing is given or the first dimensions differ.
    """

    def __init__(self, *tensors: Any) -> None:
        if not tensors:
            raise ValueError("TensorDataset: give at least one tensor or array")
        lengths = []
        for i, tensor in enumerate(tensors):
            if not getattr(tensor, "shape", ()):
                raise ValueError(f"TensorDataset: tensor {i} has no first dimension to index")
            lengths.append(int(tensor.shape[0]))
        if len(set(lengths)) != 1:
            raise ValueError(f"TensorDataset: first dimensions must agree, got {lengths}")
        self.tensors = tensors

    def __getitem__(self, index: Any) -> tuple[Any, ...]:
        return tuple(tensor[index] for tensor in self.tensors)

    def __len__(self) -> int:
        return int(self.tensors[0].shape[0])


class Subset(Dataset[Any]):
    """The samples of ``dataset`` at ``indices``."""

    def __init__(self, dataset: Dataset[Any], indices: Sequence[int]) -> None:
        self.dataset = dataset
        self.indices = indices

    def __getitem__(self, index: int) -> Any:
        return self.dataset[int(self.indices[index])]

    def __len__(self) -> int:
        return len(self.indices)


class ConcatDataset(Dataset[Any]):
    """Several data sets one after another."""

    def __init__(self, datasets: Iterable[Dataset[Any]]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise ValueError("ConcatDataset: give at least one data set")
        self.cumulative_sizes = list(accumulate(len(dataset) for dataset in self.datasets))

    def __getitem__(self, index: int) -> Any:
        position = index + len(self) if index < 0 else index
        if not 0 <= position < len(self):
            raise IndexError(
                f"ConcatDataset: index {index} is out of range for {len(self)} samples"
            )
        which = bisect.bisect_right(self.cumulative_sizes, position)
        start = self.cumulative_sizes[which - 1] if which else 0
        return self.datasets[which][position - start]

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]


def random_split(
    dataset: Dataset[Any], lengths: Sequence[int | float], generator: Any = None
) -> list[Subset]:
    """Split a data set at random into parts of the given lengths.

    Parameters
    ----------
    dataset : Dataset
    lengths : sequence of int or of float
        Counts that sum to ``len(dataset)``, or fractions that sum to 1 (what rounding leaves
        over is dealt out one by one from the first part on).
    generator : optional
        Source of randomness; see `DataLoader`.

    Raises
    ------
    ValueError
        If a length is negative or the sum is wrong.
    """
    parts = list(lengths)
    if any(part < 0 for part in parts):
        raise ValueError(f"random_split: lengths must not be negative, got {parts}")
    total = len(dataset)
    if abs(sum(parts) - 1) < 1e-6 and any(part != int(part) for part in parts):
        counts = [int(part * total) for part in parts]
        for i in range(total - sum(counts)):
            counts[i % len(counts)] += 1
    elif all(part == int(part) for part in parts) and sum(parts) == total:
        counts = [int(part) for part in parts]
    elif parts == [1]:
        counts = [total]
    else:
        raise ValueError(
            f"random_split: lengths must sum to the data set's {total} samples or to 1, got {parts}"
        )
    order = make_generator(generator).permutation(total).tolist()
    ends = list(accumulate(counts))
    return [
        Subset(dataset, order[end - count : end]) for count, end in zip(counts, ends, strict=True)
    ]
