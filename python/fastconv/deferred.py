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

import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ._types import Array, DType
from .autograd import TensorBase, calls, needs_grad
from .dtypes import Size
from .grad_mode import mode
from .sources import MOST_KEPT, Job, Side, Source, Walk, this_walk
from .tensor import Tensor

if TYPE_CHECKING:
    from .nn.chain import Chain

__all__ = ["Deferred", "finish", "settled", "source_of"]


def source_of(tensor: TensorBase) -> Source:
    """The job that is to compute a tensor, or the place of one that has its values."""
    if type(tensor) is Deferred:
        job = tensor._job
        if job is not None and job.dense and tensor._walk is calls.walk:
            return job
        tensor.settle()
    return this_walk().place(tensor)


class Deferred(Tensor):
    """A tensor whose values are computed when somebody looks."""

    __slots__ = ("_job", "_value", "_walk")

    def __init__(self, job: Source, chain: Chain | None = None) -> None:
        self._job: Source | None = job
        self._value: Array | None = None
        self._requires_grad = False
        self._node = None
        self._index = 0
        self._memory = None
        self._hooks = None
        self.grad = None
        walk = calls.walk
        self._walk: Walk | None = walk
        walk.tensors.append(weakref.ref(self))
        if chain is not None:
            walk.chains.append(chain)

    @property
    def _array(self) -> Array:
        if self._value is None:
            assert self._walk is not None
            self._walk.settle()
            assert self._value is not None
        return self._value

    @_array.setter
    def _array(self, value: Array) -> None:
        self._value, self._job, self._walk = value, None, None

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

    def _chained(self) -> Job | None:
        """The job, if layers may join it."""
        job = self._job
        return job if type(job) is Job and self._walk is calls.walk else None

    def with_step(self, step: Any) -> Deferred | None:
        """This job with another layer at its end, or None where that cannot be."""
        job = self._chained()
        if job is None or job.residual is not None:
            return None
        return job.steps.then(step).waiting(job.input)

    def _with_activation(self, activation: str, inplace: bool) -> TensorBase | None:
        job = self._chained()
        if job is None:
            return None
        chain = job.steps.activated(activation)
        joined = None if chain is None else chain.waiting(job.input, job.residual)
        if joined is None or not inplace:
            return joined
        self._job = joined._job
        return self

    def _with_residual(self, other: Any) -> TensorBase | None:
        job = self._chained()
        if job is None or job.residual is not None or other is self:
            return None
        chain = job.steps
        if not chain.takes_residual or not isinstance(other, Tensor) or needs_grad(other):
            return None
        added: Any = other._job if type(other) is Deferred else None
        known = other._array if added is None else added
        if known.shape != job.shape or known.dtype != job.dtype:
            return None
        if added is None:
            added = calls.walk.place(other)
        elif not (job.dense and added.dense and other._walk is self._walk):  # type: ignore[attr-defined]
            return None
        return chain.waiting(job.input, added)

    def _with_gate(self, other: Any) -> TensorBase | None:
        """Squeeze and excitation: this, scaled by what was made of its channels' means."""
        job, gate = self._chained(), other._chained() if type(other) is Deferred else None
        if (
            job is None
            or gate is None
            or gate.input is not job
            or not gate.steps.excites
            or job.residual is not None
            or gate.residual is not None
            or gate.shape != (*job.shape[:2], *(1 for _ in job.shape[2:]))
        ):
            return None
        return job.steps.exciting(gate.steps).waiting(job.input)

    def _beside(self, tensors: Sequence[Any]) -> TensorBase | None:
        walk = self._walk
        if walk is None or walk is not calls.walk or not calls.depth:
            return None
        if not mode.recording:
            known = [t._job if type(t) is Deferred and t._walk is walk else None for t in tensors]
            side = None if known[0] is None else known[0].sides.get((*known,))
            if side is not None:
                return Deferred(side)
        parts = _fitting(tensors)
        if parts is None or self._walk is not walk:  # somebody looked
            return None
        first = parts[0]
        side = first.sides.get(parts)
        if side is None:
            channels = sum([part.shape[1] for part in parts])
            if len(first.sides) >= MOST_KEPT:
                first.sides.clear()
            shape = (first.shape[0], channels, *first.shape[2:])
            side = first.sides[parts] = Side(parts, shape)
        return Deferred(side)

    def _become(self, result: TensorBase) -> bool:
        if self._job is None:
            return False
        if type(result) is Deferred and result._job is not None and result._walk is self._walk:
            self._job = result._job
        else:
            self._array = result._array
        return True

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return Tensor(self._array.copy())

    def __copy__(self) -> Any:
        return Tensor(self._array)

    def __reduce__(self) -> Any:
        return Tensor, (self._array,)


def _fitting(tensors: Sequence[Any]) -> tuple[Source, ...] | None:
    """What tensors are sources of, if they fit side by side along axis 1."""
    first: Any = None
    for t in tensors:
        if not isinstance(t, Tensor) or needs_grad(t):
            return None
        known: Any = t._job if type(t) is Deferred else None
        if known is None:
            known = t._array
        if first is None:
            first = known
        if (
            len(known.shape) < 2
            or known.shape[0] != first.shape[0]
            or known.shape[2:] != first.shape[2:]
            or known.dtype != first.dtype
        ):
            return None
    for t in tensors:  # at once, as it has all others computed too
        apart = type(t) is Deferred and t._job is not None
        if apart and (t._walk is not calls.walk or not t._job.dense):
            t.settle()
    return tuple([source_of(t) for t in tensors])


def finish() -> None:
    """Have everything computed that is still alive: the outermost module is done."""
    walk: Walk | None = calls.walk
    if walk is not None:
        if not walk.done:
            walk.settle()
        calls.walk = None


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
