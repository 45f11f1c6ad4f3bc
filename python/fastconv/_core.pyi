"""The compiled module. Positional arguments only; every check and message is in C++."""

from collections.abc import Sequence
from typing import Any

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

def get_num_threads() -> int: ...
def set_num_threads(n: int, /) -> None: ...
def get_workspace_limit() -> int: ...
def set_workspace_limit(nbytes: int, /) -> None: ...
def set_cache_limit(nbytes: int, /) -> None: ...
def empty_cache() -> None: ...
def memory_stats() -> dict[str, int]: ...
def build_info() -> dict[str, Any]: ...
def peak_flops(itemsize: int, /) -> float: ...
