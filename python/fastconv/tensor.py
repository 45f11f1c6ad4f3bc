"""Tensor: an array, its gradient, and PyTorch's methods."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np

from . import functional as F
from . import tensor_base
from ._data import TensorData
from ._types import Array
from .autograd import (
    Hook,
    Node,
    TensorBase,
    raw,
    refuse_graph,
    run_backward,
    seed_gradient,
)
from .dtypes import as_dtype, device, get_default_dtype, memory_format, no_such_device
from .functional._tools import flat_ints, is_float
from .tensor_values import TensorValues

__all__ = ["Tensor"]


def _converted(data: Any) -> Array:
    """An array from whatever a tensor may be made of; Python floats become the default type."""
    data = raw(data)
    if isinstance(data, (np.ndarray, np.generic)):
        return np.asarray(data)
    if isinstance(data, (list, tuple)) and any(isinstance(v, TensorBase) for v in data):
        data = [raw(v) for v in data]
    array = np.asarray(data)
    if array.dtype == object:
        raise TypeError(f"tensor: cannot make numbers of {type(data).__name__}")
    # Lists of arrays and NumPy scalars keep their type; Python numbers take the default one.
    return array.astype(get_default_dtype()) if array.dtype == np.float64 else array


class Tensor(TensorValues):
    """A NumPy array that remembers how it was computed.

    Parameters
    ----------
    data : array_like, or ints
        An array is shared, not copied. A list becomes floating-point numbers. Ints give a tensor of
        that shape filled with zeros.
    requires_grad : bool
        Whether :meth:`backward` shall fill ``.grad``; floating-point types only.

    Attributes
    ----------
    data : ndarray
        The array itself.
    grad : Tensor or None
        The gradient that :meth:`backward` left.

    Notes
    -----
    Methods and operators are those of ``torch.Tensor``; each is a function of
    :mod:`fastconv.functional` with the tensor as its first argument.
    """

    __slots__ = ()
    __array_priority__ = 1000
    __array_ufunc__ = None  # array + tensor asks the tensor

    def __init__(self, *data: Any, requires_grad: bool = False) -> None:
        if len(data) == 1 and type(data[0]) is np.ndarray:
            array = data[0]
        elif data and all(type(d) is int for d in data):
            array = np.zeros(data, get_default_dtype())
        else:
            array = _converted(data[0] if len(data) == 1 else data)
            if isinstance(data[0] if data else (), (list, tuple)) and array.dtype.kind in "biu":
                array = array.astype(get_default_dtype())
        super().__init__(array)
        if requires_grad:
            self.requires_grad = True

    # ---- the array ---------------------------------------------------------------------------

    @property
    def data(self) -> TensorData:
        """The array. Changes to it are not seen by the tape."""
        self._expose()
        return self._array.view(TensorData)

    @data.setter
    def data(self, value: Any) -> None:
        self._before_change()
        self._array = np.asarray(raw(value))
        self._touch()
        self._memory = None

    # ---- the tape ----------------------------------------------------------------------------

    @property
    def requires_grad(self) -> bool:
        """Whether a gradient with respect to this tensor is tracked."""
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if self._node is not None:
            if not value:
                raise RuntimeError(
                    "you can only change requires_grad flags of leaf variables; "
                    "use detach() to get a tensor outside the graph"
                )
            return
        if value and not is_float(self._array):
            raise RuntimeError(
                "only Tensors of floating point dtype can require gradients, "
                f"got {self._array.dtype}"
            )
        self._requires_grad = builtins.bool(value)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Set ``requires_grad``; returns the tensor."""
        self.requires_grad = requires_grad
        return self

    @property
    def is_leaf(self) -> bool:
        """Whether the tensor was made, not computed on the tape."""
        return self._node is None

    @property
    def grad_fn(self) -> Node | None:
        """The step of the tape that computed this tensor."""
        return self._node

    def backward(
        self, gradient: Any = None, retain_graph: bool = False, create_graph: bool = False
    ) -> None:
        """Add the gradient of this tensor to the ``.grad`` of every leaf it was computed from.

        Parameters
        ----------
        gradient : array or Tensor of this tensor's shape
            Where to start from; ones if left out, for a single element only.
        retain_graph : bool
            Keep what was saved for another pass; else it is freed on the way.

        Raises
        ------
        RuntimeError
            If nothing was recorded, on a second pass, or if a saved tensor was overwritten.
        NotImplementedError
            For `create_graph`: gradients are arrays off the tape, so they have no gradients.
        """
        refuse_graph("backward", create_graph)
        run_backward([(self, seed_gradient(self, gradient))], retain_graph)

    def detach(self) -> Any:
        """The same memory outside the tape."""
        result = Tensor(self._array)
        result._share(self)
        return result

    def detach_(self) -> Tensor:
        """Take this tensor off the tape."""
        self._node, self._requires_grad = None, False
        return self

    def retain_grad(self) -> None:
        """Keep ``.grad`` of a computed tensor too."""
        node = self._node
        if node is None:
            return

        def keep(grad: Tensor) -> None:
            self.grad = Tensor(grad._array.copy())

        self.register_hook(keep)

    def register_hook(self, hook: Hook) -> Any:
        """Call `hook` with the gradient when it is known; what it returns replaces it."""
        if not self._requires_grad:
            raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
        if self._node is None:
            self._hooks = self._hooks or []
            self._hooks.append(hook)
            return _Handle(self._hooks, hook)
        entry = (self._index, hook)
        self._node.hooks = self._node.hooks or []
        self._node.hooks.append(entry)
        return _Handle(self._node.hooks, entry)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        if self._node is not None:
            raise RuntimeError(
                "Only Tensors created explicitly by the user (graph leaves) support the deepcopy "
                "protocol; detach() first"
            )
        copy = _rebuilt(type(self), self._array.copy(), self._requires_grad)
        memo[id(self)] = copy
        if self.grad is not None:
            copy.grad = Tensor(self.grad._array.copy())
        return copy

    def __copy__(self) -> Any:
        return _rebuilt(type(self), self._array, self._requires_grad)

    def __reduce__(self) -> Any:
        if self._node is not None:
            raise RuntimeError("only leaf tensors can be pickled; detach() first")
        return _rebuilt, (type(self), self._array, self._requires_grad)

    # ---- other types and layouts -------------------------------------------------------------

    def to(self, *args: Any, **kwargs: Any) -> Any:
        """In another element type or memory format; ``"cpu"`` changes nothing.

        Raises
        ------
        RuntimeError
            For any other device.
        """
        layout = kwargs.get("memory_format")
        target: Any = self
        for value in (*args, kwargs.get("dtype"), kwargs.get("device")):
            if value is None or isinstance(value, (builtins.bool, type(self.device))):
                continue
            if isinstance(value, TensorBase):
                target = F.cast(target, value._array.dtype)
            elif isinstance(value, memory_format):
                layout = value
            elif isinstance(value, str) and not hasattr(np, value):
                device(value)
            else:
                target = F.cast(target, as_dtype(value))
        if layout is not None and layout is not memory_format.preserve_format:
            target = target.contiguous(memory_format=layout)
        return F.clone(target) if kwargs.get("copy") and target is self else target

    def type(self, dtype: Any = None) -> Any:
        """The tensor in another element type; the name of the type when called without one."""
        return f"fastconv.{self.dtype}" if dtype is None else F.cast(self, as_dtype(dtype))

    def type_as(self, other: TensorBase) -> Any:
        """The tensor in the element type of `other`."""
        return F.cast(self, other._array.dtype)

    def contiguous(self, memory_format: Any = None) -> Any:
        """In C order (or with channels last); already so, the tensor itself."""
        return F.contiguous(self, memory_format)

    def cpu(self) -> Tensor:
        """The tensor itself."""
        return self

    def cuda(self, *args: Any, **kwargs: Any) -> Any:
        """RuntimeError: there is only the CPU."""
        no_such_device("cuda")

    def new_tensor(self, data: Any, dtype: Any = None, requires_grad: bool = False) -> Any:
        """A tensor from `data`, in this tensor's element type."""
        array = np.array(_converted(data), dtype=self.dtype if dtype is None else as_dtype(dtype))
        return Tensor(array, requires_grad=requires_grad)

    def new_full(self, size: Any, fill_value: Any, dtype: Any = None, **_: Any) -> Any:
        """A tensor of one value, in this tensor's element type."""
        return Tensor(np.full(size, raw(fill_value), self.dtype if dtype is None else dtype))

    def new_zeros(self, *size: Any, dtype: Any = None, **_: Any) -> Any:
        """Zeros in this tensor's element type."""
        return self.new_full(flat_ints(size), 0, dtype)

    def new_ones(self, *size: Any, dtype: Any = None, **_: Any) -> Any:
        """Ones in this tensor's element type."""
        return self.new_full(flat_ints(size), 1, dtype)

    new_empty = new_zeros

    # ---- names that hide builtins in this class body -------------------------------------------

    def float(self) -> Any:
        """In float32."""
        return F.cast(self, np.float32)

    def double(self) -> Any:
        """In float64."""
        return F.cast(self, np.float64)

    def half(self) -> Any:
        """In float16."""
        return F.cast(self, np.float16)

    def long(self) -> Any:
        """In int64."""
        return F.cast(self, np.int64)

    def int(self) -> Any:
        """In int32."""
        return F.cast(self, np.int32)

    def byte(self) -> Any:
        """In uint8."""
        return F.cast(self, np.uint8)

    def bool(self) -> Any:
        """As truth values."""
        return F.cast(self, np.bool_)


class _Handle:
    """Takes a hook away again."""

    def __init__(self, hooks: list[Any], entry: Any) -> None:
        self.hooks, self.entry = hooks, entry

    def remove(self) -> None:
        if self.entry in self.hooks:
            self.hooks.remove(self.entry)


def _rebuilt(kind: type[Tensor], array: Array, requires_grad: bool) -> Tensor:
    tensor = kind.__new__(kind)
    TensorBase.__init__(tensor, array, requires_grad)
    return tensor


def _made(array: Array) -> Tensor:
    """A tensor around an array that is known to be one."""
    tensor = Tensor.__new__(Tensor)
    TensorBase.__init__(tensor, array)
    return tensor


tensor_base.make_tensor = _made
