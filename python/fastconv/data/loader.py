"""DataLoader: shuffled batches of a data set, prepared by worker threads if asked."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count, islice
from typing import Any

import numpy as np

from ..tensor import Tensor
from .dataset import Dataset, IterableDataset, TensorDataset
from .rng import make_generator, seeded
from .sampler import BatchSampler, RandomSampler, SequentialSampler

__all__ = ["DataLoader", "default_collate", "default_convert", "get_worker_info"]


def default_collate(batch: Sequence[Any]) -> Any:
    """Stack a list of samples into a batch of tensors.

    Tensors and arrays are stacked along a new first dimension, ints become int64, floats float32,
    tuples, lists and mappings are collated item by item, strings stay a list.

    Raises
    ------
    ValueError
        If samples differ in shape.
    TypeError
        If a sample is of a kind that cannot be stacked.
    """
    first = batch[0]
    if isinstance(first, (Tensor, np.ndarray)):
        arrays = [item.data if isinstance(item, Tensor) else item for item in batch]
        shapes = {array.shape for array in arrays}
        if len(shapes) > 1:
            raise ValueError(
                f"default_collate: samples of one batch differ in shape: {sorted(shapes)}; "
                "resize or crop them to one size"
            )
        return Tensor(np.stack(arrays))
    if isinstance(first, (bool, np.bool_)):
        return Tensor(np.asarray(batch, dtype=np.bool_))
    if isinstance(first, (int, np.integer)):
        return Tensor(np.asarray(batch, dtype=np.int64))
    if isinstance(first, (float, np.floating)):
        return Tensor(np.asarray(batch, dtype=np.float32))
    if isinstance(first, (str, bytes)):
        return list(batch)
    if isinstance(first, Mapping):
        return {key: default_collate([item[key] for item in batch]) for key in first}
    if isinstance(first, (tuple, list)):
        if any(len(item) != len(first) for item in batch):
            raise ValueError("default_collate: samples of one batch differ in length")
        return [default_collate(column) for column in zip(*batch, strict=True)]
    raise TypeError(
        f"default_collate: cannot stack samples of type {type(first).__name__}; "
        "turn pictures into tensors with transforms.ToTensor(), or give a collate_fn"
    )


def default_convert(data: Any) -> Any:
    """A sample with tensors in place of its arrays."""
    if isinstance(data, np.ndarray):
        return Tensor(data)
    if isinstance(data, Mapping):
        return {key: default_convert(value) for key, value in data.items()}
    if isinstance(data, (tuple, list)):
        return type(data)(default_convert(value) for value in data)
    return data


def get_worker_info() -> None:
    """None: no copy of the data set lives in a worker process."""


class DataLoader:
    """Iterate over a data set in batches.

    Parameters
    ----------
    dataset : Dataset
        Of an `IterableDataset` samples come as they come: without order, sampler or workers.
    batch_size : int or None
        None gives samples one by one, as they are.
    shuffle : bool
        Visit the samples in a new random order at every pass.
    sampler, batch_sampler : iterable, optional
        Own orders of indices, or of lists of indices, instead of ``shuffle``.
    num_workers : int
        Worker threads that prepare batches ahead; 0 prepares them in the calling thread.  NumPy,
        Pillow and fastconv release the interpreter lock, so threads do the work of PyTorch's
        processes without copying.
    collate_fn : callable
        Makes a batch from a list of samples; `default_collate` unless given.
    drop_last : bool
        Leave out a last batch smaller than ``batch_size``.
    generator : int, numpy.random.Generator or None
        Source of the order and of the random transforms; None is the global generator, seeded by
        ``fastconv.manual_seed``.  Batches are the same for any ``num_workers``.
    prefetch_factor : int
        Batches prepared ahead per worker.
    pin_memory, timeout, worker_init_fn, multiprocessing_context, persistent_workers, in_order
        Accepted for PyTorch's sake; they have nothing to do with threads.

    Raises
    ------
    ValueError
        For a batch size, worker count or combination of arguments that makes no sense.
    """

    def __init__(
        self,
        dataset: Dataset[Any],
        batch_size: int | None = 1,
        shuffle: bool | None = False,
        sampler: Iterable[int] | None = None,
        batch_sampler: Iterable[Sequence[int]] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], None] | None = None,
        multiprocessing_context: Any = None,
        generator: Any = None,
        *,
        prefetch_factor: int | None = 2,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ) -> None:
        prefetch_factor = 2 if prefetch_factor is None else prefetch_factor
        if num_workers < 0:
            raise ValueError(f"DataLoader: num_workers must not be negative, got {num_workers}")
        if prefetch_factor < 1:
            raise ValueError(f"DataLoader: prefetch_factor must be positive, got {prefetch_factor}")
        if sampler is not None and shuffle:
            raise ValueError("DataLoader: give either sampler or shuffle, not both")
        if batch_sampler is not None and (
            batch_size != 1 or shuffle or sampler is not None or drop_last
        ):
            raise ValueError(
                "DataLoader: batch_sampler excludes batch_size, shuffle, sampler and drop_last"
            )
        streamed = isinstance(dataset, IterableDataset)
        if streamed and (shuffle or sampler is not None or batch_sampler is not None):
            raise ValueError(
                "DataLoader: an IterableDataset has no order to choose: leave out shuffle, sampler "
                "and batch_sampler"
            )
        if batch_size is None and (shuffle or drop_last):
            raise ValueError("DataLoader: batch_size=None excludes shuffle and drop_last")
        # One generator for the loader's life: an int seeds it once, not anew at every pass.
        self.generator = None if generator is None else make_generator(generator)
        if sampler is None and not streamed:
            sampler = (
                RandomSampler(dataset, generator=self.generator)
                if shuffle
                else SequentialSampler(dataset)
            )
        self.dataset = dataset
        self.batch_size = batch_size
        self.drop_last = drop_last
        self.sampler = sampler
        if batch_sampler is None and sampler is not None and batch_size is not None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        self.batch_sampler = batch_sampler
        self.num_workers = num_workers
        self.prefetch_factor = prefetch_factor
        self.collate_fn = default_collate if collate_fn is None else collate_fn
        self._collates = self.collate_fn is default_collate

    def __len__(self) -> int:
        if self.batch_sampler is not None:
            return len(self.batch_sampler)  # type: ignore[arg-type]
        samples = len(self.dataset if self.sampler is None else self.sampler)  # type: ignore[arg-type]
        size = self.batch_size or 1
        return samples // size if self.drop_last else -(-samples // size)

    def __iter__(self) -> Iterator[Any]:
        epoch = int(make_generator(self.generator).integers(2**63))
        if self.batch_sampler is None:
            return self._streamed(epoch)
        return self._threaded(epoch) if self.num_workers else self._plain(epoch)

    def _streamed(self, epoch: int) -> Iterator[Any]:
        """Samples of a stream, or of an order without batches."""
        one_by_one = default_convert if self._collates else self.collate_fn
        samples = (
            iter(self.dataset) if self.sampler is None else (self.dataset[i] for i in self.sampler)
        )
        for number in count():
            with seeded(epoch, number):
                batch = list(islice(samples, self.batch_size or 1))
            if not batch:
                return
            if self.batch_size is None:
                yield one_by_one(batch[0])
            elif len(batch) == self.batch_size or not self.drop_last:
                yield self.collate_fn(batch)

    def _plain(self, epoch: int) -> Iterator[Any]:
        for number, indices in enumerate(self._batches()):
            yield self._fetch(epoch, number, indices)

    def _batches(self) -> Iterable[Sequence[int]]:
        return () if self.batch_sampler is None else self.batch_sampler

    def _threaded(self, epoch: int) -> Iterator[Any]:
        ahead = self.num_workers * self.prefetch_factor
        waiting: deque[Future[Any]] = deque()
        with ThreadPoolExecutor(self.num_workers, "fastconv-loader") as pool:
            try:
                for number, indices in enumerate(self._batches()):
                    waiting.append(pool.submit(self._fetch, epoch, number, indices))
                    if len(waiting) >= ahead:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:  # also when the loop over the loader is left early
                for future in waiting:
                    future.cancel()

    def _fetch(self, epoch: int, number: int, indices: Sequence[int]) -> Any:
        with seeded(epoch, number):
            if isinstance(self.dataset, TensorDataset) and self._collates:
                columns = self.dataset[np.asarray(indices, dtype=np.int64)]
                return [c if isinstance(c, Tensor) else Tensor(c) for c in columns]
            return self.collate_fn([self.dataset[i] for i in indices])
