"""pytest-benchmark suite: convolution beside NumPy, PyTorch, ONNX Runtime and OpenVINO, both ways.

Not part of the default test run: ``pytest bench/test_bench_conv.py``.  The contestants of a layer
share a group.
"""

from __future__ import annotations

import pytest

import peers
import suite


@pytest.mark.parametrize("direction", ["forward", "backward"])
@pytest.mark.parametrize("peer", peers.PEERS)
@pytest.mark.parametrize(("name", "problem"), suite.parameters(pools=False))
def test_conv(benchmark, name, problem, peer, direction):
    suite.run(benchmark, name, problem, peer, direction)
