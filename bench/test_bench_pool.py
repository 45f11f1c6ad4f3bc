"""pytest-benchmark suite: pooling beside NumPy, PyTorch and ONNX Runtime, both directions.

Not part of the default test run; ``pytest bench/test_bench_pool.py`` runs it, and
``--benchmark-group-by=group`` puts the contestants of a layer side by side.
"""

from __future__ import annotations

import pytest

import layers
import peers

LAYERS = [
    pytest.param(family, label, problem, id=f"{family}-{label}".replace(" ", "_"))
    for family, problems in layers.NAMED.items()
    for label, problem in problems.items()
    if problem.op != "conv"
]


@pytest.mark.parametrize("direction", ["forward", "backward"])
@pytest.mark.parametrize("peer", peers.PEERS)
@pytest.mark.parametrize(("family", "label", "problem"), LAYERS)
def test_pool(benchmark, family, label, problem, peer, direction):
    prepare = peers.available([peer]).get(peer)
    if prepare is None:
        pytest.skip(f"{peer} is not installed")
    data = problem.data()
    call = prepare(problem, direction, data)
    if call is None:
        pytest.skip(f"{peer} has no {direction} pass for this layer")
    truth = peers.fastconv_peer(problem, direction, data)()
    assert peers.largest_error(truth, call()) < 1e-4
    benchmark.group = f"{family} {label} {direction}"
    benchmark(call)
