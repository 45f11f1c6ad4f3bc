"""``torch.FloatTensor`` and its like: tensors of one element type, to make and to recognise."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._types import DType
from .autograd import TensorBase, raw
from .dtypes import Size, float16, float32, float64, int8, int16, int32, int64, uint8
from .tensor import Tensor

__all__ = [
    "BoolTensor",
    "ByteTensor",
    "CharTensor",
    "DoubleTensor",
    "FloatTensor",
    "HalfTensor",
    "IntTensor",
    "LongTensor",
    "ShortTensor",
]


class _Kind(type):
    """A class whose instances are the tensors of its element type."""

    dtype: DType

    def __instancecheck__(cls, value: Any) -> bool:
        return isinstance(value, TensorBase) and value._array.dtype == cls.dtype

    def __call__(cls, *data: Any) -> Any:
        if all(isinstance(n, (int, np.integer)) for n in data):
            return Tensor(np.zeros(data if data else 0, cls.dtype))  # a shape, to be filled
        if len(data) == 1 and isinstance(data[0], Size):
            return Tensor(np.zeros(data[0], cls.dtype))
        if len(data) != 1:
            raise TypeError(f"{cls.__name__}: expected one sequence, or extents, got {data!r}")
        return Tensor(np.array(raw(data[0]), cls.dtype))


def _kind(name: str, dtype: DType) -> Any:
    doc = f"Tensors of {dtype}, made from a sequence or, filled with zeros, from extents."
    return _Kind(name, (), {"dtype": dtype, "__doc__": doc})


BoolTensor = _kind("BoolTensor", np.dtype(np.bool_))
ByteTensor = _kind("ByteTensor", uint8)
CharTensor = _kind("CharTensor", int8)
ShortTensor = _kind("ShortTensor", int16)
IntTensor = _kind("IntTensor", int32)
LongTensor = _kind("LongTensor", int64)
HalfTensor = _kind("HalfTensor", float16)
FloatTensor = _kind("FloatTensor", float32)
DoubleTensor = _kind("DoubleTensor", float64)
