"""Convolution in one, two and three dimensions.

Arrays go straight to the compiled engine, which makes all checks; tensors take the same way and
leave a step on the tape.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import _core
from .._types import Array, Ints, Operand, Padding, Result
from ..autograd import TensorBase, needs_grad, raw, record, wrap
from ._tools import ints
from .activation import ACTIVATIONS
from .arithmetic import add
from .convert import cast
from .narrow import is_half, widened
from .rectifiers import relu_backward

__all__ = ["conv1d", "conv2d", "conv3d", "conv_output_size"]


def conv_output_size(
    size: Ints, kernel: Ints, stride: Ints = 1, padding: Padding = 0, dilation: Ints = 1
) -> Any:
    """The extent of a convolution's output: ``floor((i + 2 p - d (k - 1) - 1) / s) + 1``.

    With ``d = 1`` this is the well-known ``floor((i - k + 2 p) / s) + 1`` for an image of size `i`,
    a kernel of size `k`, padding `p` and stride `s`.

    Parameters
    ----------
    size, kernel, stride, dilation : int or sequence of int
        One value, or one per axis.
    padding : int, sequence of int, sequence of (before, after), "same" or "valid"

    Returns
    -------
    int or tuple of int
        An int if `size` is one.

    Raises
    ------
    ValueError
        If an extent is not positive or the kernel does not fit.

    Examples
    --------
    >>> conv_output_size(28, 8)
    21
    >>> conv_output_size((32, 32), 5, padding="same")
    (32, 32)
    """
    name = "conv_output_size"
    single = not isinstance(size, Sequence)
    rank = 1 if single else len(size)  # type: ignore[arg-type]
    sizes = ints(size, rank, name, "size")
    kernels = ints(kernel, rank, name, "kernel")
    strides = ints(stride, rank, name, "stride")
    dilations = ints(dilation, rank, name, "dilation")
    extents = {"size": sizes, "kernel": kernels, "stride": strides, "dilation": dilations}
    for what, values in extents.items():
        if min(values) < 1:
            raise ValueError(f"{name}: {what} must be positive, got {values}")
    reach = [d * (k - 1) + 1 for k, d in zip(kernels, dilations, strict=True)]
    totals = _total_padding(padding, reach, strides)
    result = []
    for i, e, s, p in zip(sizes, reach, strides, totals, strict=True):
        if i + p < e:
            raise ValueError(f"{name}: kernel reaches over {e}, but the padded size is {i + p}")
        result.append((i + p - e) // s + 1)
    return result[0] if single else tuple(result)


def _total_padding(padding: Padding, reach: list[int], stride: tuple[int, ...]) -> list[int]:
    """Padding before and after each axis, together."""
    name = "conv_output_size"
    if padding == "valid":
        return [0] * len(reach)
    if padding == "same":
        if max(stride) > 1:
            raise ValueError(f"{name}: padding='same' is not supported for strided convolutions")
        return [e - 1 for e in reach]
    if isinstance(padding, str):
        raise ValueError(f"{name}: padding must be numbers, 'same' or 'valid', got {padding!r}")
    if isinstance(padding, Sequence) and padding and isinstance(padding[0], Sequence):
        pairs = [ints(p, 2, name, "padding") for p in padding]
        if len(pairs) != len(reach):
            raise ValueError(f"{name}: padding needs {len(reach)} pairs, got {padding!r}")
    else:
        pairs = [(p, p) for p in ints(padding, len(reach), name, "padding")]
    if min(min(pair) for pair in pairs) < 0:
        raise ValueError(f"{name}: padding must be non-negative, got {padding!r}")
    return [sum(pair) for pair in pairs]


def _taped(
    rank: int,
    input: Operand,
    weight: Operand,
    bias: Operand | None,
    stride: Ints,
    padding: Padding,
    dilation: Ints,
    groups: int,
    activation: str | None,
    residual: Operand | None,
    algorithm: str,
    out: Array | None,
) -> Result:
    x, w = raw(input), raw(weight)
    geometry = (stride, padding, dilation, groups)
    if isinstance(x, np.ndarray) and is_half(x.dtype) and x.dtype == w.dtype:
        xw, ww, bw, rw = (
            None if v is None else cast(v, np.float32) for v in (input, weight, bias, residual)
        )
        y = _taped(rank, xw, ww, bw, *geometry, activation, rw, algorithm, None)
        return cast(y, x.dtype)
    if x.dtype in (np.int8, np.uint8):
        how = (*geometry, activation)
        return wrap(_narrow(rank, x, w, raw(bias), how, raw(residual), algorithm, out, None))
    need = (needs_grad(input), needs_grad(weight), needs_grad(bias))
    need_residual = needs_grad(residual)
    recorded = need_residual or any(need)
    if recorded and out is not None:
        raise ValueError(f"conv{rank}d: out cannot be given when gradients are recorded")
    if recorded and activation is not None and activation != "relu":
        y = _taped(rank, input, weight, bias, *geometry, None, None, algorithm, None)
        if activation not in ACTIVATIONS:
            raise ValueError(
                f"conv{rank}d: activation must be None or one of {sorted(ACTIVATIONS)}, "
                f"got {activation!r}"
            )
        return ACTIVATIONS[activation](y if residual is None else add(y, residual))
    y = _core.conv(rank, x, w, raw(bias), *geometry, activation, raw(residual), algorithm, raw(out))
    if not recorded:
        return wrap(y)

    kept = y if activation == "relu" else None

    def backward(g: Array) -> tuple[Array | None, ...]:
        if kept is not None:
            g = relu_backward(g, kept)
        grads: tuple[Array | None, ...] = (None, None, None)
        if any(need):
            grads = _core.conv_backward(rank, g, x, w, *geometry, need, algorithm)
        return (*grads, g if need_residual else None)

    return record(
        f"Conv{rank}d",
        y,
        (input, weight, bias, residual),
        backward,
        saves=(input, weight),
        saves_output=kept is not None,
    )


def _narrow(
    rank: int,
    input: Any,
    weight: Any,
    bias: Any,
    how: tuple[Any, ...],
    residual: Any,
    algorithm: str,
    out: Array | None,
    out_dtype: Any,
) -> Any:
    """The convolution of arrays in a narrow type; raises the engine's TypeError for all others."""
    stride, padding, dilation, groups, activation = how

    def wide(x: Array, w: Array, b: Array | None, r: Array | None) -> Array:
        return _core.conv(
            rank, x, w, b, stride, padding, dilation, groups, activation, r, algorithm, None
        )

    return widened(wide, [input, weight, bias, residual], out, out_dtype, integers=True)


def conv2d(
    input: Operand,
    weight: Operand,
    bias: Operand | None = None,
    stride: Ints = 1,
    padding: Padding = 0,
    dilation: Ints = 1,
    groups: int = 1,
    *,
    activation: str | None = None,
    residual: Operand | None = None,
    algorithm: str = "auto",
    out: Array | None = None,
    out_dtype: Any = None,
) -> Result:
    """Slide a bank of kernels over images: multiply, sum, write one output plane per kernel.

    Parameters
    ----------
    input : (N, C, H, W) or (C, H, W)
        float32, float64, float16 or bfloat16, any strides; channels-last memory gives a
        channels-last result. int8 and uint8 too, outside the tape.
    weight : (K, C / groups, R, S)
    bias : (K,), optional
    stride, dilation : int or pair
    padding : int, pair, ((top, bottom), (left, right)), "same" or "valid"
    groups : int
        Input and output channels are divided into so many parts that do not see each other.
    activation : {None, "relu", "relu6", "silu", "hardswish", "leaky_relu", "gelu"}
        Applied to the result in the same pass.
    residual : array of the output's shape, optional
        Added before the activation.
    algorithm : str
        ``"auto"`` or a row of the registry of algorithms.
    out : array of the output's shape, optional
        Filled and returned; it may not overlap an input.
    out_dtype : dtype, optional
        Of the result where the input is float16 or bfloat16 (its own type unless given) or int8 or
        uint8 (int32). These are computed in float32, and exactly.

    Returns
    -------
    array or Tensor, (N, K, P, Q) or (K, P, Q)
        A Tensor if an input is one. See :func:`conv_output_size` for P and Q.

    Raises
    ------
    ValueError
        For shapes and values that do not fit together.
    TypeError
        For other or mixed dtypes.

    Notes
    -----
    Semantics are those of ``torch.nn.functional.conv2d`` (a cross-correlation).
    """
    if (
        isinstance(input, TensorBase)
        or isinstance(weight, TensorBase)
        or isinstance(bias, TensorBase)
        or isinstance(residual, TensorBase)
    ):
        return _taped(
            2, input, weight, bias, stride, padding, dilation, groups,
            activation, residual, algorithm, out,
        )  # fmt: skip
    try:
        return _core.conv(
            2, input, weight, bias, stride, padding, dilation, groups,
            activation, residual, algorithm, out,
        )  # fmt: skip
    except TypeError:
        how = (stride, padding, dilation, groups, activation)
        return _narrow(2, input, weight, bias, how, residual, algorithm, out, out_dtype)


def conv1d(
    input: Operand,
    weight: Operand,
    bias: Operand | None = None,
    stride: Ints = 1,
    padding: Padding = 0,
    dilation: Ints = 1,
    groups: int = 1,
    *,
    activation: str | None = None,
    residual: Operand | None = None,
    algorithm: str = "auto",
    out: Array | None = None,
    out_dtype: Any = None,
) -> Result:
    """Convolution of (N, C, L) or (C, L) with weights (K, C / groups, S); see :func:`conv2d`."""
    if (
        isinstance(input, TensorBase)
        or isinstance(weight, TensorBase)
        or isinstance(bias, TensorBase)
        or isinstance(residual, TensorBase)
    ):
        return _taped(
            1, input, weight, bias, stride, padding, dilation, groups,
            activation, residual, algorithm, out,
        )  # fmt: skip
    try:
        return _core.conv(
            1, input, weight, bias, stride, padding, dilation, groups,
            activation, residual, algorithm, out,
        )  # fmt: skip
    except TypeError:
        how = (stride, padding, dilation, groups, activation)
        return _narrow(1, input, weight, bias, how, residual, algorithm, out, out_dtype)


def conv3d(
    input: Operand,
    weight: Operand,
    bias: Operand | None = None,
    stride: Ints = 1,
    padding: Padding = 0,
    dilation: Ints = 1,
    groups: int = 1,
    *,
    activation: str | None = None,
    residual: Operand | None = None,
    algorithm: str = "auto",
    out: Array | None = None,
    out_dtype: Any = None,
) -> Result:
    """Convolution of (N, C, D, H, W) with weights (K, C / groups, T, R, S); see :func:`conv2d`."""
    if (
        isinstance(input, TensorBase)
        or isinstance(weight, TensorBase)
        or isinstance(bias, TensorBase)
        or isinstance(residual, TensorBase)
    ):
        return _taped(
            3, input, weight, bias, stride, padding, dilation, groups,
            activation, residual, algorithm, out,
        )  # fmt: skip
    try:
        return _core.conv(
            3, input, weight, bias, stride, padding, dilation, groups,
            activation, residual, algorithm, out,
        )  # fmt: skip
    except TypeError:
        how = (stride, padding, dilation, groups, activation)
        return _narrow(3, input, weight, bias, how, residual, algorithm, out, out_dtype)
