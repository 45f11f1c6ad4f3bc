"""What a network has still to compute: jobs, what they read, and the walk that meets them.

Jobs outlive a call: the same layers called in the same way meet the same jobs again, and with them
everything that was found out about them. A call's own is its :class:`Walk`.
"""

from __future__ import annotations

import itertools
import weakref
from typing import TYPE_CHECKING, Any

from ._types import DType
from .autograd import TensorBase, calls

if TYPE_CHECKING:
    from .deferred import Deferred
    from .nn.chain import Chain

__all__ = ["MOST_KEPT", "Input", "Job", "Side", "Source", "Walk", "this_walk"]

_order = itertools.count()
#: Of what begins with one source or ends with one chain.
MOST_KEPT = 1024


class Source:
    """What a job reads.

    Sources are numbered as they are made, and one is made after all those that it reads.

    Attributes
    ----------
    shape, dtype : tuple of int, dtype
    dense : bool
        Whether the values are in C order. Jobs for which that is not so run by themselves, and
        read only tensors with values.
    sides : dict
        What stands side by side with this one first: by all parts.
    """

    __slots__ = ("__weakref__", "dense", "dtype", "number", "shape", "sides")

    def __init__(self, shape: tuple[int, ...], dtype: DType, dense: bool) -> None:
        self.shape, self.dtype, self.dense = shape, dtype, dense
        self.number = next(_order)
        self.sides: dict[tuple[Source | None, ...], Side] = {}


class Input(Source):
    """The values that a walk meets as number `index`."""

    __slots__ = ("index",)

    def __init__(self, index: int, shape: tuple[int, ...], dtype: DType, dense: bool) -> None:
        super().__init__(shape, dtype, dense)
        self.index = index


class Job(Source):
    """A chain of layers that is still to be run.

    Attributes
    ----------
    chain : weak reference to Chain
        Which keeps the job; a walk keeps the chain.
    input : Source
    residual : Source, optional
        Added by the last convolution, before its activation.
    """

    __slots__ = ("chain", "input", "residual")

    def __init__(
        self,
        chain: Chain,
        input: Source,
        residual: Source | None,
        shape: tuple[int, ...],
        dense: bool,
    ) -> None:
        super().__init__(shape, input.dtype, dense)
        self.chain = weakref.ref(chain)
        self.input, self.residual = input, residual

    @property
    def steps(self) -> Chain:
        """The chain itself."""
        chain = self.chain()
        assert chain is not None
        return chain


class Side(Source):
    """Sources of (N, C, ...) that are still to be put side by side along the channels."""

    __slots__ = ("parts",)

    def __init__(self, parts: tuple[Source, ...], shape: tuple[int, ...]) -> None:
        super().__init__(shape, parts[0].dtype, True)
        self.parts = parts


class Walk:
    """What a thread is to compute, from its first job on until somebody looks.

    Attributes
    ----------
    inputs : list of tensors
        Those with values that jobs read.
    chains : list
        Those of its jobs, which are to stay as long as it goes on.
    tensors : list of weak references
        The deferred tensors.
    done : bool
        Whether they were computed; what comes then begins another walk.
    """

    __slots__ = ("__weakref__", "chains", "done", "inputs", "places", "tensors")

    def __init__(self) -> None:
        self.inputs: list[TensorBase] = []
        self.places: dict[int, Input] = {}  # by the tensors' ids
        self.chains: list[Any] = []
        self.tensors: list[weakref.ref[Deferred]] = []
        self.done = False

    def place(self, tensor: TensorBase) -> Input:
        """The input that a tensor with values is."""
        found = self.places.get(id(tensor))
        if found is None:
            array = tensor._array
            key = len(self.inputs), array.shape, array.dtype, array.flags.c_contiguous
            found = _inputs.get(key)
            if found is None:
                if len(_inputs) >= MOST_KEPT:
                    _inputs.clear()
                found = _inputs[key] = Input(*key)
            self.inputs.append(tensor)
            self.places[id(tensor)] = found
            tensor._shared_memory().wait(self)
        return found

    def settle(self) -> None:
        """Have everything computed that somebody still holds."""
        held = [t for t in [ref() for ref in self.tensors] if t is not None and t._job is not None]
        if held:
            from .flow import run  # which stands above this module

            values = run(self.inputs, [t._job for t in held if t._job is not None])
            for tensor, value in zip(held, values, strict=True):
                tensor._array = value
        self.done = True


_inputs: dict[tuple[int, tuple[int, ...], DType, bool], Input] = {}


def this_walk() -> Walk:
    """This thread's."""
    walk: Walk | None = calls.walk
    if walk is None or walk.done:
        walk = calls.walk = Walk()
    return walk
