"""Sums, means, extrema and other functions that take axes away."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .._types import Array, Operand, Result
from ..autograd import TensorBase, raw, record, wrap
from ._tools import array_first, axes_of, axis_of, numpy_names
from .convert import cast, clone
from .elementwise import floating
from .narrow import in_float32

__all__ = [
    "all",
    "amax",
    "amin",
    "any",
    "argmax",
    "argmin",
    "argsort",
    "count_nonzero",
    "cumsum",
    "diff",
    "logsumexp",
    "max",
    "mean",
    "min",
    "prod",
    "sort",
    "std",
    "std_mean",
    "sum",
    "topk",
    "var",
    "var_mean",
]


class Extremum(NamedTuple):
    """Values along an axis and where they were found."""

    values: Any
    indices: Any


def expanded(g: Array, axes: tuple[int, ...] | None, keepdim: bool, ndim: int) -> Array:
    """The gradient of a reduction with its axes put back as axes of extent 1."""
    if axes is None:
        return g.reshape((1,) * ndim)
    return g if keepdim else np.expand_dims(g, axes)


@numpy_names
@in_float32
def sum(input: Operand, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Result:
    """The sum over `dim` (an axis, several, or all)."""
    x = raw(input)
    axes = axes_of(dim, x.ndim, "sum")
    y = np.asarray(np.sum(x, axes, keepdims=keepdim, dtype=dtype))
    if not isinstance(input, TensorBase):
        return y
    shape, ndim = x.shape, x.ndim
    return record(
        "Sum",
        y,
        (input,),
        lambda g: (np.broadcast_to(expanded(g, axes, keepdim, ndim), shape),),
    )


@numpy_names
@in_float32
def mean(input: Operand, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Result:
    """The mean over `dim` (an axis, several, or all)."""
    x = raw(input)
    kind = x.dtype if dtype is None else np.dtype(dtype)
    if kind.kind in "biu":
        raise TypeError(f"mean: expected a floating-point input or dtype, got {kind}")
    axes = axes_of(dim, x.ndim, "mean")
    with np.errstate(invalid="ignore", divide="ignore"):
        total = np.asarray(np.sum(x, axes, keepdims=keepdim, dtype=dtype))
        count = x.size if axes is None else int(np.prod([x.shape[a] for a in axes]))
        y = total / np.asarray(count, dtype=total.dtype)
    if not isinstance(input, TensorBase):
        return y
    shape, ndim = x.shape, x.ndim
    return record(
        "Mean",
        y,
        (input,),
        lambda g: (np.broadcast_to(expanded(g, axes, keepdim, ndim) / count, shape),),
    )


def _correction(unbiased: bool | None, correction: float | None) -> float:
    if correction is not None:
        return correction
    return 0 if unbiased is False else 1


@numpy_names
@in_float32
def var(
    input: Operand,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Result:
    """The variance over `dim`, divided by ``count - correction`` (1 unless ``unbiased=False``)."""
    if isinstance(dim, bool):  # var(x, False)
        dim, unbiased = None, dim
    x = raw(input)
    axes = axes_of(dim, x.ndim, "var")
    count = x.size if axes is None else int(np.prod([x.shape[a] for a in axes]))
    below = np.maximum(count - _correction(unbiased, correction), 0)
    centred = x - x.mean(axes, keepdims=True, dtype=x.dtype)
    with np.errstate(invalid="ignore", divide="ignore"):
        y = np.asarray(np.square(centred).sum(axes, keepdims=keepdim)) / x.dtype.type(below)
    if not isinstance(input, TensorBase):
        return y
    ndim = x.ndim
    return record(
        "Var",
        y,
        (input,),
        lambda g: (expanded(g, axes, keepdim, ndim) * (2 / x.dtype.type(below)) * centred,),
    )


@numpy_names
@in_float32
def std(
    input: Operand,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Result:
    """The standard deviation over `dim`; see :func:`var`."""
    from .elementwise import sqrt

    axes_of(None if isinstance(dim, bool) else dim, raw(input).ndim, "std")
    return sqrt(var(input, dim, unbiased, keepdim, correction=correction))


@numpy_names
@in_float32
def var_mean(
    input: Operand,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> tuple[Result, Result]:
    """The variance and the mean over `dim`."""
    if isinstance(dim, bool):  # var_mean(x, False)
        dim, unbiased = None, dim
    axes_of(None if isinstance(dim, bool) else dim, raw(input).ndim, "var_mean")
    return var(input, dim, unbiased, keepdim, correction=correction), mean(input, dim, keepdim)


@numpy_names
@in_float32
def std_mean(
    input: Operand,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> tuple[Result, Result]:
    """The standard deviation and the mean over `dim`."""
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    axes_of(None if isinstance(dim, bool) else dim, raw(input).ndim, "std_mean")
    return std(input, dim, unbiased, keepdim, correction=correction), mean(input, dim, keepdim)


@numpy_names
@in_float32
def prod(
    input: Operand, dim: int | None = None, keepdim: bool = False, *, dtype: Any = None
) -> Result:
    """The product over an axis or over all."""
    if dtype is not None:
        input = cast(input, dtype)
    x = raw(input)
    axes = axes_of(dim, x.ndim, "prod")
    y = np.asarray(np.prod(x, axes, keepdims=keepdim))
    if not isinstance(input, TensorBase):
        return y
    ndim = x.ndim

    def backward(g: Array) -> tuple[Array]:
        zeros = (x == 0).sum(axes, keepdims=True)
        rest = np.prod(np.where(x == 0, 1, x), axes, keepdims=True)
        with np.errstate(divide="ignore", invalid="ignore"):
            others = np.where(zeros == 0, rest / x, np.where((zeros == 1) & (x == 0), rest, 0))
        return ((expanded(g, axes, keepdim, ndim) * others).astype(g.dtype),)

    return record("Prod", y, (input,), backward, saves=(input,))


# ---- extrema -------------------------------------------------------------------------------------


def _along(name: str, input: Operand, dim: int, keepdim: bool, find: Any) -> Extremum:
    """Values and indices that ``find`` picks along one axis; the gradient goes to them alone."""
    x = raw(input)
    axis = axis_of(dim, x.ndim, name.lower())
    if x.ndim == 0:
        indices = np.zeros((), np.int64)
        values = np.array(x)
    else:
        kept = np.expand_dims(find(x, axis=axis), axis)
        values = np.take_along_axis(x, kept, axis)
        indices = kept
        if not keepdim:
            values, indices = values.squeeze(axis), kept.squeeze(axis)
    if not isinstance(input, TensorBase):
        return Extremum(values, indices)
    shape = x.shape

    def backward(g: Array) -> tuple[Array]:
        gx = np.zeros(shape, g.dtype)
        if not shape:
            return (gx + g,)
        np.put_along_axis(gx, kept, g if keepdim else np.expand_dims(g, axis), axis)
        return (gx,)

    return Extremum(record(name, values, (input,), backward), wrap(indices))


def _spread(name: str, input: Operand, dim: Any, keepdim: bool, reduce: Any) -> Result:
    """An extremum over several axes; equal extrema share the gradient."""
    x = raw(input)
    axes = axes_of(dim, x.ndim, name.lower())
    y = np.asarray(reduce(x, axis=axes, keepdims=keepdim))
    if not isinstance(input, TensorBase):
        return y
    ndim = x.ndim

    def backward(g: Array) -> tuple[Array]:
        hit = x == expanded(y, axes, keepdim, ndim)
        share = hit / hit.sum(axes, keepdims=True)
        return ((expanded(g, axes, keepdim, ndim) * share).astype(g.dtype),)

    return record(name, y, (input,), backward, saves=(input,))


@numpy_names
def max(input: Operand, dim: Any = None, keepdim: bool = False) -> Result:
    """The largest value: of all, or along `dim` as ``(values, indices)``, or of two operands."""
    if dim is None:
        return _spread("Max", input, None, False, np.max)
    if not isinstance(dim, (int, np.integer)):
        from .arithmetic import maximum

        return maximum(input, dim)
    array_first("max", input)
    return _along("Max", input, int(dim), keepdim, np.argmax)


@numpy_names
def min(input: Operand, dim: Any = None, keepdim: bool = False) -> Result:
    """The smallest value: of all, or along `dim` as ``(values, indices)``, or of two operands."""
    if dim is None:
        return _spread("Min", input, None, False, np.min)
    if not isinstance(dim, (int, np.integer)):
        from .arithmetic import minimum

        return minimum(input, dim)
    array_first("min", input)
    return _along("Min", input, int(dim), keepdim, np.argmin)


@numpy_names
def amax(input: Operand, dim: Any = None, keepdim: bool = False) -> Result:
    """The largest value over `dim`; equal ones share the gradient."""
    return _spread("Amax", input, dim, keepdim, np.max)


@numpy_names
def amin(input: Operand, dim: Any = None, keepdim: bool = False) -> Result:
    """The smallest value over `dim`; equal ones share the gradient."""
    return _spread("Amin", input, dim, keepdim, np.min)


def _plain(input: Operand, y: Any) -> Result:
    y = np.asarray(y)
    return wrap(y) if isinstance(input, TensorBase) else y


@numpy_names
def argmax(input: Operand, dim: int | None = None, keepdim: bool = False) -> Result:
    """Where the largest value is: in the flattened input, or along `dim`."""
    return _plain(input, _where_is(np.argmax, raw(input), dim, keepdim))


@numpy_names
def argmin(input: Operand, dim: int | None = None, keepdim: bool = False) -> Result:
    """Where the smallest value is: in the flattened input, or along `dim`."""
    return _plain(input, _where_is(np.argmin, raw(input), dim, keepdim))


def _where_is(find: Any, x: Array, dim: int | None, keepdim: bool) -> Array:
    if dim is not None:
        axis = axis_of(dim, x.ndim, find.__name__)
    if dim is None or x.ndim == 0:
        found = np.asarray(find(x))
        return found.reshape((1,) * x.ndim) if keepdim else found
    found = np.asarray(find(x, axis=axis))
    return np.expand_dims(found, axis) if keepdim else found


@numpy_names
def all(input: Operand, dim: Any = None, keepdim: bool = False) -> Result:
    """Whether all values are true."""
    x = raw(input)
    return _plain(input, np.all(x, axes_of(dim, x.ndim, "all"), keepdims=keepdim))


@numpy_names
def any(input: Operand, dim: Any = None, keepdim: bool = False) -> Result:
    """Whether any value is true."""
    x = raw(input)
    return _plain(input, np.any(x, axes_of(dim, x.ndim, "any"), keepdims=keepdim))


@numpy_names
def count_nonzero(input: Operand, dim: Any = None) -> Result:
    """How many values are not zero."""
    x = raw(input)
    return _plain(input, np.count_nonzero(x, axes_of(dim, x.ndim, "count_nonzero")))


# ---- norms and running sums ----------------------------------------------------------------------


@numpy_names
@in_float32
def logsumexp(input: Operand, dim: Any, keepdim: bool = False) -> Result:
    """``log(sum(exp(input)))`` over `dim`, without overflow."""
    x = floating(raw(input))
    axes = axes_of(dim, x.ndim, "logsumexp")
    top = np.max(x, axes, keepdims=True, initial=-np.inf)
    top = np.where(np.isfinite(top), top, 0)
    with np.errstate(divide="ignore"):
        full = np.log(np.exp(x - top).sum(axes, keepdims=True)) + top
    y = full if keepdim else full.reshape(np.sum(x, axes).shape)
    if not isinstance(input, TensorBase):
        return y
    ndim = x.ndim
    return record(
        "LogSumExp",
        y,
        (input,),
        lambda g: (expanded(g, axes, keepdim, ndim) * np.exp(x - full),),
        saves=(input,),
    )


@numpy_names
@in_float32
def cumsum(input: Operand, dim: int, *, dtype: Any = None) -> Result:
    """Running sums along `dim`."""
    if dtype is not None:
        input = cast(input, dtype)
    x = raw(input)
    axis = axis_of(dim, x.ndim, "cumsum")
    if x.ndim == 0:
        return clone(input)
    y = np.cumsum(x, axis)
    if not isinstance(input, TensorBase):
        return y
    return record(
        "Cumsum", y, (input,), lambda g: (np.flip(np.cumsum(np.flip(g, axis), axis), axis),)
    )


@numpy_names
def diff(
    input: Operand, n: int = 1, dim: int = -1, prepend: Operand = None, append: Operand = None
) -> Result:
    """Differences of neighbours along `dim`, `n` times over, after joining `prepend`, `append`."""
    from .shape import cat

    if n < 0:
        raise ValueError(f"diff: order must be non-negative but got {n}")
    if raw(input).ndim == 0:
        raise ValueError("diff: expected at least one axis, got shape ()")
    axis = axis_of(dim, raw(input).ndim, "diff")
    if n and (prepend is not None or append is not None):
        input = cat([v for v in (prepend, input, append) if v is not None], axis)
    before, after = ((slice(None),) * axis + (s,) for s in (slice(None, -1), slice(1, None)))
    for _ in range(n):
        input = input[after] - input[before]
    return input


# ---- order ---------------------------------------------------------------------------------------


@numpy_names
def argsort(input: Operand, dim: int = -1, descending: bool = False, stable: bool = True) -> Result:
    """The indices that sort along `dim`."""
    x = raw(input)
    return _plain(input, _order(x, axis_of(dim, x.ndim, "argsort"), descending))


def _order(x: Array, axis: int, descending: bool) -> Array:
    if x.ndim == 0:
        return np.zeros((), np.int64)
    if not descending:
        return np.argsort(x, axis, kind="stable")
    # Sorting the reversed array and reversing again keeps equal values in their order.
    last = x.shape[axis] - 1
    return np.flip(last - np.argsort(np.flip(x, axis), axis, kind="stable"), axis)


def _picked(name: str, input: Operand, indices: Array, axis: int) -> Extremum:
    x = raw(input)
    if x.ndim == 0:
        return Extremum(clone(input), _plain(input, indices))
    values = np.take_along_axis(x, indices, axis)
    if not isinstance(input, TensorBase):
        return Extremum(values, indices)
    shape = x.shape

    def backward(g: Array) -> tuple[Array]:
        gx = np.zeros(shape, g.dtype)
        np.put_along_axis(gx, indices, g, axis)
        return (gx,)

    return Extremum(record(name, values, (input,), backward), wrap(indices))


@numpy_names
def sort(input: Operand, dim: int = -1, descending: bool = False, stable: bool = True) -> Extremum:
    """Sorted values and their indices along `dim`."""
    x = raw(input)
    axis = axis_of(dim, x.ndim, "sort")
    return _picked("Sort", input, _order(x, axis, descending), axis)


@numpy_names
def topk(
    input: Operand, k: int, dim: int = -1, largest: bool = True, sorted: bool = True
) -> Extremum:
    """The `k` largest (or smallest) values along `dim` and their indices.

    Parameters
    ----------
    input : array of any shape
    k : int
    dim : int
    largest : bool
    sorted : bool
        In order; otherwise the order is open.

    Returns
    -------
    array or Tensor
        ``(values, indices)``, both with extent k along `dim`.

    Raises
    ------
    ValueError
        If there are fewer than k values.
    """
    x = raw(input)
    axis = axis_of(dim, x.ndim, "topk")
    extent = x.shape[axis] if x.ndim else 1
    if not 0 <= k <= extent:
        raise ValueError(f"topk: k must lie in [0, {extent}], got {k}")
    order = _order(x, axis, descending=largest)
    return _picked("Topk", input, np.take(order, np.arange(k), axis) if x.ndim else order, axis)
