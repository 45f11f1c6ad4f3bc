"""Where the randomness of data comes from.

Random transforms draw from `current`.  Inside a `DataLoader` that is a generator seeded by the
epoch and the batch, so a run gives the same pictures with any number of worker threads; outside it
is the package's global generator, the one that ``fastconv.manual_seed`` seeds.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..random import generator as global_generator

__all__ = ["current", "make_generator", "seeded"]

_local = threading.local()


def current() -> np.random.Generator:
    """The generator that random transforms draw from in this thread."""
    generator: np.random.Generator | None = getattr(_local, "generator", None)
    return global_generator() if generator is None else generator


@contextmanager
def seeded(*seed: int) -> Iterator[np.random.Generator]:
    """Make `current` in this thread a generator with this seed, until the block ends."""
    before = getattr(_local, "generator", None)
    _local.generator = np.random.default_rng([part % 2**64 for part in seed])
    try:
        yield _local.generator
    finally:
        _local.generator = before


def make_generator(source: Any) -> np.random.Generator:
    """A NumPy generator from None (the current one), an int seed or a NumPy generator."""
    if source is None:
        return current()
    if isinstance(source, np.random.Generator):
        return source
    return np.random.default_rng(source)
