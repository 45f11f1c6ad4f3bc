"""Jobs done together: what waits in a network runs as one compiled call.

The jobs that lead to the wanted results are put in order, each with what it reads; the first time
that they come in this way, they are planned (``_core.Flow``): one program for each chain, places in
one piece of memory for what lies between, parts of a concatenation written where they shall stand.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Any, NamedTuple

from . import _core
from ._types import Array
from .autograd import TensorBase
from .nn.chain import Chain
from .sources import Input, Job, Side, Source

__all__ = ["run"]

_MOST_SHAPES = 16
_MOST_VERSIONS = 2  # of the weights: a flow keeps what was prepared from them
_number = attrgetter("number")


class _Flow(NamedTuple):
    """A compiled flow, and which inputs of the walk it reads."""

    compiled: Any
    reads: tuple[int, ...]


def run(inputs: Sequence[TensorBase], wanted: Sequence[Source]) -> list[Array]:
    """What the wanted sources stand for, each an array of its own."""
    if len(wanted) == 1:
        job = wanted[0]
        if type(job) is Job and all(type(source) is Input for source in _read(job)):
            return [_alone(inputs, job)]
    ends = tuple([job for job in dict.fromkeys(wanted) if job.dense])
    results = dict(zip(ends, _together(inputs, ends), strict=True)) if ends else {}
    values: list[Array] = []
    seen: set[Source] = set()
    for source in wanted:
        if source not in results:
            assert type(source) is Job
            results[source] = _alone(inputs, source)
        values.append(results[source].copy() if source in seen else results[source])
        seen.add(source)
    return values


def _alone(inputs: Sequence[TensorBase], job: Job) -> Array:
    """The result of a job that reads values alone."""
    assert type(job.input) is Input
    added = None
    if job.residual is not None:
        assert type(job.residual) is Input
        added = inputs[job.residual.index]._array
    return job.steps.run(inputs[job.input.index]._array, added)


def _together(inputs: Sequence[TensorBase], ends: tuple[Source, ...]) -> list[Array]:
    """The results of jobs and sides."""
    owner = _owner(ends)
    flow = owner.ready.get(ends)
    if flow is None:
        flow = _prepared(owner, ends)
    found: list[Array] = flow.compiled.run([inputs[i]._array for i in flow.reads])
    return found


def _owner(ends: Sequence[Source]) -> Chain:
    """The chain that keeps the flow."""
    for source in ends:
        while type(source) is Side:
            source = next((p for p in source.parts if type(p) is not Input), source.parts[0])
        if type(source) is Job:
            return source.steps
    raise AssertionError("a flow has jobs")


def _prepared(owner: Chain, ends: tuple[Source, ...]) -> _Flow:
    """The flow for these ends, which its owner keeps."""
    jobs = _jobs(ends)
    leaves = sorted({s for job in jobs for s in _read(job) if type(s) is Input}, key=_number)
    places: dict[Source, int] = {leaf: -1 - i for i, leaf in enumerate(leaves)}
    places.update({job: i for i, job in enumerate(jobs)})
    shape = (
        tuple([(leaf.index, leaf.shape, leaf.dtype) for leaf in leaves]),
        tuple([(type(job), *[places[s] for s in _read(job)]) for job in jobs]),
        tuple([places[end] for end in ends]),
    )
    flow = _Flow(_planned(jobs, places, leaves, shape[-1]), tuple([leaf.index for leaf in leaves]))
    versions = owner.flows.get(shape)
    if versions is None:
        if len(owner.flows) >= _MOST_SHAPES:
            owner.flows.clear()
            owner.ready.clear()
        versions = owner.flows[shape] = {}
    elif len(versions) >= _MOST_VERSIONS:
        oldest = next(iter(versions))
        del versions[oldest], owner.ready[oldest]
    versions[ends] = owner.ready[ends] = flow
    return flow


def _read(source: Source) -> tuple[Source, ...]:
    """What a job or a side reads."""
    if type(source) is Side:
        return source.parts
    assert type(source) is Job
    return (source.input,) if source.residual is None else (source.input, source.residual)


def _jobs(wanted: Sequence[Source]) -> list[Source]:
    """The jobs to be done for the wanted ones, each after those that it reads."""
    found: set[Source] = set()
    rest = [*wanted]
    while rest:
        job = rest.pop()
        if type(job) is not Input and job not in found:
            found.add(job)
            rest += _read(job)
    return sorted(found, key=_number)


def _planned(
    jobs: list[Source], places: dict[Source, int], leaves: list[Input], ends: tuple[int, ...]
) -> Any:
    """The flow for these jobs."""
    chains, inputs, gone = _merged(jobs, places, ends)
    whole = set(ends)  # the sides that are wanted as one array
    for i, job in enumerate(jobs):
        if type(job) is Job and i not in gone:
            read = [] if chains[i].reads_parts else [inputs[i]]
            if job.residual is not None:
                read.append(places[job.residual])
            whole.update(read)
    steps: list[tuple[Any, tuple[int, ...], int]] = []
    values: dict[int, tuple[int, ...]] = {-i: (i - 1,) for i in range(1, len(leaves) + 1)}
    for i, job in enumerate(jobs):
        if i in gone:
            continue
        if type(job) is Job:
            at = inputs[i]
            reads = jobs[at] if at >= 0 else leaves[-at - 1]
            added = -1 if job.residual is None else values[places[job.residual]][0]
            program = chains[i].program(reads.shape, job.dtype)
            assert program is not None
            steps.append((program, values[at], added))
        else:
            # Parts that are sides themselves are taken apart.
            parts = [v for p in _read(job) for v in values[places[p]]]
            if i not in whole:
                values[i] = tuple(parts)
                continue
            steps.append((None, tuple(parts), -1))
        values[i] = (len(leaves) + len(steps) - 1,)
    return _core.Flow(
        [(leaf.shape, leaf.dtype.itemsize) for leaf in leaves],
        steps,
        tuple(values[end][0] for end in ends),
    )


def _merged(
    jobs: list[Source], places: dict[Source, int], ends: tuple[int, ...]
) -> tuple[dict[int, Chain], dict[int, int], set[int]]:
    """The chain of each job and the place of what it reads, after jobs whose only reader is the
    next one have joined it; and the jobs that are no more."""
    readers: dict[int, int] = dict.fromkeys(ends, 2)
    for job in jobs:
        for i, source in enumerate(_read(job)):
            at = places[source]
            readers[at] = readers.get(at, 0) + 1 if type(job) is Job and i == 0 else 2
    chains: dict[int, Chain] = {}
    inputs: dict[int, int] = {}
    gone: set[int] = set()
    for i, job in enumerate(jobs):
        if type(job) is not Job:
            continue
        chain, at = job.steps, places[job.input]
        before = jobs[at] if at >= 0 else None
        if type(before) is Job and before.residual is None and readers[at] == 1:
            steps, chain = chain.steps, chains[at]
            for step in steps:
                chain = chain.then(step)
            gone.add(at)
            at = inputs[at]
        chains[i], inputs[i] = chain, at
    return chains, inputs, gone
