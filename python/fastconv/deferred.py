"""Evaluation in fewer passes: convolution, batch norm, addition and activation as one.

In evaluation mode, where nothing is recorded, a convolution layer inside a network gives a
:class:`Deferred` tensor, which knows its shape and what is to be computed, but not yet its values.
A batch norm folds its numbers into the job, an addition and an activation join it; whatever else
looks at the tensor has the job done first, once, by a prepared plan. Model code sees none of this:
shapes and errors are those of the single steps, values too but for rounding, and nothing deferred
leaves the outermost module.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, NamedTuple

from . import _core
from ._types import Array, DType
from .autograd import TensorBase
from .tensor import Tensor

__all__ = ["Deferred", "Job", "calls", "settled"]


class _Calls(threading.local):
    depth = 0


#: Per thread: how many modules in evaluation mode are running one inside the other.
calls = _Calls()


class Job(NamedTuple):
    """A convolution that is still to be done.

    Attributes
    ----------
    prepare : callable
        Gives the plan for a batch norm (or None) and an activation (or None).
    input, residual : tensor
    norm : object
        What `prepare` folds in.
    activation : str
    shape : tuple of int
        Of the output.
    channels : int
        Of the output.
    """

    prepare: Callable[[Any, str | None], Any]
    input: TensorBase
    shape: tuple[int, ...]
    channels: int
    norm: Any = None
    residual: TensorBase | None = None
    activation: str | None = None

    def run(self) -> Array:
        """Do it."""
        plan = self.prepare(self.norm, self.activation)
        added = None if self.residual is None else self.residual._array
        result: Array = plan(self.input._array, residual=added)
        return result


class Deferred(Tensor):
    """A tensor whose values are computed when somebody looks."""

    __slots__ = ("_job", "_value")

    def __init__(self, job: Job) -> None:
        self._job: Job | None = job
        self._value: Array | None = None
        self._requires_grad = False
        self._node = None
        self._index = 0
        self._memory = None
        self._hooks = None
        self.grad = None
        for source in (job.input, job.residual):
            if source is not None:
                source._shared_memory().wait(self)

    @property
    def _array(self) -> Array:
        if self._value is None:
            job = self._job
            assert job is not None
            self._value, self._job = job.run(), None
        return self._value

    @_array.setter
    def _array(self, value: Array) -> None:
        self._value, self._job = value, None

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self._array.ndim if self._job is None else len(self._job.shape)

    @property
    def dtype(self) -> DType:
        """The type of the elements."""
        return self._array.dtype if self._job is None else self._job.input._array.dtype

    def with_norm(self, norm: Any, channels: int) -> Deferred | None:
        """This job with a batch norm folded in, or None where that cannot be."""
        job = self._job
        if (
            job is None
            or job.norm is not None
            or job.residual is not None
            or job.activation is not None
            or job.channels != channels
        ):
            return None
        return Deferred(job._replace(norm=norm))

    def _with_activation(self, activation: str, inplace: bool) -> TensorBase | None:
        job = self._job
        if job is None or job.activation is not None:
            return None
        job = job._replace(activation=activation)
        if inplace:
            self._job = job
            return self
        return Deferred(job)

    def _with_residual(self, other: Any) -> TensorBase | None:
        job = self._job
        if (
            job is None
            or job.activation is not None
            or job.residual is not None
            or other is self
            or not isinstance(other, TensorBase)
        ):
            return None
        if other._array.shape != job.shape or other._array.dtype != self.dtype:
            return None
        return Deferred(job._replace(residual=other))

    def _become(self, result: TensorBase) -> bool:
        if self._job is None:
            return False
        if isinstance(result, Deferred):
            self._job, self._value = result._job, result._value
        else:
            self._array = result._array
        return True

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return Tensor(self._array.copy())

    def __copy__(self) -> Any:
        return Tensor(self._array)

    def __reduce__(self) -> Any:
        return Tensor, (self._array,)


def settled(result: Any) -> Any:
    """`result` with the jobs of all deferred tensors in it done."""
    if type(result) is Deferred:
        return Tensor(result._array)
    if isinstance(result, (tuple, list)):
        if not any(type(r) is Deferred for r in result):
            return result
        values = [settled(r) for r in result]
        return type(result)(*values) if hasattr(result, "_fields") else type(result)(values)
    if isinstance(result, dict) and any(type(r) is Deferred for r in result.values()):
        for key, value in result.items():
            result[key] = settled(value)
    return result


def output_shape(
    rank: int, x: Array, weight: Array, geometry: tuple[Any, Any, Any, int]
) -> tuple[int, ...]:
    """The shape of a convolution's output; raises what the convolution would."""
    shape = _core.conv_rows(rank, "forward", x.shape, weight.shape, *geometry, x.dtype.itemsize)[0]
    return tuple(shape)
