"""What the pytest-benchmark suites share: their layers, and one contestant's run."""

from __future__ import annotations

import pytest

import layers
import peers
from problems import Problem

LARGEST = 2e9  # operations of a layer; larger ones are left to compare.py


def parameters(pools: bool) -> list:
    """The named convolutions or pools, as (name, problem) parameters."""
    return [
        pytest.param(f"{family} {label}", problem, id=f"{family}-{label}".replace(" ", "_"))
        for family, problems in layers.NAMED.items()
        for label, problem in problems.items()
        if (problem.op != "conv") == pools and problem.flops < LARGEST
    ]


def run(benchmark, name: str, problem: Problem, peer: str, direction: str) -> None:
    """Check one peer's result against fastconv's, then time it."""
    prepare = peers.available([peer]).get(peer)
    if prepare is None:
        pytest.skip(f"{peer} is not installed")
    data = problem.data()
    call = prepare(problem, direction, data)
    if call is None:
        pytest.skip(f"{peer} has no {direction} pass for this layer")
    truth = peers.fastconv_peer(problem, direction, data)()
    assert peers.largest_error(truth, call()) < 1e-4
    benchmark.group = f"{name} {direction}"
    benchmark(call)
