"""Activations, each with its derivative as a plain function of arrays.

A rule reads the output instead of the input where it can, so that the input's memory goes early.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import _core
from .._types import Array, Operand, Result
from ..autograd import TensorBase, assign, needs_grad, raw, record
from ..random import generator
from ._erf import erf_forward
from ._tools import array_first, axis_of, compiled, row, row_backward, sum_to, through_float32
from .narrow import in_float32

__all__ = [
    "celu",
    "celu_",
    "elu",
    "elu_",
    "elu_backward",
    "gelu",
    "gelu_backward",
    "glu",
    "hardshrink",
    "hardsigmoid",
    "hardsigmoid_backward",
    "hardswish",
    "hardswish_backward",
    "hardtanh",
    "hardtanh_",
    "hardtanh_backward",
    "leaky_relu",
    "leaky_relu_",
    "leaky_relu_backward",
    "logsigmoid",
    "mish",
    "mish_backward",
    "prelu",
    "prelu_backward",
    "relu",
    "relu6",
    "relu6_backward",
    "relu_",
    "relu_backward",
    "rrelu",
    "rrelu_",
    "selu",
    "selu_",
    "selu_backward",
    "sigmoid",
    "sigmoid_backward",
    "silu",
    "silu_backward",
    "softplus",
    "softplus_backward",
    "softshrink",
    "softsign",
    "tanh",
    "tanh_backward",
    "tanhshrink",
    "threshold",
    "threshold_",
]


#: Of whole numbers: those that stay whole, and those that are computed in float32.
_KEEP_WHOLE = ("Relu6", "Hardtanh", "Threshold")
_FROM_WHOLE = ("Sigmoid", "Tanh", "Softsign", "Tanhshrink")


def _computed(name: str, forward: Callable[[Array], Array], x: Array) -> Any:
    """The activation of an array of any type that it takes."""
    if x.dtype.kind in "fV":
        return through_float32(forward, x)
    if name in _KEEP_WHOLE:
        return np.asarray(forward(x)).astype(x.dtype)
    if name in _FROM_WHOLE:
        return forward(x.astype(np.float32))
    raise TypeError(f"{_public(name)}: input must be of a floating-point type, got {x.dtype}")


def _public(name: str) -> str:
    return {"LeakyRelu": "leaky_relu", "LogSoftmax": "log_softmax"}.get(name, name.lower())


def _apply(
    name: str,
    input: Operand,
    inplace: bool,
    forward: Callable[[Array], Array],
    backward: Callable[[Array, Array], Array],
    *,
    reads_output: bool = False,
    fused: str | None = None,
) -> Result:
    """An activation; ``backward(g, kept)`` gets the input, or the output if `reads_output`.

    `fused` is its name where a convolution can apply it in its own pass.
    """
    if not isinstance(input, TensorBase):
        if not isinstance(input, (np.ndarray, np.generic)):
            array_first(_public(name), input)
        y = _computed(name, forward, input)
        if inplace:
            input[...] = y
            return input
        return y
    if fused is not None:
        joined = input._with_activation(fused, inplace)
        if joined is not None:
            return joined
    x = input._array
    y = _computed(name, forward, x)
    kept = y if reads_output else x
    result = record(
        name,
        y,
        (input,),
        lambda g: (through_float32(backward, g, kept),),
        saves=() if reads_output or inplace else (input,),
        saves_output=reads_output and not inplace,
    )
    return assign(input, result) if inplace else result


# ---- rectifiers ----------------------------------------------------------------------------------


def relu_backward(grad_output: Array, output: Array) -> Any:
    """Gradient of :func:`relu` given its output (or its input: both have the same signs)."""
    return _relu_backward(grad_output, output)


_relu = row("relu", lambda x: np.maximum(x, 0))
_relu_backward = row_backward("relu", lambda g, y: g * (y > 0))


def relu(input: Operand, inplace: bool = False) -> Result:
    """``max(0, input)``; NaN stays NaN."""
    if not isinstance(input, TensorBase):
        if inplace:
            return np.maximum(input, 0, out=input)
        return _relu(input if isinstance(input, np.ndarray) else array_first("relu", input))
    fused = input._with_activation("relu", inplace)
    if fused is not None:
        return fused
    if inplace and not needs_grad(input):
        input._before_change()
        np.maximum(input._array, 0, out=input._array)
        input._touch()
        return input
    y = _relu(input._array)
    result = record("Relu", y, (input,), lambda g: (relu_backward(g, y),), saves_output=not inplace)
    return assign(input, result) if inplace else result


def relu_(input: Operand) -> Result:
    """:func:`relu` in place."""
    return relu(input, True)


def relu6_backward(grad_output: Array, output: Array) -> Any:
    """Gradient of :func:`relu6` given its output or its input: passes strictly between 0 and 6."""
    return hardtanh_backward(grad_output, output, 0, 6)


def relu6(input: Operand, inplace: bool = False) -> Result:
    """``min(max(0, input), 6)``."""
    return _apply(
        "Relu6",
        input,
        inplace,
        row("hardtanh", lambda x: np.minimum(np.maximum(x, 0), 6), 0, 6),
        relu6_backward,
        reads_output=True,
        fused="relu6",
    )


def leaky_relu_backward(grad_output: Array, input: Array, negative_slope: float = 0.01) -> Any:
    """Gradient of :func:`leaky_relu`."""
    return row_backward(
        "leaky_relu", lambda g, x: np.where(x > 0, g, g * negative_slope), negative_slope
    )(grad_output, input)


def leaky_relu(input: Operand, negative_slope: float = 0.01, inplace: bool = False) -> Result:
    """`input` where positive, else ``negative_slope * input``."""
    return _apply(
        "LeakyRelu",
        input,
        inplace,
        row("leaky_relu", lambda x: np.where(x > 0, x, x * negative_slope), negative_slope),
        lambda g, x: leaky_relu_backward(g, x, negative_slope),
        fused="leaky_relu" if negative_slope == 0.01 else None,
    )


def rrelu(
    input: Operand,
    lower: float = 1.0 / 8,
    upper: float = 1.0 / 3,
    training: bool = False,
    inplace: bool = False,
) -> Result:
    """`input` where positive, else times a slope.

    While training each value draws a slope of its own, evenly from ``[lower, upper)``; otherwise
    the slope is their middle.
    """
    if lower > upper:
        raise ValueError(f"rrelu: lower must not be above upper, got {lower} and {upper}")
    array_first("rrelu", input)
    if not training:
        return leaky_relu(input, (lower + upper) / 2, inplace)
    x = raw(input)
    drawn = generator().uniform(lower, upper, x.shape).astype(x.dtype)
    slope = np.where(x > 0, x.dtype.type(1), drawn)
    return _apply("Rrelu", input, inplace, lambda x: x * slope, lambda g, x: g * slope)


def leaky_relu_(input: Operand, negative_slope: float = 0.01) -> Result:
    """:func:`leaky_relu` in place."""
    return leaky_relu(input, negative_slope, True)


@in_float32
def prelu_backward(grad_output: Array, input: Array, weight: Array) -> tuple[Array, Array]:
    """Gradients of :func:`prelu` with respect to input and weight, of their shapes."""
    if compiled(input, grad_output, weight) and grad_output.shape == input.shape:
        gx, gw = _core.prelu_backward(grad_output, input, weight)
        return gx, gw.reshape(weight.shape)
    slope = _per_channel(weight, input.ndim)
    below = np.where(input > 0, 0, input * grad_output).astype(grad_output.dtype)
    total = sum_to(below, slope.shape)
    assert total is not None
    return np.where(input > 0, grad_output, grad_output * slope), total.reshape(weight.shape)


def _per_channel(weight: Array, ndim: int) -> Array:
    """One number, or C numbers shaped to lie along axis 1."""
    if weight.size == 1 or ndim < 2:
        return weight.reshape((1,) * ndim) if weight.size == 1 else weight
    return weight.reshape((1, -1) + (1,) * (ndim - 2))


@in_float32
def prelu(input: Operand, weight: Operand) -> Result:
    """`input` where positive, else ``weight * input``, one weight for all or one per channel."""
    x, w = raw(input), raw(weight)
    if w.ndim > 1:
        raise ValueError(f"prelu: Expected `weight` to be a scalar or 1D, but got: ndim = {w.ndim}")
    if w.size != 1 and (x.ndim < 2 or x.shape[1] != w.size):
        raise ValueError(
            f"prelu: weight must have 1 element or one per channel, got {w.shape} for {x.shape}"
        )
    y = _core.prelu(x, w) if compiled(x, w) else np.where(x > 0, x, x * _per_channel(w, x.ndim))
    if not (isinstance(input, TensorBase) or isinstance(weight, TensorBase)):
        return y
    return record(
        "Prelu", y, (input, weight), lambda g: prelu_backward(g, x, w), saves=(input, weight)
    )


def elu_backward(grad_output: Array, input: Array, alpha: float = 1.0) -> Any:
    """Gradient of :func:`elu`."""
    return row_backward(
        "elu", lambda g, x: g * np.where(x > 0, 1, alpha * np.exp(np.minimum(x, 0))), alpha, 1
    )(grad_output, input)


def elu(input: Operand, alpha: float = 1.0, inplace: bool = False) -> Result:
    """`input` where positive, else ``alpha * (exp(input) - 1)``."""
    return _apply(
        "Elu",
        input,
        inplace,
        row("elu", lambda x: np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0))), alpha, 1),
        lambda g, x: elu_backward(g, x, alpha),
    )


def celu(input: Operand, alpha: float = 1.0, inplace: bool = False) -> Result:
    """`input` where positive, else ``alpha * (exp(input / alpha) - 1)``."""
    return _apply(
        "Celu",
        input,
        inplace,
        row(
            "celu", lambda x: np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0) / alpha)), alpha
        ),
        row_backward(
            "celu", lambda g, x: g * np.where(x > 0, 1, np.exp(np.minimum(x, 0) / alpha)), alpha
        ),
    )


_SELU_ALPHA = 1.6732632423543772848170429916717
_SELU_SCALE = 1.0507009873554804934193349852946


def selu_backward(grad_output: Array, input: Array) -> Any:
    """Gradient of :func:`selu`."""
    return _selu_backward(grad_output, input)


_selu = row(
    "elu",
    lambda x: _SELU_SCALE * np.where(x > 0, x, _SELU_ALPHA * np.expm1(np.minimum(x, 0))),
    _SELU_ALPHA,
    _SELU_SCALE,
)
_selu_backward = row_backward(
    "elu",
    lambda g, x: g * np.where(x > 0, 1, _SELU_ALPHA * np.exp(np.minimum(x, 0))) * _SELU_SCALE,
    _SELU_ALPHA,
    _SELU_SCALE,
)


def selu(input: Operand, inplace: bool = False) -> Result:
    """:func:`elu` with the constants that keep mean 0 and variance 1 (Klambauer et al., 2017)."""
    return _apply(
        "Selu",
        input,
        inplace,
        _selu,
        selu_backward,
    )


def threshold(input: Operand, threshold: float, value: float, inplace: bool = False) -> Result:
    """`input` where above `threshold`, else `value`."""
    return _apply(
        "Threshold",
        input,
        inplace,
        row(
            "threshold",
            lambda x: np.where(x <= threshold, np.asarray(value, x.dtype), x),
            threshold,
            value,
        ),
        row_backward("threshold", lambda g, x: np.where(x <= threshold, 0, g), threshold, value),
    )


# ---- sigmoids ------------------------------------------------------------------------------------


def _sigmoid(x: Array) -> Any:
    z = np.exp(-np.abs(x))  # never overflows
    return np.where(x >= 0, 1, z) / (1 + z)


def sigmoid_backward(grad_output: Array, output: Array) -> Any:
    """Gradient of :func:`sigmoid` given its output."""
    return _sigmoid_backward(grad_output, output)


_sigmoid_row = row("sigmoid", _sigmoid)
_sigmoid_backward = row_backward("sigmoid_output", lambda g, y: g * y * (1 - y))


def sigmoid(input: Operand) -> Result:
    """``1 / (1 + exp(-input))``."""
    return _apply("Sigmoid", input, False, _sigmoid_row, sigmoid_backward, reads_output=True)


def logsigmoid(input: Operand) -> Result:
    """``log(sigmoid(input))``."""
    return _apply(
        "LogSigmoid",
        input,
        False,
        row("logsigmoid", lambda x: np.minimum(x, 0) - np.log1p(np.exp(-np.abs(x)))),
        row_backward("logsigmoid", lambda g, x: g * _sigmoid(-x)),
    )


def tanh_backward(grad_output: Array, output: Array) -> Any:
    """Gradient of :func:`tanh` given its output."""
    return _tanh_backward(grad_output, output)


_tanh = row("tanh", np.tanh)
_tanh_backward = row_backward("tanh_output", lambda g, y: g * (1 - y * y))


def tanh(input: Operand) -> Result:
    """The hyperbolic tangent."""
    return _apply("Tanh", input, False, _tanh, tanh_backward, reads_output=True)


def hardsigmoid_backward(grad_output: Array, input: Array) -> Any:
    """Gradient of :func:`hardsigmoid`: 1/6 strictly between -3 and 3."""
    return _hardsigmoid_backward(grad_output, input)


_hardsigmoid = row("hardsigmoid", lambda x: np.minimum(np.maximum(x + 3, 0), 6) / 6)
_hardsigmoid_backward = row_backward("hardsigmoid", lambda g, x: g * ((x > -3) & (x < 3)) * (1 / 6))


def hardsigmoid(input: Operand, inplace: bool = False) -> Result:
    """``relu6(input + 3) / 6``."""
    return _apply(
        "Hardsigmoid",
        input,
        inplace,
        _hardsigmoid,
        hardsigmoid_backward,
    )


def hardtanh_backward(
    grad_output: Array, input: Array, min_val: float = -1.0, max_val: float = 1.0
) -> Any:
    """Gradient of :func:`hardtanh`: passes strictly between the bounds."""
    return row_backward(
        "hardtanh", lambda g, x: g * ((x > min_val) & (x < max_val)), min_val, max_val
    )(grad_output, input)


def hardtanh(
    input: Operand, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> Result:
    """`input` limited to ``[min_val, max_val]``."""
    if min_val > max_val:
        raise ValueError(f"hardtanh: min_val {min_val} is above max_val {max_val}")
    return _apply(
        "Hardtanh",
        input,
        inplace,
        row(
            "hardtanh",
            lambda x: np.minimum(np.maximum(x, min_val), max_val),
            min_val,
            max_val,
        ),
        lambda g, x: hardtanh_backward(g, x, min_val, max_val),
    )


def softplus_backward(
    grad_output: Array, input: Array, beta: float = 1.0, threshold: float = 20.0
) -> Any:
    """Gradient of :func:`softplus`."""

    def plain(g: Array, x: Array) -> Any:
        scaled = x * beta
        return np.where(scaled > threshold, g, g * _sigmoid(scaled))

    return row_backward("softplus", plain, beta, threshold)(grad_output, input)


def softplus(input: Operand, beta: float = 1.0, threshold: float = 20.0) -> Result:
    """``log(1 + exp(beta * input)) / beta``; `input` itself once ``beta * input > threshold``."""

    def forward(x: Array) -> Array:
        z = x * beta
        smooth = (np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))) / beta
        return np.where(z > threshold, x, smooth)

    return _apply(
        "Softplus",
        input,
        False,
        row("softplus", forward, beta, threshold),
        lambda g, x: softplus_backward(g, x, beta, threshold),
    )


def softsign(input: Operand) -> Result:
    """``input / (1 + |input|)``."""
    return _apply(
        "Softsign",
        input,
        False,
        row("softsign", lambda x: x / (1 + np.abs(x))),
        row_backward("softsign", lambda g, x: g / np.square(1 + np.abs(x))),
    )


def tanhshrink(input: Operand) -> Result:
    """``input - tanh(input)``."""
    return _apply(
        "Tanhshrink",
        input,
        False,
        row("tanhshrink", lambda x: x - np.tanh(x)),
        row_backward("tanhshrink", lambda g, x: g * np.square(np.tanh(x))),
    )


def softshrink(input: Operand, lambd: float = 0.5) -> Result:
    """`input` moved towards 0 by `lambd`, and 0 within."""
    if lambd < 0:
        raise ValueError(f"softshrink: lambd must not be negative, but found {lambd}")
    return _apply(
        "Softshrink",
        input,
        False,
        row(
            "softshrink",
            lambda x: np.where(x > lambd, x - lambd, np.where(x < -lambd, x + lambd, x * 0)),
            lambd,
        ),
        row_backward("softshrink", lambda g, x: np.where(np.abs(x) <= lambd, 0, g), lambd),
    )


def hardshrink(input: Operand, lambd: float = 0.5) -> Result:
    """`input` where its size is above `lambd`, else 0."""
    return _apply(
        "Hardshrink",
        input,
        False,
        row("hardshrink", lambda x: np.where(np.abs(x) <= lambd, x.dtype.type(0), x), lambd),
        row_backward("hardshrink", lambda g, x: np.where(np.abs(x) <= lambd, 0, g), lambd),
    )


# ---- smooth gates --------------------------------------------------------------------------------


def silu_backward(grad_output: Array, input: Array) -> Any:
    """Gradient of :func:`silu`."""
    return _silu_backward(grad_output, input)


def _plain_silu_backward(g: Array, x: Array) -> Any:
    s = _sigmoid(x)
    return g * (s * (1 + x * (1 - s)))


_silu = row("silu", lambda x: x * _sigmoid(x))
_silu_backward = row_backward("silu", _plain_silu_backward)


def silu(input: Operand, inplace: bool = False) -> Result:
    """``input * sigmoid(input)``, also called swish."""
    return _apply("Silu", input, inplace, _silu, silu_backward, fused="silu")


def hardswish_backward(grad_output: Array, input: Array) -> Any:
    """Gradient of :func:`hardswish`."""
    return _hardswish_backward(grad_output, input)


def _plain_hardswish_backward(g: Array, x: Array) -> Any:
    slope = np.where(x <= -3, 0, np.where(x < 3, x / 3 + 0.5, 1))
    return g * slope.astype(g.dtype, copy=False)


_hardswish = row("hardswish", lambda x: x * (np.minimum(np.maximum(x + 3, 0), 6) / 6))
_hardswish_backward = row_backward("hardswish", _plain_hardswish_backward)


def hardswish(input: Operand, inplace: bool = False) -> Result:
    """``input * relu6(input + 3) / 6``."""
    return _apply(
        "Hardswish",
        input,
        inplace,
        _hardswish,
        hardswish_backward,
        fused="hardswish",
    )


_ROOT_HALF = float(np.sqrt(0.5))
_TANH_SCALE = float(np.sqrt(2 / np.pi))


def gelu_backward(grad_output: Array, input: Array, approximate: str = "none") -> Any:
    """Gradient of :func:`gelu`."""
    if approximate == "tanh":
        return row_backward("gelu_tanh", _plain_gelu_tanh_backward)(grad_output, input)
    return row_backward("gelu", _plain_gelu_backward)(grad_output, input)


def _plain_gelu_tanh_backward(g: Array, x: Array) -> Any:
    inner = np.tanh(_TANH_SCALE * (x + 0.044715 * x * x * x))
    slope = (1 - inner * inner) * (_TANH_SCALE * (1 + 3 * 0.044715 * x * x))
    return g * (0.5 * (1 + inner) + 0.5 * x * slope)


def _plain_gelu_backward(g: Array, x: Array) -> Any:
    below = 0.5 * (1 + erf_forward(x * _ROOT_HALF))
    density = np.exp(-0.5 * x * x) * (0.5 * _TANH_SCALE)
    return g * (below + x * density)


def gelu(input: Operand, approximate: str = "none") -> Result:
    """`input` times the normal distribution function of `input`; `approximate` none or tanh."""
    if approximate not in ("none", "tanh"):
        raise ValueError(f"gelu: approximate must be 'none' or 'tanh', got {approximate!r}")

    def forward(x: Array) -> Any:
        if approximate == "tanh":
            return 0.5 * x * (1 + np.tanh(_TANH_SCALE * (x + 0.044715 * x * x * x)))
        return 0.5 * x * (1 + erf_forward(x * _ROOT_HALF))

    return _apply(
        "Gelu",
        input,
        False,
        row("gelu_tanh" if approximate == "tanh" else "gelu", forward),
        lambda g, x: gelu_backward(g, x, approximate),
        fused="gelu" if approximate == "none" else None,
    )


def _softplus(x: Array) -> Array:
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def mish_backward(grad_output: Array, input: Array) -> Any:
    """Gradient of :func:`mish`."""
    return _mish_backward(grad_output, input)


def _plain_mish_backward(g: Array, x: Array) -> Any:
    gate = np.tanh(_softplus(x))
    return g * (gate + x * _sigmoid(x) * (1 - gate * gate))


_mish = row("mish", lambda x: x * np.tanh(_softplus(x)))
_mish_backward = row_backward("mish", _plain_mish_backward)


def mish(input: Operand, inplace: bool = False) -> Result:
    """``input * tanh(softplus(input))``."""
    return _apply("Mish", input, inplace, _mish, mish_backward)


@in_float32
def glu(input: Operand, dim: int = -1) -> Result:
    """The first half along `dim` times the sigmoid of the second."""
    from .arithmetic import mul
    from .shape import chunk

    x = raw(input)
    axis = axis_of(dim, x.ndim, "glu")
    if x.shape[axis] % 2:
        raise ValueError(f"glu: the extent along dim must be even, got {x.shape[axis]}")
    if compiled(x):
        return _apply(
            "Glu",
            input,
            False,
            lambda x: _core.glu(x, axis),
            lambda g, x: _core.glu_backward(g, x, axis),
        )
    first, second = chunk(input, 2, dim)
    return mul(first, sigmoid(second))


def _in_place(function: Callable[..., Any]) -> Callable[..., Any]:
    """PyTorch's spelling of ``inplace=True``."""

    def call(input: Operand, *args: Any, **kwargs: Any) -> Any:
        return function(input, *args, inplace=True, **kwargs)

    call.__name__ = call.__qualname__ = f"{function.__name__}_"
    call.__doc__ = f":func:`{function.__name__}` in place."
    return call


celu_ = _in_place(celu)
elu_ = _in_place(elu)
hardtanh_ = _in_place(hardtanh)
rrelu_ = _in_place(rrelu)
selu_ = _in_place(selu)
threshold_ = _in_place(threshold)


#: Those that a convolution can apply in its own pass.
ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "relu": relu,
    "relu6": relu6,
    "silu": silu,
    "hardswish": hardswish,
    "leaky_relu": leaky_relu,
    "gelu": gelu,
}
