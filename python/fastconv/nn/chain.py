"""Layers in a row as one compiled program.

In evaluation mode, where nothing is recorded, whatever stands in a row in a :class:`Sequential` (or
joins a convolution layer's result) runs in a single call: convolution, batch norm and activation as
one plan, nothing allocated between the steps, no Python. A chain is made of snapshots of the layers
(steps.py), so it never has to be told of changes: another step makes another chain.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from .. import _core
from .._types import Array
from ..autograd import TensorBase, calls
from ..deferred import Deferred, source_of
from ..grad_mode import mode
from ..sources import MOST_KEPT, Input, Job, Source
from ..tensor import Tensor
from .steps import ACTIVATIONS, Step

__all__ = ["Chain"]

_MOST_SHAPES = 64
_WEIGHTED = ("conv", "linear")


class Chain:
    """Steps in a row, and the programs that run them, one for each shape of input.

    Attributes
    ----------
    dtype : dtype, optional
        The one that all arrays of the steps have, if it is float32 or float64.
    dense : bool
        Whether all of them are C-contiguous.
    takes_residual : bool
        Whether something can be added to the result: the last step is a convolution, perhaps with
        its batch norm.
    reads_parts : bool
        Whether it likes its input as separate arrays side by side: the first step is a batch norm.
    excites : bool
        Whether its result may be what scales the channels of its input: the first step takes their
        means (squeeze and excitation).
    excited : bool
        Whether the last step is such a scaling, which likes to go on into what comes next.
    """

    __slots__ = (
        "__weakref__", "called", "dense", "dtype", "excited", "excites", "flows", "followers",
        "gate", "jobs", "plan", "programs", "reads_parts", "ready", "shapes", "single", "steps",
        "takes_residual", "tensors",
    )  # fmt: skip

    def __init__(self, steps: Sequence[Step]) -> None:
        self.steps = tuple(s for s in steps if s.kind != "none")
        self.tensors = [t for s in self.steps for t in s.tensors if t is not None]
        self.programs: dict[tuple[Any, ...], Any] = {}
        self.shapes: dict[tuple[Any, ...], tuple[int, ...] | None] = {}
        self.followers: dict[Step, Chain] = {}
        self.jobs: dict[Any, Job] = {}  # of this chain, by what they read
        self.called: dict[Source | None, Job] = {}  # what calling it behind a source made
        self.flows: dict[tuple[Any, ...], dict[Any, Any]] = {}  # that end here (flow.py)
        self.ready: dict[tuple[Source, ...], Any] = {}  # the same by what is wanted
        kinds = [s.kind for s in self.steps]
        self.reads_parts = kinds[:1] == ["norm"]
        means = kinds[:1] == ["adaptive_avg_pool"]
        self.excites = means and set(self.steps[0].args[0]) == {1}
        self.excited = kinds[-1:] == ["excite"]
        self.gate: Step | None = None
        fused = [*self._fused()]
        last = fused[-1]
        self.takes_residual = last[0].kind == "conv" and last[2] is None
        self.single = len(fused) == 1 and kinds[0] == "conv"
        self.plan: Any = None  # of a single convolution
        arrays = [a for s in self.steps for a in s.arrays if a is not None]
        kinds_of = {a.dtype for a in arrays}
        self.dtype = kinds_of.pop() if len(kinds_of) == 1 else None
        if self.dtype not in (np.float32, np.float64):
            self.dtype = None
        self.dense = all(a.flags.c_contiguous for a in arrays)

    @staticmethod
    def of(step: Step) -> Chain:
        """The chain of one step."""
        if step.alone is None:
            step.alone = Chain((step,))
        chain: Chain = step.alone
        return chain

    def then(self, step: Step) -> Chain:
        """This chain with one more step."""
        chain = self.followers.get(step)
        if chain is None:
            if len(self.followers) > 8:
                self.followers.clear()
            chain = self.followers[step] = Chain((*self.steps, step))
        return chain

    def exciting(self, gate: Chain) -> Chain:
        """This chain, its result scaled by what `gate` makes of it."""
        if gate.gate is None:
            gate.gate = Step("excite", (gate,), tuple(gate.tensors))
        return self.then(gate.gate)

    def activated(self, activation: str) -> Chain | None:
        """This chain with an activation at its end, where that joins the last step."""
        if self.takes_residual or self.steps[-1].kind in ("norm", "linear"):
            return self.then(ACTIVATIONS[activation])
        return None

    def _fused(self) -> Iterator[tuple[Step, Step | None, str | None]]:
        """The steps, each with the batch norm and the activation that it takes along."""
        i, steps = 0, self.steps
        while i < len(steps):
            step, norm, activation = steps[i], None, None
            i += 1
            weighted = step.kind in _WEIGHTED
            if weighted and i < len(steps) and step.takes_norm(steps[i]):
                norm, i = steps[i], i + 1
            if i < len(steps) and steps[i].fused is not None:
                name = steps[i].fused
                if weighted or (step.kind == "norm" and name in ("relu", "relu6")):
                    activation, i = name, i + 1
            yield step, norm, activation

    # ---- programs ----------------------------------------------------------------------------

    def shape(self, shape: tuple[int, ...], dtype: Any) -> tuple[int, ...] | None:
        """The output's shape; None where the steps do not fit each other or the input.

        Raises
        ------
        ValueError, TypeError
            For a single convolution: what it would raise.
        """
        key = (shape, dtype)
        found = self.shapes.get(key)
        if found is None:
            if len(self.shapes) >= _MOST_SHAPES:
                self.shapes.clear()
            if self.single:
                rank, stride, padding, dilation, groups = self.steps[0].args
                weight = self.steps[0].arrays[0].shape
                rows = _core.conv_rows(
                    rank, "forward", shape, weight, stride, padding, dilation, groups,
                    dtype.itemsize,
                )  # fmt: skip
                found = tuple(rows[0])
            else:
                outline = self._compiled(shape, dtype, dry=True)
                found = None if outline is None else outline.output_shape
            self.shapes[key] = found
        return found

    def program(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """The program for inputs of this shape and type; None where there is none."""
        key = (shape, dtype)
        found = self.programs.get(key, False)
        if found is False:
            if len(self.programs) >= _MOST_SHAPES:
                self.programs.clear()
            found = self.programs[key] = self._compiled(shape, dtype)
        return found

    def _compiled(self, shape: tuple[int, ...], dtype: Any, dry: bool = False) -> Any:
        """A program, or only the outline of one; None where the layers are to say what is wrong."""
        if dtype not in (np.float32, np.float64) or not all(s.usable(dtype) for s in self.steps):
            return None
        ops = self._operations(len(shape), dry)
        if ops is None:
            return None
        try:
            return _core.Program(shape, dtype.itemsize, ops)
        except (ValueError, TypeError):
            return None

    def _operations(self, axes: int, dry: bool) -> list[tuple[Any, ...]] | None:
        """The steps of a program for an input of so many axes; None where they do not fit."""
        ops: list[tuple[Any, ...]] = []
        for step, norm, activation in self._fused():
            kind, args = step.kind, step.args
            if kind == "conv":
                fits = axes == args[0] + 2
                ops.append(step.outline() if dry else (kind, step.plan(norm, activation)))
            elif kind == "linear":
                fits = axes == 2
                ops.append((kind, step.plan(norm, activation)))
            elif kind == "norm":
                fits = not args[2] or axes in args[2]
                ops.append((kind, *step.scale_and_shift(), activation))
            elif kind == "flatten":
                fits = axes > 1
                ops.append((kind, 1, axes - 1))
                axes = 2
            elif kind == "excite":
                inner = args[0]._operations(axes, False)
                fits = inner is not None
                if fits and not dry:
                    ops.append((kind, inner[1:]))  # the means are the step's own
            elif kind == "unary":
                fits = True
                ops.append((kind, *args))
            else:  # pools
                fits = axes == 2 + (len(args[0]) if kind == "adaptive_avg_pool" else args[0])
                ops.append((kind, *args))
            if not fits:
                return None
        return ops

    # ---- running -----------------------------------------------------------------------------

    def run(self, array: Array, residual: Array | None = None) -> Array:
        """The result for an array."""
        if self.single:
            if self.plan is None:
                _, norm, activation = next(self._fused())
                self.plan = self.steps[0].plan(norm, activation)
            y: Array = self.plan(array, residual=residual)
            return y
        program = self.program(array.shape, array.dtype)
        result: Array = program.run(array, residual, None)
        return result

    def job(self, input: Source, residual: Source | None = None) -> Job | None:
        """This chain as a job; None where the steps do not fit each other or the input.

        Raises
        ------
        ValueError, TypeError
            For a single convolution: what it would raise.
        """
        key = input if residual is None else (input, residual)
        found = self.jobs.get(key)
        if found is None:
            shape = self.shape(input.shape, input.dtype)
            if shape is None:
                return None
            dense = input.dense
            if self.single:
                axes = len(input.shape)
                dense = dense and self.dense and axes == self.steps[0].args[0] + 2
                dense = dense and 0 not in input.shape
            if len(self.jobs) >= MOST_KEPT:
                self.jobs.clear()
            found = self.jobs[key] = Job(self, input, residual, shape, dense)
        return found

    def waiting(self, input: Source, residual: Source | None = None) -> Deferred | None:
        """The result of :meth:`job`, still to be computed."""
        job = self.job(input, residual)
        return None if job is None else Deferred(job, self)

    def __call__(self, input: Any, waits: bool = False) -> Any:
        """The result for a tensor, deferred where something may still join it.

        `waits`: also directly within the outermost module.

        None where the chain does not apply: the layers are to be called one by one.
        """
        if type(input) is Deferred and calls.depth and not mode.recording:
            job = self.called.get(input._job)
            if job is not None and input._walk is calls.walk:
                return Deferred(job, job.chain())
        if mode.recording and any(t._requires_grad for t in self.tensors):
            return None
        if not isinstance(input, TensorBase):
            if not self.tensors or not isinstance(input, np.ndarray):
                return None
            input = Tensor(input)
        elif mode.recording and input._requires_grad:
            return None
        source = None
        if type(input) is Deferred and input._job is not None:
            if calls.depth:
                source = source_of(input)
            else:
                input.settle()
        if source is None or type(source) is Input:
            return self._begun(input, waits)
        if self.single and (self.dtype is None or source.dtype != self.dtype):
            return None
        result: Deferred | None
        if (
            type(source) is Job
            and source.residual is None
            and (source.steps.excited or source.steps.excites)
        ):
            chain = source.steps
            for step in self.steps:
                chain = chain.then(step)
            result = chain.waiting(source.input)
        else:
            job = self.job(source)
            if job is not None and not job.dense:
                input.settle()
                return self._begun(input, waits)
            result = None if job is None else Deferred(job, self)
        if result is not None:
            if len(self.called) >= MOST_KEPT:
                self.called.clear()
            assert type(result._job) is Job
            self.called[source] = result._job
        return result

    def _begun(self, input: Any, waits: bool) -> Any:
        """The same for a tensor with values."""
        array = input._array
        if self.single:
            if self.dtype is None or (array.dtype is not self.dtype and array.dtype != self.dtype):
                return None
        elif not array.flags.c_contiguous:
            return None
        if calls.depth >= (1 if waits else 2):
            return self.waiting(source_of(input))
        if not self.single:
            program = self.program(array.shape, array.dtype)
            return None if program is None else Tensor(program.run(array, None, None))
        return None if self.shape(array.shape, array.dtype) is None else Tensor(self.run(array))
