"""Making tensors."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._types import Array
from .autograd import TensorBase, raw
from .dtypes import as_dtype, device, get_default_dtype
from .functional._tools import flat_ints, is_float
from .random import generator
from .tensor import Tensor, _converted

__all__ = [
    "allclose",
    "arange",
    "as_tensor",
    "asarray",
    "bernoulli",
    "empty",
    "empty_like",
    "equal",
    "eye",
    "from_dlpack",
    "from_numpy",
    "full",
    "full_like",
    "is_floating_point",
    "is_tensor",
    "linspace",
    "meshgrid",
    "normal",
    "numel",
    "ones",
    "ones_like",
    "rand",
    "rand_like",
    "randint",
    "randn",
    "randn_like",
    "randperm",
    "tensor",
    "zeros",
    "zeros_like",
]


def _on_cpu(where: Any) -> None:
    if where is not None:
        device(where)


def _finished(array: Array, dtype: Any, where: Any, requires_grad: bool) -> Tensor:
    _on_cpu(where)
    if dtype is not None:
        array = array.astype(as_dtype(dtype), copy=False)
    return Tensor(array, requires_grad=requires_grad)


def tensor(
    data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """A tensor with a copy of `data`.

    Parameters
    ----------
    data : array_like or Tensor
        Python floats become float32 (see :func:`set_default_dtype`), ints int64, bools bool; arrays
        keep their type.
    dtype : dtype, optional
    device : "cpu", optional
    requires_grad : bool

    Raises
    ------
    TypeError
        If `data` does not hold numbers.
    """
    return _finished(np.array(_converted(data)), dtype, device, requires_grad)


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """A tensor on the memory of `data` where that can be; a tensor itself if nothing changes."""
    if isinstance(data, Tensor):
        return data.to(dtype) if dtype is not None else data
    return _finished(_converted(data), dtype, device, False)


def asarray(
    obj: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """As :func:`as_tensor`."""
    result = as_tensor(obj, dtype, device)
    return result.requires_grad_() if requires_grad else result


def from_numpy(array: Array) -> Tensor:
    """A tensor on the memory of an array."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"from_numpy: expected an ndarray, got {type(array).__name__}")
    return Tensor(array)


def from_dlpack(source: Any) -> Tensor:
    """A tensor on the memory of any object that speaks DLPack, for example a torch tensor."""
    return Tensor(np.from_dlpack(source))


def full(
    size: Any,
    fill_value: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """A tensor of one value."""
    value = _converted(fill_value)
    shape = flat_ints((size,))
    return _finished(np.full(shape, value, value.dtype), dtype, device, requires_grad)


def zeros(
    *size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False, **_: Any
) -> Tensor:
    """A tensor of zeros."""
    return _finished(np.zeros(flat_ints(size), as_dtype(dtype)), None, device, requires_grad)


def ones(
    *size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False, **_: Any
) -> Tensor:
    """A tensor of ones."""
    return _finished(np.ones(flat_ints(size), as_dtype(dtype)), None, device, requires_grad)


def empty(
    *size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False, **_: Any
) -> Tensor:
    """A tensor that is to be filled (with zeros until then)."""
    return zeros(*size, dtype=dtype, device=device, requires_grad=requires_grad)


def _like(input: Any, dtype: Any) -> Any:
    return raw(input).dtype if dtype is None else as_dtype(dtype)


def zeros_like(input: Any, *, dtype: Any = None, requires_grad: bool = False, **_: Any) -> Tensor:
    """Zeros in the shape and type of `input`."""
    return Tensor(np.zeros_like(raw(input), _like(input, dtype)), requires_grad=requires_grad)


def ones_like(input: Any, *, dtype: Any = None, requires_grad: bool = False, **_: Any) -> Tensor:
    """Ones in the shape and type of `input`."""
    return Tensor(np.ones_like(raw(input), _like(input, dtype)), requires_grad=requires_grad)


empty_like = zeros_like


def full_like(
    input: Any, fill_value: Any, *, dtype: Any = None, requires_grad: bool = False, **_: Any
) -> Tensor:
    """One value in the shape and type of `input`."""
    array = np.full_like(raw(input), raw(fill_value), _like(input, dtype))
    return Tensor(array, requires_grad=requires_grad)


def arange(
    start: Any, end: Any = None, step: Any = 1, *, dtype: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Numbers from `start` up to, but not including, `end`."""
    if end is None:
        start, end = 0, start
    start, end, step = (v.item() if isinstance(v, Tensor) else v for v in (start, end, step))
    array = np.arange(start, end, step)
    if array.dtype == np.float64:
        array = array.astype(get_default_dtype())
    return _finished(array, dtype, device, requires_grad)


def linspace(
    start: float, end: float, steps: int, *, dtype: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """`steps` numbers at equal distances from `start` to `end`, both included."""
    array = np.linspace(start, end, steps, dtype=as_dtype(dtype))
    return _finished(array, None, device, requires_grad)


def eye(
    n: int, m: int | None = None, *, dtype: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Ones on the diagonal, zeros elsewhere."""
    return _finished(np.eye(n, m, dtype=as_dtype(dtype)), None, device, requires_grad)


def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Tensor, ...]:
    """Coordinate grids from coordinate vectors."""
    given = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)) else tensors
    grids = np.meshgrid(*(raw(t) for t in given), indexing=indexing)  # type: ignore[call-overload]
    return tuple(Tensor(np.ascontiguousarray(g)) for g in grids)


# ---- random --------------------------------------------------------------------------------------


def _drawn_float(draw: Any, size: Any, dtype: Any) -> Array:
    """Random numbers drawn in the type they are wanted in."""
    kind = as_dtype(dtype)
    native = kind if kind in (np.float32, np.float64) else np.dtype(np.float32)
    return np.asarray(draw(flat_ints(size), dtype=native)).astype(kind, copy=False)


def rand(
    *size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False,
    generator: Any = None,
) -> Tensor:  # fmt: skip
    """Random numbers spread evenly over [0, 1)."""
    rng = generator or _rng()
    return _finished(_drawn_float(rng.random, size, dtype), None, device, requires_grad)


def randn(
    *size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False,
    generator: Any = None,
) -> Tensor:  # fmt: skip
    """Random numbers from the standard normal distribution."""
    rng = generator or _rng()
    return _finished(_drawn_float(rng.standard_normal, size, dtype), None, device, requires_grad)


def _rng() -> np.random.Generator:
    return generator()


def rand_like(input: Any, *, dtype: Any = None, **more: Any) -> Tensor:
    """As :func:`rand`, in the shape and type of `input`."""
    return rand(raw(input).shape, dtype=_like(input, dtype), **more)


def randn_like(input: Any, *, dtype: Any = None, **more: Any) -> Tensor:
    """As :func:`randn`, in the shape and type of `input`."""
    return randn(raw(input).shape, dtype=_like(input, dtype), **more)


def randint(
    low: int, high: Any = None, size: Any = None, *, dtype: Any = None, device: Any = None,
    generator: Any = None,
) -> Tensor:  # fmt: skip
    """Whole numbers from `low` (0 if left out) up to, but not including, `high`."""
    if size is None:
        low, high, size = 0, low, high
    rng = generator or _rng()
    array = rng.integers(low, high, size=flat_ints((size,)))
    return _finished(array, dtype, device, False)


def randperm(n: int, *, dtype: Any = None, device: Any = None, generator: Any = None) -> Tensor:
    """The whole numbers below `n` in random order."""
    rng = generator or _rng()
    return _finished(rng.permutation(n), dtype, device, False)


def normal(mean: Any = 0.0, std: Any = 1.0, size: Any = None, *, generator: Any = None) -> Tensor:
    """Random numbers from normal distributions."""
    rng = generator or _rng()
    array = rng.normal(raw(mean), raw(std), None if size is None else flat_ints((size,)))
    return Tensor(np.asarray(array, dtype=get_default_dtype()))


def bernoulli(input: Any, p: float | None = None, *, generator: Any = None) -> Tensor:
    """1 with the probability that `input` names, else 0."""
    x = raw(input)
    chance = x if p is None else p
    return Tensor(((generator or _rng()).random(x.shape) < chance).astype(x.dtype))


# ---- questions -----------------------------------------------------------------------------------


def is_tensor(obj: Any) -> bool:
    """Whether `obj` is a tensor."""
    return isinstance(obj, TensorBase)


def is_floating_point(input: Any) -> bool:
    """Whether the elements are floating-point numbers."""
    return is_float(raw(input))


def numel(input: Any) -> int:
    """The number of elements."""
    return int(raw(input).size)


def equal(input: Any, other: Any) -> bool:
    """Whether shape and all values are the same."""
    return np.array_equal(raw(input), raw(other))


def allclose(
    input: Any, other: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> bool:
    """Whether all values agree to ``atol + rtol * |other|``."""
    return np.allclose(raw(input), raw(other), rtol, atol, equal_nan)
