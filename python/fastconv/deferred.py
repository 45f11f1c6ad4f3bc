"""Results that wait: what comes next may still join them.

In evaluation mode, where nothing is recorded, layers inside a network give :class:`Deferred`
tensors, which know their shape and what is to be computed, but not yet their values. A batch norm,
an addition and an activation join a convolution's job, and tensors side by side (``cat``) wait
until somebody reads them. A job may read what another job is still to compute: as soon as anything
else looks at a tensor, all jobs whose results somebody still holds are done in a single call
(flow.py). Model code sees none of this: shapes and errors are those of the single steps, values too
but for rounding, and nothing deferred leaves the outermost module.
"""

from __future__ import annotations

import itertools
import threading
import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from ._types import Array, DType
from .autograd import TensorBase, needs_grad, pending
from .dtypes import Size
from .tensor import Tensor

if TYPE_CHECKING:
    from .nn.chain import Chain

__all__ = ["Deferred", "Job", "Side", "calls", "finish", "settled", "source_of"]


class _Calls(threading.local):
    depth = 0


#: Per thread: how many modules in evaluation mode are running one inside the other.
calls = _Calls()

_order = itertools.count()

#: What a job reads: a tensor with values, or what another job is to compute.
Source: TypeAlias = "TensorBase | Job | Side"


class Job:
    """A chain of layers that is still to be run.

    Jobs are numbered as they are made, and one is made after all those that it reads.

    Attributes
    ----------
    chain : Chain
    input : Source
    reads : tuple of int
        The input's shape.
    shape, dtype : tuple of int, dtype
        Of the output.
    residual : Source, optional
        Added by the last convolution, before its activation.
    dense : bool
        Whether it runs as a program. Others (other layouts, no batch) run by themselves, and
        read only tensors with values.
    """

    __slots__ = ("__weakref__", "chain", "dense", "dtype", "input", "number", "reads", "residual",
                 "shape", "value")  # fmt: skip

    def __init__(
        self,
        chain: Chain,
        input: Source,
        reads: tuple[int, ...],
        shape: tuple[int, ...],
        dtype: DType,
        residual: Source | None = None,
        dense: bool = True,
    ) -> None:
        self.chain, self.input, self.residual = chain, input, residual
        self.reads, self.shape, self.dtype, self.dense = reads, shape, dtype, dense
        self.number = next(_order)
        self.value: Array | None = None
        if isinstance(input, TensorBase):
            input._shared_memory().wait(self)
        if isinstance(residual, TensorBase):
            residual._shared_memory().wait(self)

    def followed(self, chain: Chain, shape: tuple[int, ...]) -> Job:
        """The job of a longer chain on the same input."""
        return Job(chain, self.input, self.reads, shape, self.dtype, None, self.dense)

    def with_chain(self, chain: Chain, residual: Source | None = None) -> Job:
        """The same for one whose result has the same shape, and perhaps with a residual."""
        residual = self.residual if residual is None else residual
        return Job(chain, self.input, self.reads, self.shape, self.dtype, residual, self.dense)

    def settle(self) -> None:
        """What it reads is about to be changed."""
        if self.value is None:
            self.value = values_of([self])[0]


class Side:
    """Tensors of (N, C, ...) that are still to be put side by side along the channels.

    Attributes
    ----------
    parts : list of Source
        What stands side by side.
    shape, dtype : tuple of int, dtype
    """

    __slots__ = ("__weakref__", "dtype", "number", "parts", "shape", "value")

    def __init__(self, parts: Sequence[Source], shape: tuple[int, ...], dtype: DType) -> None:
        self.parts, self.shape, self.dtype = parts, shape, dtype
        self.number = next(_order)
        self.value: Array | None = None
        for part in parts:
            if isinstance(part, TensorBase):
                part._shared_memory().wait(self)

    def settle(self) -> None:
        """What it reads is about to be changed."""
        if self.value is None:
            self.value = values_of([self])[0]


def source_of(tensor: TensorBase) -> Source:
    """The job that is to compute a tensor, or the tensor where it has its values."""
    if type(tensor) is Deferred:
        job = tensor._job
        if type(job) is Side or (type(job) is Job and job.dense):
            return job
        tensor.settle()
    return tensor


class Deferred(Tensor):
    """A tensor whose values are computed when somebody looks."""

    __slots__ = ("_job", "_value")

    def __init__(self, job: Job | Side) -> None:
        self._job: Job | Side | None = job
        self._value: Array | None = None
        self._requires_grad = False
        self._node = None
        self._index = 0
        self._memory = None
        self._hooks = None
        self.grad = None
        pending.tensors.append(weakref.ref(self))

    @property
    def _array(self) -> Array:
        if self._value is None:
            _compute(self)
            assert self._value is not None
        return self._value

    @_array.setter
    def _array(self, value: Array) -> None:
        self._value, self._job = value, None

    def settle(self) -> None:
        """Have it computed."""
        _ = self._array

    @property
    def shape(self) -> Size:
        """The extents of the axes."""
        return Size(self._array.shape if self._job is None else self._job.shape)

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self._array.ndim if self._job is None else len(self._job.shape)

    @property
    def dtype(self) -> DType:
        """The type of the elements."""
        return self._array.dtype if self._job is None else self._job.dtype

    def with_step(self, step: Any) -> Deferred | None:
        """This job with another layer at its end, or None where that cannot be."""
        job = self._job
        if type(job) is not Job or job.residual is not None:
            return None
        chain = job.chain.then(step)
        shape = chain.shape(job.reads, job.dtype)
        return None if shape is None else Deferred(job.followed(chain, shape))

    def _with_activation(self, activation: str, inplace: bool) -> TensorBase | None:
        job = self._job
        if type(job) is not Job:
            return None
        chain = job.chain.activated(activation)
        if chain is None:
            return None
        joined = job.with_chain(chain)
        if inplace:
            self._job = joined
            return self
        return Deferred(joined)

    def _with_residual(self, other: Any) -> TensorBase | None:
        job = self._job
        if (
            type(job) is not Job
            or job.residual is not None
            or not job.chain.takes_residual
            or other is self
            or not isinstance(other, Tensor)
            or needs_grad(other)
            or other.shape != job.shape
            or other.dtype != job.dtype
        ):
            return None
        if not job.dense and type(other) is Deferred:
            other.settle()
        return Deferred(job.with_chain(job.chain, source_of(other)))

    def _with_gate(self, other: Any) -> TensorBase | None:
        """Squeeze and excitation: this, scaled by what was made of its channels' means."""
        job, gate = self._job, other._job if type(other) is Deferred else None
        if (
            type(job) is not Job
            or type(gate) is not Job
            or gate.input is not job
            or not gate.chain.excites
            or job.residual is not None
            or gate.residual is not None
            or gate.shape != (*job.shape[:2], *(1 for _ in job.shape[2:]))
        ):
            return None
        chain = job.chain.exciting(gate.chain)
        shape = chain.shape(job.reads, job.dtype)
        return None if shape is None else Deferred(job.with_chain(chain))

    def _beside(self, tensors: Sequence[Any]) -> TensorBase | None:
        own = self._job
        if own is None or not calls.depth or len(own.shape) < 2:
            return None
        images, pixels, channels = own.shape[0], own.shape[2:], 0
        for t in tensors:
            if not isinstance(t, Tensor) or needs_grad(t):
                return None
            known: Any = t._job if type(t) is Deferred else None
            if known is None:
                known = t._array
            shape = known.shape
            if len(shape) < 2 or shape[0] != images or shape[2:] != pixels:
                return None
            if known.dtype is not own.dtype and known.dtype != own.dtype:
                return None
            channels += shape[1]
        parts = [source_of(t) for t in tensors]
        return Deferred(Side(parts, (images, channels, *pixels), own.dtype))

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


def _compute(first: Deferred) -> None:
    """Have `first` computed, and with it all that this thread still has to compute."""
    waiting, pending.tensors = pending.tensors, []
    tensors = [first]
    for ref in waiting:
        tensor: Any = ref()
        if tensor is not None and tensor is not first and tensor._job is not None:
            tensors.append(tensor)
    values = values_of([tensor._job for tensor in tensors])
    for tensor, value in zip(tensors, values, strict=True):
        tensor._array = value


def values_of(jobs: Sequence[Any]) -> list[Array]:
    """The results of jobs, each an array of its own."""
    from .flow import run  # which stands above this module

    return run(jobs)


def finish() -> None:
    """Have everything computed that is still alive: the outermost module is done."""
    waiting = pending.tensors
    for ref in waiting:
        tensor: Any = ref()
        if tensor is not None:
            tensor.settle()
    pending.tensors = []


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
