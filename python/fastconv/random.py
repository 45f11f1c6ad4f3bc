"""The generator behind weights, dropout and random tensors."""

from __future__ import annotations

import numpy as np

__all__ = ["generator", "initial_seed", "manual_seed"]

# Made when first used: numpy.random would take half of fastconv's import time.
_seed = 0
_generator: np.random.Generator | None = None


def generator() -> np.random.Generator:
    """The NumPy generator that all random functions draw from."""
    if _generator is None:
        return manual_seed(int(np.random.SeedSequence().generate_state(1)[0]))
    return _generator


def manual_seed(seed: int) -> np.random.Generator:
    """Start the generator anew, so that what follows can be repeated; returns it."""
    global _generator, _seed
    _seed = int(seed)
    _generator = np.random.default_rng(_seed % 2**64)
    return _generator


def initial_seed() -> int:
    """The seed that the generator was started with."""
    generator()
    return _seed
