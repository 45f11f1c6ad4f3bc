"""What a tensor says of its array: shape, type, text, values in NumPy and in Python."""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from typing import Any

import numpy as np

from . import functional as F
from ._types import Array, DType
from .dtypes import Size, device, get_default_dtype
from .functional._tools import is_float
from .tensor_operators import TensorOperators

__all__ = ["TensorValues"]


class TensorValues(TensorOperators):
    """Properties and conversions of a tensor."""

    __slots__ = ()

    @property
    def shape(self) -> Size:
        """The extents of the axes."""
        return Size(self._array.shape)

    @property
    def dtype(self) -> DType:
        """The type of the elements."""
        return self._array.dtype

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self._array.ndim

    @property
    def device(self) -> device:
        """The CPU."""
        return device("cpu")

    @property
    def is_cuda(self) -> bool:
        """False."""
        return False

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return self._array.nbytes

    @property
    def itemsize(self) -> int:
        """Bytes of one element."""
        return self._array.itemsize

    @property
    def T(self) -> Any:
        """The axes in reverse order."""
        return F.permute(self, *range(self.ndim)[::-1])

    @property
    def mT(self) -> Any:
        """The last two axes exchanged."""
        return F.transpose(self, -2, -1)

    def size(self, dim: int | None = None) -> Any:
        """The shape, or the extent of one axis."""
        return self.shape if dim is None else self._array.shape[dim]

    def dim(self) -> int:
        """The number of axes."""
        return self._array.ndim

    ndimension = dim

    def numel(self) -> int:
        """The number of elements."""
        return self._array.size

    nelement = numel

    def element_size(self) -> int:
        """Bytes of one element."""
        return self._array.itemsize

    def stride(self, dim: int | None = None) -> Any:
        """Elements from one index to the next, for all axes or one."""
        strides = tuple(s // self._array.itemsize for s in self._array.strides)
        return strides if dim is None else strides[dim]

    def data_ptr(self) -> int:
        """The address of the first element."""
        return int(self._array.ctypes.data)

    def is_contiguous(self, memory_format: Any = None) -> bool:
        """Whether the elements lie in C order (or with channels last) without gaps."""
        return F.contiguous(self._array, memory_format) is self._array

    def is_floating_point(self) -> bool:
        """Whether the elements are floating-point numbers."""
        return is_float(self._array)

    def __len__(self) -> int:
        if self._array.ndim == 0:
            raise TypeError("len() of a 0-d tensor")
        return len(self._array)

    def __iter__(self) -> Iterator[Any]:
        if self._array.ndim == 0:
            raise TypeError("iteration over a 0-d tensor")
        return iter(F.unbind(self))

    def __repr__(self) -> str:
        text = np.array2string(self._array, separator=", ", prefix="tensor(", precision=4)
        if self._array.dtype not in (np.int64, np.bool_, get_default_dtype()):
            text += f", dtype={self._array.dtype}"
        if self._node is not None:
            text += f", grad_fn={self._node!r}"
        elif self._requires_grad:
            text += ", requires_grad=True"
        return f"tensor({text})"

    def __format__(self, spec: str) -> str:
        return format(self._array.item(), spec) if self._array.ndim == 0 else repr(self)

    # ---- to NumPy and Python -----------------------------------------------------------------

    def numpy(self, *, force: bool = False) -> Array:
        """The array; RuntimeError where a gradient is tracked, unless `force`."""
        if self._requires_grad and not force:
            raise RuntimeError(
                "Can't call numpy() on Tensor that requires grad. "
                "Use tensor.detach().numpy() instead."
            )
        self._expose()
        return self._array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        if copy:
            return np.array(self._array, dtype=dtype, copy=True)
        self._expose()
        return np.asarray(self._array, dtype=dtype)

    def __dlpack__(self, **kwargs: Any) -> Any:
        return self.numpy().__dlpack__(**kwargs)

    def __dlpack_device__(self) -> Any:
        return self._array.__dlpack_device__()

    def item(self) -> Any:
        """The only element as a Python number."""
        if self._array.size != 1:
            raise RuntimeError(
                f"a Tensor with {self._array.size} elements cannot be converted to Scalar"
            )
        return self._array.item()

    def tolist(self) -> Any:
        """The elements as nested lists."""
        return self._array.tolist()

    def __bool__(self) -> bool:
        if self._array.size != 1:
            raise RuntimeError(
                f"Boolean value of Tensor with {self._array.size} values is ambiguous"
            )
        return bool(self._array.item())

    def __float__(self) -> builtins.float:
        return builtins.float(self.item())

    def __int__(self) -> builtins.int:
        return builtins.int(self.item())

    def __index__(self) -> builtins.int:
        if self._array.dtype.kind not in "iu":
            raise TypeError("only integer tensors of a single element can be an index")
        return builtins.int(self.item())
