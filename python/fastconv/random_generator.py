"""``torch.Generator``: a source of random numbers that can be seeded, saved and set back."""

from __future__ import annotations

from typing import Any

import numpy as np

from .dtypes import device as device_of
from .tensor import Tensor

__all__ = ["Generator"]

_FIRST_SEED = 67280421310721  # PyTorch's, of a generator that nobody has seeded


class Generator(np.random.Generator):
    """A NumPy generator (PCG-64) with the methods of PyTorch's.

    Given as ``generator=`` to random functions, loaders, samplers and splits. The numbers are
    NumPy's: ``Generator().manual_seed(3)`` draws what ``numpy.random.default_rng(3)`` draws.

    Parameters
    ----------
    device : "cpu"

    Raises
    ------
    RuntimeError
        For any other device.
    """

    def __init__(self, device: Any = "cpu") -> None:
        self.device = device_of(device)
        self._seed = _FIRST_SEED
        super().__init__(np.random.PCG64(self._seed))

    def manual_seed(self, seed: int) -> Generator:
        """Start anew from `seed`; returns the generator."""
        self._seed = int(seed)
        self.bit_generator.state = np.random.PCG64(self._seed % 2**64).state
        return self

    def seed(self) -> int:
        """Start anew from a seed that the system draws; returns it."""
        return self.manual_seed(int(np.random.SeedSequence().generate_state(1, np.uint64)[0]))._seed

    def initial_seed(self) -> int:
        """The seed that the generator was started with."""
        return self._seed

    def get_state(self) -> Tensor:
        """Where the generator stands, as (40,) bytes for :meth:`set_state`."""
        state: Any = self.bit_generator.state
        long, short = state["state"], [state["has_uint32"], state["uinteger"]]
        numbers = [(long["state"], 16), (long["inc"], 16), *((n, 4) for n in short)]
        whole = b"".join(int(number).to_bytes(size, "little") for number, size in numbers)
        return Tensor(np.frombuffer(whole, np.uint8).copy())

    def set_state(self, new_state: Any) -> Generator:
        """Go back to where :meth:`get_state` was called; returns the generator."""
        whole = np.asarray(new_state)
        if whole.dtype != np.uint8 or whole.shape != (40,):
            raise ValueError(
                f"set_state: new_state must be 40 bytes of get_state, got {whole.dtype} of shape "
                f"{whole.shape}"
            )
        ends = (0, 16), (16, 32), (32, 36), (36, 40)
        state, inc, has, left = (
            int.from_bytes(whole[first:last].tobytes(), "little") for first, last in ends
        )
        self.bit_generator.state = {
            "bit_generator": "PCG64",
            "state": {"state": state, "inc": inc},
            "has_uint32": has,
            "uinteger": left,
        }
        return self

    def __reduce__(self) -> Any:
        return _rebuilt, (self._seed, np.asarray(self.get_state()))


def _rebuilt(seed: int, state: Any) -> Generator:
    return Generator().manual_seed(seed).set_state(state)
