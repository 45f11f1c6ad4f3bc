"""The ONNX standard's own tests of single nodes, where it is installed, by our functions."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

from onnx_nodes import NODES, Inexpressible

onnx = pytest.importorskip("onnx")


def _cases() -> list[Any]:
    from onnx.backend.test.loader import load_model_tests

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own overflows
        cases = load_model_tests(kind="node")
    single = [c for c in cases if len(c.model.graph.node) == 1]
    return [pytest.param(c, id=c.name) for c in single if c.model.graph.node[0].op_type in NODES]


def _array(value: Any) -> Any:
    return onnx.numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value


@pytest.mark.parametrize("case", _cases())
def test_node(case: Any) -> None:
    (node,) = case.model.graph.node
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    for inputs, outputs in case.data_sets:
        given = iter(inputs)
        arrays = [_array(next(given)) if name else None for name in node.input]
        try:
            results = NODES[node.op_type](attributes, *arrays)
        except Inexpressible as reason:
            pytest.skip(str(reason))
        results = results if isinstance(results, tuple) else (results,)
        for got, expected in zip(results, map(_array, outputs), strict=False):
            assert got.shape == expected.shape
            assert got.dtype == expected.dtype
            if got.dtype.kind == "V":
                got, expected = got.astype(np.float32), expected.astype(np.float32)
            np.testing.assert_allclose(got, expected, rtol=case.rtol, atol=case.atol)


def test_the_operators_are_there() -> None:
    """None of the rows has lost its tests by a change of name."""
    seen = {p.values[0].model.graph.node[0].op_type for p in _cases()}
    assert not NODES.keys() - seen
