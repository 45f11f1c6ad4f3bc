"""The generator behind weights, dropout and random tensors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .random_generator import Generator

__all__ = ["fork_rng", "generator", "get_rng_state", "initial_seed", "manual_seed", "seed"]
__all__ += ["set_rng_state"]

# Made when first used: numpy.random would take half of fastconv's import time.
_generator: Generator | None = None


def _default() -> Generator:
    global _generator
    if _generator is None:
        from .random_generator import Generator

        _generator = Generator()
        _generator.seed()
    return _generator


def generator() -> np.random.Generator:
    """The NumPy generator that all random functions draw from."""
    return _default()


def manual_seed(seed: int) -> Generator:
    """Start the generator anew, so that what follows can be repeated; returns it."""
    return _default().manual_seed(seed)


def seed() -> int:
    """Start the generator anew from a seed that the system draws; returns it."""
    return _default().seed()


def initial_seed() -> int:
    """The seed that the generator was started with."""
    return _default().initial_seed()


def get_rng_state() -> Any:
    """Where the generator stands, for :func:`set_rng_state`."""
    return _default().get_state()


def set_rng_state(new_state: Any) -> None:
    """Go back to where :func:`get_rng_state` was called."""
    _default().set_state(new_state)


@contextmanager
def fork_rng(devices: Any = None, enabled: bool = True, **_: Any) -> Iterator[None]:
    """Leave the generator, after a ``with`` block, where it was before."""
    state = get_rng_state()
    try:
        yield
    finally:
        if enabled:
            set_rng_state(state)
