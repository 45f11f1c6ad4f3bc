"""The compiled module. Positional arguments only; every check and message is in C++."""

from collections.abc import Sequence
from typing import Any, Literal

from numpy.typing import NDArray

_Array = NDArray[Any]
_Ints = int | Sequence[int]
_Padding = int | str | Sequence[int] | Sequence[tuple[int, int]]

def conv(
    rank: int,
    input: _Array,
    weight: _Array,
    bias: _Array | None,
    stride: _Ints,
    padding: _Padding,
    dilation: _Ints,
    groups: int,
    activation: str | None,
    residual: _Array | None,
    algorithm: str,
    out: _Array | None,
    /,
) -> _Array: ...
def conv_backward(
    rank: int,
    grad_output: _Array,
    input: _Array,
    weight: _Array,
    stride: _Ints,
    padding: _Padding,
    dilation: _Ints,
    groups: int,
    need: tuple[bool, bool, bool],
    algorithm: str,
    /,
) -> tuple[_Array | None, _Array | None, _Array | None]: ...
def conv_input_grad(
    rank: int,
    input_shape: Sequence[int],
    weight: _Array,
    grad_output: _Array,
    stride: _Ints,
    padding: _Padding,
    dilation: _Ints,
    groups: int,
    algorithm: str,
    /,
) -> _Array: ...
def conv_weight_grad(
    rank: int,
    input: _Array,
    weight_shape: Sequence[int],
    grad_output: _Array,
    stride: _Ints,
    padding: _Padding,
    dilation: _Ints,
    groups: int,
    algorithm: str,
    /,
) -> _Array: ...
def max_pool(
    rank: int,
    input: _Array,
    kernel: _Ints,
    stride: _Ints | None,
    padding: _Padding,
    dilation: _Ints,
    ceil_mode: bool,
    return_indices: bool,
    out: _Array | None,
    /,
) -> Any: ...
def max_pool_taped(
    rank: int,
    input: _Array,
    kernel: _Ints,
    stride: _Ints | None,
    padding: _Padding,
    dilation: _Ints,
    ceil_mode: bool,
    /,
) -> tuple[_Array, _Array]: ...
def max_pool_taped_backward(
    rank: int,
    grad_output: _Array,
    input: _Array,
    where: _Array,
    kernel: _Ints,
    stride: _Ints | None,
    padding: _Padding,
    dilation: _Ints,
    ceil_mode: bool,
    /,
) -> _Array: ...
def max_pool_backward(
    rank: int,
    grad_output: _Array,
    input: _Array,
    indices: _Array,
    kernel: _Ints,
    stride: _Ints | None,
    padding: _Padding,
    dilation: _Ints,
    ceil_mode: bool,
    /,
) -> _Array: ...
def avg_pool(
    rank: int,
    input: _Array,
    kernel: _Ints,
    stride: _Ints | None,
    padding: _Padding,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
    dilation: _Ints,
    out: _Array | None,
    /,
) -> _Array: ...
def avg_pool_backward(
    rank: int,
    grad_output: _Array,
    input: _Array,
    kernel: _Ints,
    stride: _Ints | None,
    padding: _Padding,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
    dilation: _Ints,
    /,
) -> _Array: ...
def algorithms(direction: str, /) -> list[str]: ...
def conv_rows(
    rank: int,
    direction: str,
    input_shape: Sequence[int],
    weight_shape: Sequence[int],
    stride: _Ints,
    padding: _Padding,
    dilation: _Ints,
    groups: int,
    itemsize: int,
    /,
) -> tuple[tuple[int, ...], float, list[tuple[str, str, bool, float, int]]]: ...

class Plan:
    def __new__(
        cls,
        rank: int,
        weight: _Array,
        bias: _Array | None,
        stride: _Ints,
        padding: _Padding,
        dilation: _Ints,
        groups: int,
        activation: str | None,
        input_shape: Sequence[int] | None,
        algorithm: str,
        /,
    ) -> Any: ...
    def __call__(
        self, x: _Array, *, out: _Array | None = None, residual: _Array | None = None
    ) -> _Array: ...
    def info(self, input_shape: Sequence[int], /) -> dict[str, Any]: ...

# Steps in a row for one shape of input, run in one call: tuples as bindings/program.cpp lists them.
class Program:
    output_shape: tuple[int, ...]
    def __new__(
        cls, input_shape: Sequence[int], itemsize: int, steps: Sequence[tuple[Any, ...]], /
    ) -> Any: ...
    def run(
        self, x: _Array | list[_Array], residual: _Array | None, out: _Array | None, /
    ) -> _Array: ...

class Flow:
    def __new__(
        cls,
        inputs: Sequence[tuple[Sequence[int], int]],
        steps: Sequence[tuple[Any, tuple[int, ...], int]],
        outputs: tuple[int, ...],
        /,
    ) -> Any: ...
    def run(self, inputs: list[_Array], /) -> list[_Array]: ...

# Vectors along an axis divided by max(length, eps), or if `rms` by sqrt(mean square + eps), and 1 /
# that for each.
def normalize(x: _Array, axis: int, eps: float, rms: bool, /) -> tuple[_Array, _Array]: ...
def normalize_backward(
    g: _Array, y: _Array, scale: _Array, axis: int, eps: float, rms: bool, /
) -> _Array: ...

# Unpooling and adaptive maxima of (N, C, spatial) or (C, spatial); name: the public function's.
def place(
    name: str, rank: int, x: _Array, indices: _Array, sizes: Sequence[int], add: bool, /
) -> _Array: ...
def fetch(name: str, rank: int, x: _Array, indices: _Array, /) -> _Array: ...
def adaptive_pool(
    name: str, rank: int, x: _Array, sizes: Sequence[int], maximum: bool, /
) -> _Array: ...
def adaptive_max_pool(
    name: str, rank: int, x: _Array, sizes: Sequence[int], /
) -> tuple[_Array, _Array]: ...

# Elementwise functions and their derivatives, in any dense memory order. name: relu, hardtanh
# (a, b: bounds; relu6 is 0, 6), leaky_relu (a: slope), elu (a: alpha, b: scale), sigmoid, tanh,
# silu, hardsigmoid, hardswish, gelu, gelu_tanh, softplus (a: beta, b: threshold), mish.
def unary(name: str, x: _Array, a: float, b: float, /) -> _Array: ...
def resample(
    name: str,
    x: _Array,
    tables: tuple[tuple[_Array, _Array, _Array] | None, ...],
    /,
) -> _Array: ...
def pad(name: str, x: _Array, tables: tuple[_Array | None, ...], value: _Array, /) -> _Array: ...
def unary_backward(name: str, grad: _Array, x: _Array, a: float, b: float, /) -> _Array: ...

# Normalisations of (N, C, ...): groups = 0 is batch norm (statistics per channel), g > 0 one
# set per image and group of channels (1: all, C: instance norm). var is biased.
def norm_statistics(x: _Array, groups: int, /) -> tuple[_Array, _Array]: ...
def norm_apply(
    x: _Array,
    groups: int,
    mean: _Array,
    var: _Array,
    weight: _Array | None,
    bias: _Array | None,
    residual: _Array | None,
    eps: float,
    relu: bool,
    /,
) -> _Array: ...
def norm_sets(
    x: _Array, groups: int, weight: _Array | None, bias: _Array | None, eps: float, /
) -> tuple[_Array, _Array, _Array]: ...

# Fully connected: x (N, C), weight (K, C). The gradients, None where not needed.
def linear(x: _Array, weight: _Array, bias: _Array | None, /) -> _Array: ...
def linear_backward(
    grad: _Array, x: _Array, weight: _Array, need: tuple[bool, bool, bool], /
) -> tuple[_Array | None, _Array | None, _Array | None]: ...
def product(a: _Array, b: _Array, /) -> _Array: ...

# Batch norm of a training step; activation: None, "relu" or "relu6". The running statistics are
# moved in place. -> (y, mean, biased variance), and (dx or None, dweight, dbias).
def batch_norm(
    x: _Array,
    weight: _Array | None,
    bias: _Array | None,
    running_mean: _Array | None,
    running_var: _Array | None,
    momentum: float,
    eps: float,
    activation: str | None,
    /,
) -> tuple[_Array, _Array, _Array]: ...
def batch_norm_backward(
    grad: _Array,
    x: _Array,
    weight: _Array | None,
    bias: _Array | None,
    mean: _Array,
    var: _Array,
    eps: float,
    activation: str | None,
    need_input: bool,
    /,
) -> tuple[_Array | None, _Array, _Array]: ...
def scale_rows(x: _Array, scale: _Array, /) -> _Array: ...
def norm_backward(
    grad: _Array,
    x: _Array,
    groups: int,
    mean: _Array,
    var: _Array,
    weight: _Array | None,
    eps: float,
    fixed: bool,
    need: tuple[bool, bool, bool],
    /,
) -> tuple[_Array | None, _Array | None, _Array | None]: ...
def layer_norm(
    x: _Array, d: int, weight: _Array | None, bias: _Array | None, eps: float, /
) -> tuple[_Array, _Array, _Array]: ...
def layer_norm_backward(
    grad: _Array,
    x: _Array,
    d: int,
    weight: _Array | None,
    mean: _Array,
    rstd: _Array,
    affine: bool,
    /,
) -> tuple[_Array, _Array | None, _Array | None]: ...

# Over the last axis.
def softmax(x: _Array, axis: int, logarithm: bool, /) -> _Array: ...
def softmax_backward(grad: _Array, y: _Array, axis: int, logarithm: bool, /) -> _Array: ...
def prelu(x: _Array, weight: _Array, /) -> _Array: ...
def prelu_backward(grad: _Array, x: _Array, weight: _Array, /) -> tuple[_Array, _Array]: ...
def glu(x: _Array, axis: int, /) -> _Array: ...
def glu_backward(grad: _Array, x: _Array, axis: int, /) -> _Array: ...

# Losses: name is mse_loss, l1_loss, smooth_l1_loss (a: beta), huber_loss (a: delta),
# binary_cross_entropy or binary_cross_entropy_with_logits. Reduced: the sum as a float.
def pair_loss(name: str, x: _Array, t: _Array, a: float, reduce: bool, /) -> Any: ...
def pair_loss_backward(name: str, g: _Array, x: _Array, t: _Array, a: float, /) -> _Array: ...

# (losses, their sum, the sum of the targets' weights)
def likelihood(
    scores: _Array, target: _Array, weight: _Array | None, ignore_index: int, smoothing: float, /
) -> tuple[_Array, float, float]: ...
def likelihood_backward(
    g: _Array,
    shape: Sequence[int],
    target: _Array,
    weight: _Array | None,
    ignore_index: int,
    scale: float,
    last: bool,
    smoothing: float,
    /,
) -> _Array: ...
def cross_entropy_backward(
    g: _Array,
    log_p: _Array,
    target: _Array,
    weight: _Array | None,
    ignore_index: int,
    scale: float,
    smoothing: float,
    /,
) -> _Array: ...

# Uninitialised float32 (itemsize 4) or float64 (8) in recycled memory.
def empty(shape: Sequence[int], itemsize: int, /) -> _Array: ...
def copy(to: _Array, source: _Array, /) -> None: ...
def unfold(
    x: _Array, kernel: _Ints, dilation: _Ints, padding: _Ints, stride: _Ints, /
) -> _Array: ...
def fold(
    columns: _Array,
    height: int,
    width: int,
    kernel: _Ints,
    dilation: _Ints,
    padding: _Ints,
    stride: _Ints,
    /,
) -> _Array: ...

# Optimiser steps in place over lists of equally shaped arrays.
def sgd_step(
    parameters: list[_Array],
    gradients: list[_Array],
    velocities: list[_Array] | None,
    rate: float,
    momentum: float,
    dampening: float,
    decay: float,
    nesterov: bool,
    maximize: bool,
    first: bool,
    /,
) -> None: ...
def adam_step(
    parameters: list[_Array],
    gradients: list[_Array],
    first_moments: list[_Array],
    second_moments: list[_Array],
    largest: list[_Array] | None,
    rate: float,
    beta1: float,
    beta2: float,
    eps: float,
    decay: float,
    correction1: float,
    correction2: float,
    decoupled: bool,
    maximize: bool,
    /,
) -> None: ...
def get_num_threads() -> int: ...
def set_num_threads(n: int, /) -> None: ...
def get_workspace_limit() -> int: ...
def set_workspace_limit(nbytes: int, /) -> None: ...
def get_accuracy() -> Literal["default", "high"]: ...
def set_accuracy(level: str, /) -> None: ...
def set_cache_limit(nbytes: int, /) -> None: ...
def empty_cache() -> None: ...
def memory_stats() -> dict[str, int]: ...
def build_info() -> dict[str, Any]: ...
def peak_flops(itemsize: int, /) -> float: ...
