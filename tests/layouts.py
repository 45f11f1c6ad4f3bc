"""The memory an array may come in, and the memory a result may be asked to fill.

`LAYOUTS` maps a name to a function that returns its argument in that layout.  The zero-stride and
the sliding layouts cannot hold arbitrary values, so a test computes what it expects from the array
it gets back, not from the one it gave.

`Guarded` is an output buffer whose every byte is 0xFF, which reads as NaN: an element that a kernel
forgets stays NaN, and a byte written outside the output shows in `check`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

Array = NDArray[Any]


def _filled(view: Array, a: Array) -> Array:
    view[...] = a
    return view


def _moved(empty: Callable[[tuple[int, ...], np.dtype[Any]], Array]) -> Callable[[Array], Array]:
    return lambda a: _filled(empty(a.shape, a.dtype), a) if a.ndim else a.copy()


# Empty writable arrays of a shape and dtype, each in one layout -----------------------------------


def _bytes(count: int) -> Array:
    """`count` bytes of 0xFF.  NumPy aligns them to 16, so an offset of 1 is surely unaligned."""
    return np.full(count, 0xFF, np.uint8)


def _c_order(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    return _bytes(int(np.prod(shape)) * dtype.itemsize).view(dtype).reshape(shape)


def _permuted(order: Callable[[int], list[int]]) -> Callable[..., Array]:
    """Axes stored in another order, outermost first."""

    def empty(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        axes = order(len(shape))
        stored = _c_order(tuple(shape[axis] for axis in axes), dtype)
        return stored.transpose(np.argsort(axes)) if axes else stored

    return empty


_fortran = _permuted(lambda n: list(range(n))[::-1])
_channels_last = _permuted(lambda n: [0, *range(2, n), 1] if n > 2 else list(range(n)))
_last_axes_swapped = _permuted(lambda n: [*range(n - 2), n - 1, n - 2] if n > 1 else list(range(n)))


def _reversed(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    return _c_order(shape, dtype)[(slice(None, None, -1),) * len(shape)]


def _inside(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """A block inside a larger array, with foreign elements on every side."""
    larger = _c_order(tuple(n + 3 for n in shape), dtype)
    return larger[tuple(slice(2, 2 + n) for n in shape)]


def _gapped(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Every other element, along every axis."""
    return _c_order(tuple(2 * n for n in shape), dtype)[(slice(None, None, 2),) * len(shape)]


def _unaligned(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    size = int(np.prod(shape)) * dtype.itemsize
    return _bytes(size + dtype.itemsize)[1 : 1 + size].view(dtype).reshape(shape)


def _byte_strided(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """A field of a packed record: strides are not multiples of the item size."""
    record = np.dtype([("tag", np.uint8), ("value", dtype), ("pad", np.uint8, 2)])
    return _bytes(int(np.prod(shape)) * record.itemsize).view(record)["value"].reshape(shape)


WRITABLE: dict[str, Callable[[tuple[int, ...], np.dtype[Any]], Array]] = {
    "c_order": _c_order,
    "fortran": _fortran,
    "channels_last": _channels_last,
    "last_axes_swapped": _last_axes_swapped,
    "reversed": _reversed,
    "inside": _inside,
    "gapped": _gapped,
    "unaligned": _unaligned,
    "byte_strided": _byte_strided,
}


# Layouts of inputs --------------------------------------------------------------------------------


def _read_only(a: Array) -> Array:
    a = a.copy()
    a.setflags(write=False)
    return a


def _one_image(a: Array) -> Array:
    """The first entry of the first axis, repeated by a zero stride."""
    return np.broadcast_to(a[:1], a.shape) if a.size else a


def _one_value(a: Array) -> Array:
    return np.broadcast_to(a.flat[0], a.shape) if a.size else a


def _sliding(a: Array) -> Array:
    """Rows that overlap in memory: row i + 1 is row i moved by one."""
    if a.ndim < 2 or not a.size:
        return a
    line = np.resize(a, (*a.shape[:-2], a.shape[-2] + a.shape[-1]))
    step = line.strides[-1]
    return as_strided(line, a.shape, (*line.strides[:-1], step, step), writeable=False)


def _channels_last_reversed(a: Array) -> Array:
    flip = (slice(None, None, -1),) * a.ndim
    return _filled(_channels_last(a.shape, a.dtype), a[flip])[flip]


LAYOUTS: dict[str, Callable[[Array], Array]] = {
    **{name: _moved(empty) for name, empty in WRITABLE.items()},
    "read_only": _read_only,
    "one_image": _one_image,
    "one_value": _one_value,
    "sliding": _sliding,
    "channels_last_reversed": _channels_last_reversed,
}


def is_channels_last(a: Array) -> bool:
    """Whether `a`, (N, C, *spatial), is stored as a contiguous (N, *spatial, C)."""
    return bool(np.moveaxis(a, 1, -1).flags.c_contiguous)


# Outputs ------------------------------------------------------------------------------------------


class Guarded:
    """An output of NaN inside a buffer of 0xFF bytes."""

    def __init__(self, shape: tuple[int, ...], dtype: Any, layout: str = "inside") -> None:
        self.out = WRITABLE[layout](tuple(shape), np.dtype(dtype))
        base = self.out
        while base.base is not None:
            base = base.base
        self._buffer: Array = base

    def untouched(self) -> bool:
        """Whether the whole buffer, output included, is as it was made."""
        return bool((self._buffer == 0xFF).all())

    def check(self) -> Array:
        """The output's values, having made sure that nothing beside them was written."""
        values = self.out.copy()
        self.out.view(f"i{self.out.itemsize}")[...] = -1
        assert self.untouched(), "bytes outside the output were written"
        return values
