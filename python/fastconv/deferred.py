"""Evaluation in fewer passes: what is still to be computed, and what can join it.

In evaluation mode, where nothing is recorded, layers inside a network give :class:`Deferred`
tensors, which know their shape and what is to be computed, but not yet their values. A batch norm,
an addition and an activation join a convolution's job, and tensors side by side (``cat``) wait
until somebody reads them; whatever else looks at the tensor has the job done first, once, by a
prepared program (nn/chain.py). Model code sees none of this: shapes and errors are those of the
single steps, values too but for rounding, and nothing deferred leaves the outermost module.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from . import _core
from ._types import Array, DType
from .autograd import TensorBase, compute_all, needs_grad, pending
from .dtypes import Size
from .tensor import Tensor

if TYPE_CHECKING:
    from .nn.chain import Chain

__all__ = ["Deferred", "Job", "Side", "calls", "finish", "settled"]


class _Calls(threading.local):
    depth = 0


#: Per thread: how many modules in evaluation mode are running one inside the other.
calls = _Calls()


class Job:
    """A chain of layers that is still to be run.

    Attributes
    ----------
    chain : Chain
    input : tensor
    shape : tuple of int
        Of the output.
    residual : tensor, optional
        Added by the last convolution, before its activation.
    """

    __slots__ = ("chain", "input", "residual", "shape")

    def __init__(
        self,
        chain: Chain,
        input: TensorBase,
        shape: tuple[int, ...],
        residual: TensorBase | None = None,
    ) -> None:
        self.chain, self.input, self.shape, self.residual = chain, input, shape, residual

    def sources(self) -> Sequence[TensorBase]:
        """What the job reads."""
        return (self.input,) if self.residual is None else (self.input, self.residual)

    def dtype(self) -> DType:
        """Of the output."""
        return self.input.dtype  # type: ignore[attr-defined, no-any-return]

    def run(self, owner: TensorBase, out: Array | None = None) -> Array:
        """Do it, into `out`, a piece of the values of `owner`, if that is given."""
        residual = None if self.residual is None else self.residual._array
        return self.chain.run(source_of(self.input, self.chain), residual, out)


class Side:
    """Tensors of (N, C, ...) that are still to be put side by side along the channels."""

    __slots__ = ("kind", "shape", "tensors")

    def __init__(self, tensors: Sequence[TensorBase], shape: tuple[int, ...], kind: DType) -> None:
        self.tensors, self.shape, self.kind = tensors, shape, kind

    def sources(self) -> Sequence[TensorBase]:
        """What the job reads."""
        return self.tensors

    def dtype(self) -> DType:
        """Of the output."""
        return self.kind

    def arrays(self) -> list[Array]:
        """The parts, those that are such themselves taken apart."""
        found: list[Array] = []
        rest = [*self.tensors[::-1]]
        while rest:
            tensor = rest.pop()
            job = tensor._job if type(tensor) is Deferred else None
            if type(job) is Side:
                rest += job.tensors[::-1]
            else:
                found.append(tensor._array)
        return found

    def run(self, owner: TensorBase, out: Array | None = None) -> Array:
        """Do it: what is still to be computed is written straight into its place."""
        y = _core.empty(self.shape, self.dtype().itemsize) if out is None else out
        at = 0
        for tensor in self.tensors:
            job = tensor._job if type(tensor) is Deferred else None
            channels = shape_of(tensor)[1]
            piece = y[:, at : at + channels]
            at += channels
            if job is None:
                piece[...] = tensor._array
            else:
                assert isinstance(tensor, Deferred)
                job.run(owner, piece)
                tensor._job = _Copy(piece)
                owner._shared_memory().wait(tensor)
        return y


class _Copy:
    """Values that stand in another array, to be copied if somebody wants them."""

    __slots__ = ("piece", "shape")

    def __init__(self, piece: Array) -> None:
        self.piece, self.shape = piece, piece.shape

    def sources(self) -> Sequence[TensorBase]:
        """Nothing: the tensor that the piece belongs to knows who waits for it."""
        return ()

    def dtype(self) -> DType:
        """Of the values."""
        return self.piece.dtype

    def run(self, owner: TensorBase, out: Array | None = None) -> Array:
        """The copy."""
        if out is None:
            copy: Array = self.piece.copy()
            return copy
        out[...] = self.piece
        return out


_Job: TypeAlias = "Job | Side | _Copy"


def source_of(tensor: TensorBase, chain: Chain) -> Any:
    """The array of a chain's input, or the arrays side by side where the chain reads such."""
    if type(tensor) is Deferred and type(tensor._job) is Side and chain.reads_parts:
        return tensor._job.arrays()
    return tensor._array


def shape_of(tensor: TensorBase) -> tuple[int, ...]:
    """The shape of a tensor, computed or not."""
    job = tensor._job if type(tensor) is Deferred else None
    return tensor._array.shape if job is None else job.shape


class Deferred(Tensor):
    """A tensor whose values are computed when somebody looks."""

    __slots__ = ("_job", "_value")

    def __init__(self, job: _Job) -> None:
        self._job: _Job | None = job
        self._value: Array | None = None
        self._requires_grad = False
        self._node = None
        self._index = 0
        self._memory = None
        self._hooks = None
        self.grad = None
        for source in job.sources():
            source._shared_memory().wait(self)
        pending.tensors.append(weakref.ref(self))

    @property
    def _array(self) -> Array:
        if self._value is None:
            job = self._job
            assert job is not None
            value: Array = job.run(self)
            self._value, self._job = value, None
            return value
        return self._value

    @_array.setter
    def _array(self, value: Array) -> None:
        self._value, self._job = value, None

    @property
    def shape(self) -> Size:
        """The extents of the axes."""
        return Size(shape_of(self))

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self._array.ndim if self._job is None else len(self._job.shape)

    @property
    def dtype(self) -> DType:
        """The type of the elements."""
        return self._array.dtype if self._job is None else self._job.dtype()

    def with_step(self, step: Any) -> Deferred | None:
        """This job with another layer at its end, or None where that cannot be."""
        job = self._job
        if type(job) is not Job or job.residual is not None:
            return None
        chain = job.chain.then(step)
        shape = chain.shape(shape_of(job.input), job.dtype())
        return None if shape is None else Deferred(Job(chain, job.input, shape))

    def _with_activation(self, activation: str, inplace: bool) -> TensorBase | None:
        job = self._job
        if type(job) is not Job:
            return None
        chain = job.chain.activated(activation)
        if chain is None:
            return None
        joined = Job(chain, job.input, job.shape, job.residual)
        if inplace:
            self._before_change()
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
            or not isinstance(other, TensorBase)
            or needs_grad(other)
        ):
            return None
        if other._array.shape != job.shape or other._array.dtype != self.dtype:
            return None
        return Deferred(Job(job.chain, job.input, job.shape, other))

    def _with_gate(self, other: Any) -> TensorBase | None:
        """Squeeze and excitation: this, scaled by what was made of its channels' means."""
        job, gate = self._job, other._job if type(other) is Deferred else None
        if (
            type(job) is not Job
            or type(gate) is not Job
            or gate.input is not self
            or not gate.chain.excites
            or job.residual is not None
            or gate.residual is not None
            or gate.shape != (*job.shape[:2], *(1 for _ in job.shape[2:]))
        ):
            return None
        chain = job.chain.exciting(gate.chain)
        shape = chain.shape(shape_of(job.input), job.dtype())
        return None if shape is None else Deferred(Job(chain, job.input, shape))

    def _beside(self, tensors: Sequence[Any], shape: tuple[int, ...]) -> TensorBase | None:
        if calls.depth == 0 or self._job is None or type(self._job) is _Copy:
            return None
        kind = self.dtype
        if any(not isinstance(t, Tensor) or needs_grad(t) or t.dtype != kind for t in tensors):
            return None
        return Deferred(Side(tuple(tensors), shape, kind))

    def _become(self, result: TensorBase) -> bool:
        if self._job is None:
            return False
        self._before_change()
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


def finish() -> None:
    """Have everything computed that is still alive: the outermost module is done."""
    waiting, pending.tensors = pending.tensors, []
    compute_all(waiting)


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
