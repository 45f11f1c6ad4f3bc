"""Jobs done together: what waits in a network runs as one compiled call.

The jobs that lead to the wanted results are put in order, each with what it reads; the first time
that they come in this way, they are planned (``_core.Flow``): one program for each chain, places in
one piece of memory for what lies between, parts of a concatenation written where they shall stand.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from . import _core
from ._types import Array
from .autograd import TensorBase
from .deferred import Job, Side

if TYPE_CHECKING:
    from .nn.chain import Chain

__all__ = ["run"]

_MOST_SHAPES = 16
_MOST_VERSIONS = 2  # of the weights: a flow keeps what was prepared from them
_number = attrgetter("number")


def run(wanted: Sequence[Job | Side]) -> list[Array]:
    """The results of jobs, each an array of its own."""
    if len(wanted) == 1:
        job = wanted[0]
        if type(job) is Job and job.value is None and isinstance(job.input, TensorBase):
            residual = job.residual
            if residual is None:
                return [job.chain.run(job.input._array)]
            if isinstance(residual, TensorBase):
                return [job.chain.run(job.input._array, residual._array)]
    results: dict[int, Array] = {}
    rest: list[Job | Side] = []
    for job in wanted:
        if id(job) in results:
            continue
        if type(job) is Job and not job.dense:
            assert isinstance(job.input, TensorBase)
            residual = job.residual
            assert residual is None or isinstance(residual, TensorBase)
            added = None if residual is None else residual._array
            results[id(job)] = job.chain.run(job.input._array, added)
        elif job.value is not None:
            results[id(job)] = job.value.copy()
        else:
            results[id(job)] = _LATER
            rest.append(job)
    if rest:
        for job, value in zip(rest, _together(rest), strict=True):
            results[id(job)] = value
    values = []
    for i, job in enumerate(wanted):
        value = results[id(job)]
        values.append(value.copy() if any(job is other for other in wanted[:i]) else value)
    return values


_LATER: Any = None


def _together(wanted: list[Job | Side]) -> list[Array]:
    """The results of jobs that are still to be done."""
    jobs = _jobs(wanted)
    leaves: list[Array] = []
    places: dict[int, int] = {}  # of sources: leaves as -1, -2, ..., jobs from 0 on
    shape: list[Any] = []  # of the network
    chains: list[int] = []

    def place(source: Any) -> int:
        found = places.get(id(source))
        if found is None:
            leaf: Array = source._array if isinstance(source, TensorBase) else source.value
            leaves.append(leaf)
            found = places[id(source)] = -len(leaves)
            shape.append((leaf.shape, leaf.dtype))
        return found

    for i, job in enumerate(jobs):
        if type(job) is Job:
            residual = job.residual
            chains.append(job.chain.number)
            shape.append(place(job.input))
            shape.append(None if residual is None else place(residual))
        else:
            shape.append(tuple([place(part) for part in job.parts]))  # type: ignore[union-attr]
        places[id(job)] = i
    ends = tuple([places[id(job)] for job in wanted])
    shape.append(ends)
    owner = next((job.chain for job in reversed(jobs) if type(job) is Job), None)
    flows = {} if owner is None else owner.flows
    versions = flows.get(tuple(shape))
    if versions is None:
        if len(flows) >= _MOST_SHAPES:
            flows.clear()
        versions = flows[tuple(shape)] = {}
    flow = versions.get(tuple(chains))
    if flow is None:
        if len(versions) >= _MOST_VERSIONS:
            versions.pop(next(iter(versions)))
        flow = versions[tuple(chains)] = _planned(jobs, places, leaves, ends)
    found: list[Array] = flow.run(leaves)
    return found


def _jobs(wanted: list[Job | Side]) -> list[Job | Side]:
    """The jobs to be done for the wanted ones, each after those that it reads."""
    found: dict[int, Job | Side] = {}
    rest = [*wanted]
    while rest:
        job = rest.pop()
        if id(job) in found:
            continue
        found[id(job)] = job
        sources: Any = (job.input, job.residual) if type(job) is Job else job.parts  # type: ignore[union-attr]
        for source in sources:
            kind = type(source)
            if (kind is Job or kind is Side) and source.value is None:
                rest.append(source)
    return sorted(found.values(), key=_number)


def _planned(
    jobs: list[Job | Side], places: dict[int, int], leaves: list[Array], ends: tuple[int, ...]
) -> Any:
    """The flow for these jobs."""
    chains, inputs, gone = _merged(jobs, places, ends)
    whole = set(ends)  # the sides that are wanted as one array
    for i, job in enumerate(jobs):
        if type(job) is Job and i not in gone:
            read = [] if chains[i].reads_parts else [inputs[i]]
            if job.residual is not None:
                read.append(places[id(job.residual)])
            whole.update(read)
    steps: list[tuple[Any, tuple[int, ...], int]] = []
    values: dict[int, tuple[int, ...]] = {-i: (i - 1,) for i in range(1, len(leaves) + 1)}
    for i, job in enumerate(jobs):
        if i in gone:
            continue
        if type(job) is Job:
            reads = _shape_of(inputs[i], jobs, leaves)
            residual = job.residual
            added = -1 if residual is None else values[places[id(residual)]][0]
            program = chains[i].program(reads, job.dtype)
            assert program is not None
            steps.append((program, values[inputs[i]], added))
        else:
            # Parts that are sides themselves are taken apart.
            parts = [v for p in job.parts for v in values[places[id(p)]]]  # type: ignore[union-attr]
            if i not in whole:
                values[i] = tuple(parts)
                continue
            steps.append((None, tuple(parts), -1))
        values[i] = (len(leaves) + len(steps) - 1,)
    return _core.Flow(
        [(leaf.shape, leaf.itemsize) for leaf in leaves],
        steps,
        tuple(values[end][0] for end in ends),
    )


def _merged(
    jobs: list[Job | Side], places: dict[int, int], ends: tuple[int, ...]
) -> tuple[dict[int, Chain], dict[int, int], set[int]]:
    """The chain of each job and the place of what it reads, after jobs whose only reader is the
    next one have joined it; and the jobs that are no more."""
    readers: dict[int, int] = dict.fromkeys(ends, 2)
    for job in jobs:
        if type(job) is Job:
            readers[places[id(job.input)]] = readers.get(places[id(job.input)], 0) + 1
            others: Any = () if job.residual is None else (job.residual,)
        else:
            others = job.parts  # type: ignore[union-attr]
        for other in others:
            readers[places[id(other)]] = 2
    chains: dict[int, Chain] = {}
    inputs: dict[int, int] = {}
    gone: set[int] = set()
    for i, job in enumerate(jobs):
        if type(job) is not Job:
            continue
        chain, at = job.chain, places[id(job.input)]
        before = jobs[at] if at >= 0 else None
        if type(before) is Job and before.residual is None and readers[at] == 1:
            steps, chain = chain.steps, chains[at]
            for step in steps:
                chain = chain.then(step)
            gone.add(at)
            at = inputs[at]
        chains[i], inputs[i] = chain, at
    return chains, inputs, gone


def _shape_of(place: int, jobs: list[Job | Side], leaves: list[Array]) -> tuple[int, ...]:
    return jobs[place].shape if place >= 0 else leaves[-place - 1].shape
