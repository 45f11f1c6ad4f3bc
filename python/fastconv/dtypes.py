"""Types of elements, devices and memory formats under PyTorch's names."""

from __future__ import annotations

import builtins
import enum
import math
from typing import Any, NoReturn

import numpy as np

from ._types import DType

__all__ = [
    "Size",
    "bool",
    "channels_last",
    "channels_last_3d",
    "contiguous_format",
    "device",
    "double",
    "dtype",
    "e",
    "finfo",
    "float",
    "float16",
    "float32",
    "float64",
    "get_default_dtype",
    "half",
    "iinfo",
    "inf",
    "int",
    "int8",
    "int16",
    "int32",
    "int64",
    "long",
    "memory_format",
    "nan",
    "pi",
    "preserve_format",
    "set_default_dtype",
    "short",
    "strided",
    "uint8",
]

dtype = np.dtype
float16 = half = np.dtype(np.float16)
float32 = float = np.dtype(np.float32)
float64 = double = np.dtype(np.float64)
uint8 = np.dtype(np.uint8)
int8 = np.dtype(np.int8)
int16 = short = np.dtype(np.int16)
int32 = int = np.dtype(np.int32)
int64 = long = np.dtype(np.int64)
bool = np.dtype(np.bool_)
finfo, iinfo = np.finfo, np.iinfo
e, inf, nan, pi = math.e, math.inf, math.nan, math.pi


def __getattr__(name: str) -> Any:
    if name != "bfloat16":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        import ml_dtypes
    except ImportError:
        raise AttributeError("bfloat16 is a type of the package ml_dtypes; install it") from None
    return np.dtype(ml_dtypes.bfloat16)


_default: DType = float32


def set_default_dtype(d: Any) -> None:
    """The type of tensors made from Python floats, and of new layers: float32 or float64."""
    global _default
    wanted = np.dtype(d)
    if wanted not in (float32, float64):
        raise TypeError(f"set_default_dtype: expected float32 or float64, got {wanted}")
    _default = wanted


def get_default_dtype() -> DType:
    """The type of tensors made from Python floats."""
    return _default


def as_dtype(value: Any) -> Any:
    """A NumPy dtype from one, from a Python type (float means the default), or from a name."""
    if value is None or value is builtins.float:
        return get_default_dtype()
    if value is builtins.int:
        return int64
    if isinstance(value, str):
        value = value.removeprefix("torch.").removeprefix("fastconv.")
        value = _NAMES.get(value, value)
    return np.dtype(value)


_NAMES = {
    "BoolTensor": "bool",
    "ByteTensor": "uint8",
    "CharTensor": "int8",
    "DoubleTensor": "float64",
    "FloatTensor": "float32",
    "HalfTensor": "float16",
    "IntTensor": "int32",
    "LongTensor": "int64",
    "ShortTensor": "int16",
}


class Size(tuple[builtins.int, ...]):
    """A shape: a tuple that knows its number of elements."""

    __slots__ = ()

    def numel(self) -> Any:
        """The product of the extents."""
        total = 1
        for extent in self:
            total *= extent
        return total


class device:
    """Where a tensor lives: always ``"cpu"``."""

    __slots__ = ("index", "type")

    type: str

    def __init__(self, type: Any = "cpu", index: Any = None) -> None:
        if isinstance(type, device):
            type = type.type
        if not isinstance(type, str) or type.split(":")[0] != "cpu":
            no_such_device(type)
        self.type = "cpu"
        self.index = index

    def __repr__(self) -> str:
        return "device(type='cpu')"

    def __str__(self) -> str:
        return "cpu"

    def __eq__(self, other: object) -> Any:
        return isinstance(other, device) or other == "cpu"

    def __hash__(self) -> Any:
        return hash("cpu")


def no_such_device(name: Any) -> NoReturn:
    """Say that there is only the CPU."""
    raise RuntimeError(f"fastconv runs on the CPU only: there is no device {str(name)!r}")


class memory_format(enum.Enum):
    """How the axes of a tensor lie in memory."""

    contiguous_format = "contiguous_format"
    channels_last = "channels_last"
    channels_last_3d = "channels_last_3d"
    preserve_format = "preserve_format"


def has_channels_last(layout: Any) -> builtins.bool:
    """Whether a memory format puts the channels beside each other."""
    return layout in (memory_format.channels_last, memory_format.channels_last_3d)


contiguous_format = memory_format.contiguous_format
channels_last = memory_format.channels_last
channels_last_3d = memory_format.channels_last_3d
preserve_format = memory_format.preserve_format
strided = "strided"
