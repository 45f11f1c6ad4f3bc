"""Pooling in one, two and three dimensions.

As with convolution, arrays go straight to the compiled engine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import _core
from .._types import Array, Ints, Operand, Padding, Result
from ..autograd import TensorBase, needs_grad, record, wrap
from .convert import cast
from .narrow import in_float32, is_half, widened

__all__ = [
    "avg_pool1d",
    "avg_pool1d_backward",
    "avg_pool2d",
    "avg_pool2d_backward",
    "avg_pool3d",
    "avg_pool3d_backward",
    "max_pool1d",
    "max_pool1d_backward",
    "max_pool1d_with_indices",
    "max_pool2d",
    "max_pool2d_backward",
    "max_pool2d_with_indices",
    "max_pool3d",
    "max_pool3d_backward",
    "max_pool3d_with_indices",
]


def _placeholder(x: Array) -> Array:
    """The shape and type of `x` without its memory, for rules that read no more."""
    return np.broadcast_to(np.zeros((), x.dtype), x.shape)


def _taped_max(
    rank: int,
    input: TensorBase,
    kernel_size: Ints,
    stride: Ints | None,
    padding: Padding,
    dilation: Ints,
    ceil_mode: bool,
    return_indices: bool,
    out: Array | None,
) -> Result:
    x = input._array
    if is_half(x.dtype):
        wide = cast(input, np.float32)
        result = _taped_max(
            rank, wide, kernel_size, stride, padding, dilation, ceil_mode, return_indices, None
        )
        if return_indices:
            return cast(result[0], x.dtype), result[1]
        return cast(result, x.dtype)
    window = (kernel_size, stride, padding, dilation, ceil_mode)
    if x.dtype.kind in "iu":
        y = (max_pool1d, max_pool2d, max_pool3d)[rank - 1](x, *window, return_indices, out=out)
        return (wrap(y[0]), wrap(y[1])) if return_indices else wrap(y)
    if not needs_grad(input):
        y = _core.max_pool(rank, x, *window, return_indices, out)
        return (wrap(y[0]), wrap(y[1])) if return_indices else wrap(y)
    if out is not None:
        raise ValueError(f"max_pool{rank}d: out cannot be given when gradients are recorded")
    shaped = _placeholder(x)
    if return_indices:
        y, indices = _core.max_pool(rank, x, *window, True, None)
        backward, where = _core.max_pool_backward, indices
    else:  # kept for the gradient alone: as a rule a byte for each value
        y, where = _core.max_pool_taped(rank, x, *window)
        backward = _core.max_pool_taped_backward
    result = record(
        f"MaxPool{rank}d", y, (input,), lambda g: (backward(rank, g, shaped, where, *window),)
    )
    return (result, wrap(indices)) if return_indices else result


def max_pool2d(
    input: Operand,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Padding = 0,
    dilation: Ints = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    *,
    out: Array | None = None,
) -> Result:
    """The largest value in each window.

    Parameters
    ----------
    input : (N, C, H, W) or (C, H, W)
    kernel_size, dilation : int or pair
    stride : int or pair, optional
        The kernel size if left out.
    padding : int, pair, or ((top, bottom), (left, right))
        Counts as minus infinity (for integers as their least).
    ceil_mode : bool
        Round the output's extent up instead of down.
    return_indices : bool
        Also return where each value was found, as int64 offsets into its (H, W) plane.
    out : array of the output's shape, optional

    Returns
    -------
    array or Tensor, (N, C, P, Q) or (C, P, Q); with `return_indices` a pair

    Raises
    ------
    ValueError
        For shapes and values that do not fit together.
    TypeError
        For other dtypes than float32, float64, float16, bfloat16 and integers.

    Notes
    -----
    Semantics are those of ``torch.nn.functional.max_pool2d``: NaN wins, the first of equal values
    counts. A window that lies wholly in padding gives minus infinity, index -1 and no gradient.
    """
    if isinstance(input, TensorBase):
        return _taped_max(
            2, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices, out
        )
    how = (kernel_size, stride, padding, dilation, ceil_mode, return_indices)
    try:
        return _core.max_pool(2, input, *how, out)
    except TypeError:
        return widened(lambda x: _core.max_pool(2, x, *how, None), [input], out, whole=True)


def max_pool1d(
    input: Operand,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Padding = 0,
    dilation: Ints = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    *,
    out: Array | None = None,
) -> Result:
    """The largest value in each window of (N, C, L) or (C, L); see :func:`max_pool2d`."""
    if isinstance(input, TensorBase):
        return _taped_max(
            1, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices, out
        )
    how = (kernel_size, stride, padding, dilation, ceil_mode, return_indices)
    try:
        return _core.max_pool(1, input, *how, out)
    except TypeError:
        return widened(lambda x: _core.max_pool(1, x, *how, None), [input], out, whole=True)


def max_pool3d(
    input: Operand,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Padding = 0,
    dilation: Ints = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    *,
    out: Array | None = None,
) -> Result:
    """The largest value in each window of (N, C, D, H, W); see :func:`max_pool2d`."""
    if isinstance(input, TensorBase):
        return _taped_max(
            3, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices, out
        )
    how = (kernel_size, stride, padding, dilation, ceil_mode, return_indices)
    try:
        return _core.max_pool(3, input, *how, out)
    except TypeError:
        return widened(lambda x: _core.max_pool(3, x, *how, None), [input], out, whole=True)


def _taped_average(
    rank: int,
    input: TensorBase,
    kernel_size: Ints,
    stride: Ints | None,
    padding: Padding,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
    dilation: Ints,
    out: Array | None,
) -> Result:
    x = input._array
    window = (
        kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, dilation
    )  # fmt: skip
    if is_half(x.dtype):
        return cast(_taped_average(rank, cast(input, np.float32), *window, None), x.dtype)
    y = _core.avg_pool(rank, x, *window, out)
    if not needs_grad(input):
        return wrap(y)
    if out is not None:
        raise ValueError(f"avg_pool{rank}d: out cannot be given when gradients are recorded")
    shaped = _placeholder(x)
    return record(
        f"AvgPool{rank}d",
        y,
        (input,),
        lambda g: (_core.avg_pool_backward(rank, g, shaped, *window),),
    )


def avg_pool2d(
    input: Operand,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    dilation: Ints = 1,
    out: Array | None = None,
) -> Result:
    """The mean of each window.

    Parameters
    ----------
    input : (N, C, H, W) or (C, H, W)
    kernel_size : int or pair
    stride : int or pair, optional
        The kernel size if left out.
    padding : int, pair, or ((top, bottom), (left, right))
        Counts as zeros.
    ceil_mode : bool
        Round the output's extent up instead of down.
    count_include_pad : bool
        Whether padding counts in the divisor; what ceil_mode adds beyond it never does.
    divisor_override : int, optional
        Divide by this instead.
    dilation : int or pair
    out : array of the output's shape, optional

    Returns
    -------
    array or Tensor, (N, C, P, Q) or (C, P, Q)

    Raises
    ------
    ValueError
        For shapes and values that do not fit together.
    TypeError
        For other dtypes than float32, float64, float16 and bfloat16.

    Notes
    -----
    Semantics are those of ``torch.nn.functional.avg_pool2d``.
    """
    if isinstance(input, TensorBase):
        return _taped_average(
            2, input, kernel_size, stride, padding, ceil_mode, count_include_pad,
            divisor_override, dilation, out,
        )  # fmt: skip
    how = (
        kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, dilation
    )  # fmt: skip
    try:
        return _core.avg_pool(2, input, *how, out)
    except TypeError:
        return widened(lambda x: _core.avg_pool(2, x, *how, None), [input], out)


def avg_pool1d(
    input: Operand,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    dilation: Ints = 1,
    out: Array | None = None,
) -> Result:
    """The mean of each window of (N, C, L) or (C, L); see :func:`avg_pool2d`."""
    if isinstance(input, TensorBase):
        return _taped_average(
            1, input, kernel_size, stride, padding, ceil_mode, count_include_pad,
            divisor_override, dilation, out,
        )  # fmt: skip
    how = (
        kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, dilation
    )  # fmt: skip
    try:
        return _core.avg_pool(1, input, *how, out)
    except TypeError:
        return widened(lambda x: _core.avg_pool(1, x, *how, None), [input], out)


def avg_pool3d(
    input: Operand,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    dilation: Ints = 1,
    out: Array | None = None,
) -> Result:
    """The mean of each window of (N, C, D, H, W) or (C, D, H, W); see :func:`avg_pool2d`."""
    if isinstance(input, TensorBase):
        return _taped_average(
            3, input, kernel_size, stride, padding, ceil_mode, count_include_pad,
            divisor_override, dilation, out,
        )  # fmt: skip
    how = (
        kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, dilation
    )  # fmt: skip
    try:
        return _core.avg_pool(3, input, *how, out)
    except TypeError:
        return widened(lambda x: _core.avg_pool(3, x, *how, None), [input], out)


# ---- gradients as plain functions, and PyTorch's spelling of return_indices ----------------------


def _rank_functions(rank: int) -> tuple[Callable[..., Any], ...]:
    """The functions of one rank that differ from other ranks in nothing but the number of axes."""

    @in_float32
    def max_pool_backward(
        grad_output: Array,
        input: Array,
        indices: Array,
        kernel_size: Ints,
        stride: Ints | None = None,
        padding: Padding = 0,
        dilation: Ints = 1,
        ceil_mode: bool = False,
    ) -> Any:
        return _core.max_pool_backward(
            rank, grad_output, input, indices, kernel_size, stride, padding, dilation, ceil_mode
        )

    @in_float32
    def avg_pool_backward(
        grad_output: Array,
        input: Array,
        kernel_size: Ints,
        stride: Ints | None = None,
        padding: Padding = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
        *,
        dilation: Ints = 1,
    ) -> Any:
        return _core.avg_pool_backward(
            rank, grad_output, input, kernel_size, stride, padding, ceil_mode, count_include_pad,
            divisor_override, dilation,
        )  # fmt: skip

    def max_pool_with_indices(
        input: Operand,
        kernel_size: Ints,
        stride: Ints | None = None,
        padding: Padding = 0,
        dilation: Ints = 1,
        ceil_mode: bool = False,
        return_indices: bool = True,
    ) -> Result:
        return forward(input, kernel_size, stride, padding, dilation, ceil_mode, True)

    forward = (max_pool1d, max_pool2d, max_pool3d)[rank - 1]
    max_pool_backward.__doc__ = f"""Gradient of :func:`max_pool{rank}d` with respect to its input.

    Parameters
    ----------
    grad_output : array of the output's shape
    input : array as given to :func:`max_pool{rank}d`
    indices : int64 array of the output's shape
        As :func:`max_pool{rank}d` returns them. Each is checked; -1 receives nothing.

    Returns
    -------
    array of the input's shape

    Raises
    ------
    ValueError
        For shapes that do not fit, or an index outside its plane.
    """
    avg_pool_backward.__doc__ = f"""Gradient of :func:`avg_pool{rank}d` with respect to its input.

    Parameters
    ----------
    grad_output : array of the output's shape
    input : array as given to :func:`avg_pool{rank}d`; only its shape and type matter

    Returns
    -------
    array of the input's shape
    """
    max_pool_with_indices.__doc__ = f":func:`max_pool{rank}d` with ``return_indices=True``."
    named: dict[str, Callable[..., Any]] = {
        f"max_pool{rank}d_backward": max_pool_backward,
        f"avg_pool{rank}d_backward": avg_pool_backward,
        f"max_pool{rank}d_with_indices": max_pool_with_indices,
    }
    for name, function in named.items():
        function.__name__ = function.__qualname__ = name
    return tuple(named.values())


max_pool1d_backward, avg_pool1d_backward, max_pool1d_with_indices = _rank_functions(1)
max_pool2d_backward, avg_pool2d_backward, max_pool2d_with_indices = _rank_functions(2)
max_pool3d_backward, avg_pool3d_backward, max_pool3d_with_indices = _rank_functions(3)
