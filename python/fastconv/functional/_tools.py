"""What gradient rules share."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from .. import _core
from .._types import Array, DType
from ..autograd import needs_grad, raw

Shape = tuple[int, ...]
Function = TypeVar("Function", bound=Callable[..., Any])


def no_array(function: Callable[..., Any], args: Any, kwargs: Any) -> TypeError | None:
    """What to raise in place of an AttributeError: the first operand that is no array, if any."""
    code, kinds = function.__code__, function.__annotations__
    for name, value in {**dict(zip(code.co_varnames, args, strict=False)), **kwargs}.items():
        kind = kinds.get(name, "").removesuffix(" | None")
        if kind in ("Operand", "Array") and value is not None and not hasattr(value, "dtype"):
            return TypeError(
                f"{function.__name__}: {name} must be an array or a Tensor, "
                f"got {type(value).__name__}"
            )
    return None


def numpy_names(function: Function) -> Function:
    """Let NumPy's ``axis`` and ``keepdims`` stand for ``dim`` and ``keepdim``, as PyTorch does."""

    inner = getattr(function, "__wrapped__", function)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if "axis" in kwargs:
            kwargs["dim"] = kwargs.pop("axis")
        if "keepdims" in kwargs:
            kwargs["keepdim"] = kwargs.pop("keepdims")
        try:
            return function(*args, **kwargs)
        except AttributeError as error:
            raise no_array(inner, args, kwargs) or error from None

    return call  # type: ignore[return-value]


def wanted_shape(value: Any) -> Shape | None:
    """The shape of an operand whose gradient will be asked for, else None."""
    return raw(value).shape if needs_grad(value) else None


def sum_to(grad: Array, shape: Shape | None) -> Array | None:
    """Undo broadcasting: sum `grad` down to `shape`; None where no gradient is wanted."""
    if shape is None or grad.shape == shape:
        return None if shape is None else grad
    extra = grad.ndim - len(shape)
    axes = tuple(
        i for i in range(grad.ndim) if i < extra or (shape[i - extra] == 1 and grad.shape[i] != 1)
    )
    return np.asarray(grad.sum(axes, dtype=grad.dtype)).reshape(shape)


def ints(value: Any, rank: int, function: str, name: str) -> Shape:
    """One int per axis from an int or a sequence of `rank` (or one) ints."""
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        return (int(value),) * rank
    try:
        values = tuple(value)
    except TypeError:
        values = ()
    if not values or any(
        isinstance(v, bool) or not isinstance(v, (int, np.integer)) for v in values
    ):
        raise TypeError(
            f"{function}: {name} must be an int or a sequence of {rank} ints, got {value!r}"
        )
    if len(values) == 1:
        values *= rank
    if len(values) != rank:
        raise ValueError(f"{function}: {name} must be an int or {rank} ints, got {value!r}")
    return tuple(int(v) for v in values)


def axis_of(dim: int, ndim: int, function: str) -> int:
    """`dim` counted from the front, or IndexError."""
    try:
        dim = operator.index(dim)
    except TypeError:
        raise TypeError(f"{function}: dim must be a whole number, got {dim!r}") from None
    count = max(ndim, 1)  # a single number counts as one axis
    if not -count <= dim < count:
        raise IndexError(
            f"{function}: dim must lie in [{-count}, {count - 1}] for {ndim} axes, got {dim}"
        )
    return dim % count


def axes_of(dim: Any, ndim: int, function: str) -> Shape | None:
    """One or several axes counted from the front; None (all axes) stays None, () becomes it."""
    if dim is None:
        return None
    if isinstance(dim, (int, np.integer)):
        dim = (dim,)
    elif not isinstance(dim, (tuple, list, range)):
        raise TypeError(f"{function}: dim must be whole numbers or None, got {dim!r}")
    axes = tuple([axis_of(d, ndim, function) for d in dim])
    if len(set(axes)) != len(axes):
        raise ValueError(f"{function}: dim names an axis twice: {tuple(dim)}")
    return axes if ndim and axes else None


def operand(value: Any) -> Any:
    """The array of an operand; numbers stay Python numbers, which widen nothing."""
    value = raw(value)
    if isinstance(value, (np.ndarray, int, float, complex)) and not isinstance(value, np.generic):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (list, tuple)):
        return np.asarray(value)
    raise TypeError(f"expected a tensor, an array or a number, got {type(value).__name__}")


def array_first(name: str, input: Any, argument: str = "input") -> Any:
    """`input`, which must be an array or a tensor and no mere number."""
    if not isinstance(raw(input), (np.ndarray, np.generic)):
        raise TypeError(
            f"{name}: {argument} must be an array or a Tensor, got {type(input).__name__}"
        )
    return input


def written(name: str, out: Array, result: Array, *inputs: Any) -> Array:
    """`out` with the values of `result`; it must fit, and share no memory with the inputs."""
    out = raw(out)
    if not isinstance(out, np.ndarray):
        raise TypeError(f"{name}: out must be an array, but got {type(out).__name__}")
    if out.dtype != result.dtype:
        raise TypeError(f"{name}: out must be {result.dtype} like the result, but got {out.dtype}")
    if out.shape != result.shape:
        raise ValueError(f"{name}: out must have shape {result.shape}, but got shape {out.shape}")
    if not out.flags.writeable:
        raise ValueError(f"{name}: out must be writable, but is read-only")
    if any(isinstance(a, np.ndarray) and np.may_share_memory(out, a) for a in inputs):
        raise ValueError(f"{name}: out must not overlap an input in memory")
    out[...] = result
    return out


def fit_together(name: str, **operands: Any) -> Shape:
    """The shape that arrays broadcast to, or ValueError naming them."""
    shapes = {argument: np.shape(raw(value)) for argument, value in operands.items()}
    try:
        return np.broadcast_shapes(*shapes.values())
    except ValueError:
        came = " and ".join(f"{argument} {shape}" for argument, shape in shapes.items())
        raise ValueError(f"{name}: shapes do not fit together: {came}") from None


def is_float(array: Any) -> bool:
    """Whether the array's type can carry a gradient (ml_dtypes' bfloat16 has kind 'V')."""
    return bool(array.dtype.kind == "f" or is_half(array.dtype))


def is_half(dtype: DType) -> bool:
    """Whether `dtype` is float16 or ml_dtypes' bfloat16."""
    # The name of a type is slow to make, so ordinary ones are told apart before.
    return dtype.char not in "fd" and (dtype == np.float16 or dtype.name == "bfloat16")


def through_float32(function: Callable[..., Any], *arrays: Array) -> Any:
    """``function(*arrays)``, of half precision computed in float32 and rounded once."""
    own = getattr(arrays[0], "dtype", None)
    if own is None or not is_half(own):
        return function(*arrays)
    return np.asarray(function(*(a.astype(np.float32) for a in arrays))).astype(own)


def flat_ints(values: Sequence[Any]) -> Shape:
    """The ints of ``f(2, 3)`` or ``f((2, 3))``."""
    try:
        if len(values) == 1 and not isinstance(values[0], (int, np.integer)):
            values = tuple(values[0])
        return tuple([operator.index(raw(v)) for v in values])
    except TypeError:
        raise TypeError(f"expected whole numbers, got {values!r}") from None


_FLOAT32, _FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)


def compiled(*arrays: Any) -> bool:
    """Whether the compiled rows take these arrays: all float32, or all float64."""
    first = getattr(arrays[0], "dtype", None)
    if first is not _FLOAT32 and first is not _FLOAT64 and first not in (_FLOAT32, _FLOAT64):
        return False
    for a in arrays:
        if not isinstance(a, np.ndarray) or (a.dtype is not first and a.dtype != first):
            return False
    return True


_LARGE = 16384  # elements: from here on fresh memory costs more than what is written into it


def binary(ufunc: np.ufunc, a: Any, b: Any) -> Any:
    """``ufunc(a, b)``; large results of equal arrays stand in recycled memory."""
    if (
        type(a) is np.ndarray
        and type(b) is np.ndarray
        and a.size >= _LARGE
        and a.shape == b.shape
        and a.flags.c_contiguous
        and b.flags.c_contiguous
        and compiled(a, b)
    ):
        return ufunc(a, b, out=_core.empty(a.shape, a.itemsize))
    return ufunc(a, b)


def product(a: Array, b: Array) -> Array:
    """``a @ b`` by the kernels of 1x1 convolutions, where both are matrices or batches of them.

    NumPy's own product brings a pool of threads, which keeps the processors busy waiting long after
    it is done: a training step that used both pools would take several times as long.
    """
    if not compiled(a, b) or a.ndim < 2 or b.ndim < 2 or not a.size or not b.size:
        return np.asarray(np.matmul(a, b))
    if b.ndim == 2:
        rows = a.reshape(-1, a.shape[-1]) if a.ndim > 2 else a
        y = _core.product(rows, b)
        return y.reshape(*a.shape[:-1], b.shape[1]) if a.ndim > 2 else y
    if a.shape[:-2] == b.shape[:-2]:
        return _core.product(a, b)
    return np.asarray(np.matmul(a, b))


def row(
    name: str, plain: Callable[[Array], Any], a: float = 0.0, b: float = 0.0
) -> Callable[[Array], Any]:
    """An elementwise function: the compiled one called `name`, or for other dtypes `plain`."""

    def forward(x: Array) -> Any:
        if compiled(x):
            return _core.unary(name, x, a, b)
        return through_float32(forward if is_half(x.dtype) else plain, x)

    return forward


def row_backward(
    name: str, plain: Callable[[Array, Array], Any], a: float = 0.0, b: float = 0.0
) -> Callable[[Array, Array], Any]:
    """As :func:`row` for the gradient: of the result, and what the rule reads."""

    def backward(g: Array, x: Array) -> Any:
        if compiled(x, g) and g.shape == x.shape:
            return _core.unary_backward(name, g, x, a, b)
        return through_float32(backward if is_half(g.dtype) else plain, g, x)

    return backward
