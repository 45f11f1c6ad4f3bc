"""PyTorch's own samples and refusals for every operator of the table, where it is installed."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import fastconv
import fastconv.nn.functional as F
from operators import TABLE

torch = pytest.importorskip("torch")
pytest.importorskip("expecttest")  # which PyTorch's test tools need
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from torch.testing._internal.common_methods_invocations import op_db

#: Of one name but not one meaning (Tensor.unfold, an argument order of the samples' own); order
#: among equal values, which PyTorch leaves open; a distance written for PyTorch's tensors; norms
#: of matrices.
OTHERS = {"unfold", "einsum", "where", "sort", "argsort", "topk", "norm"}
OTHERS |= {"nn.functional.triplet_margin_with_distance_loss"}
NAMES = {row.name for row in TABLE}
RANDOM = {"nn.functional.rrelu"}


OPS = [
    pytest.param(op, id=f"{op.name}-{op.variant_test_name}".rstrip("-"))
    for op in op_db
    if op.name not in OTHERS and op.name.removeprefix("nn.functional.") in NAMES
]


def _translated(value: Any, leaves: list[Any] | None) -> Any:
    """PyTorch's arguments as arrays; as tensors, noted in `leaves`, if that is a list."""
    if isinstance(value, torch.Tensor):
        array = value.detach().numpy()
        if leaves is None:
            return array
        leaves.append((value, fastconv.tensor(array, requires_grad=value.requires_grad)))
        return leaves[-1][1]
    if isinstance(value, torch.dtype):
        return np.dtype(str(value).removeprefix("torch."))
    if isinstance(value, (list, tuple)):
        kind = tuple if isinstance(value, torch.Size) else type(value)
        return kind(_translated(v, leaves) for v in value)
    if isinstance(value, dict):
        return {k: _translated(v, leaves) for k, v in value.items()}
    return value


def _call(op: Any, sample: Any, leaves: list[Any] | None) -> list[Any]:
    function = getattr(F, op.name.removeprefix("nn.functional."))
    arguments = [_translated(v, leaves) for v in (sample.input, *sample.args)]
    return _flat(function(*arguments, **_translated(sample.kwargs, leaves)))


def _flat(result: Any) -> list[Any]:
    return [v for r in result for v in _flat(r)] if isinstance(result, (tuple, list)) else [result]


def _same(got: Any, truth: Any, tolerance: float) -> None:
    got, truth = (np.asarray(v.detach()) if hasattr(v, "detach") else v for v in (got, truth))
    assert got.dtype == truth.dtype
    np.testing.assert_allclose(got, truth, rtol=tolerance, atol=tolerance)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("op", OPS)
def test_samples(op: Any, dtype: str) -> None:
    kind, tolerance = getattr(torch, dtype), 2e-4 if dtype == "float32" else 1e-6
    if not op.supports_dtype(kind, "cpu"):
        return
    torch.manual_seed(0)
    for sample in op.sample_inputs("cpu", kind, requires_grad=op.supports_autograd):
        if op.name in RANDOM and sample.kwargs.get("training"):
            continue
        expected = _flat(op.op(sample.input, *sample.args, **sample.kwargs))
        for got, truth in zip(_call(op, sample, None), expected, strict=True):
            _same(got, truth, tolerance)
        leaves: list[Any] = []
        results = _call(op, sample, leaves)
        for got, truth in zip(results, expected, strict=True):
            _same(got, truth, tolerance)
            assert got.requires_grad == truth.requires_grad
        leaves = [(theirs, ours) for theirs, ours in leaves if theirs.requires_grad]
        taped = [(g, t, torch.randn_like(t)) for g, t in zip(results, expected, strict=True)
                 if t.requires_grad]  # fmt: skip
        if not taped or not leaves:
            continue
        ours, theirs, seeds = zip(*taped, strict=True)
        slopes = torch.autograd.grad(theirs, [t for t, _ in leaves], seeds, allow_unused=True)
        mine = fastconv.autograd.grad(
            ours, [o for _, o in leaves], [fastconv.tensor(s.numpy()) for s in seeds],
            allow_unused=True,
        )  # fmt: skip
        for got, truth in zip(mine, slopes, strict=True):
            if truth is not None and (got is not None or truth.any()):
                _same(got, truth, tolerance)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("op", [p for p in OPS if p.values[0].error_inputs_func is not None])
def test_refusals(op: Any) -> None:
    for case in op.error_inputs("cpu"):
        for leaves in (None, []):
            with pytest.raises((ValueError, TypeError, IndexError, RuntimeError)):
                _call(op, case.sample_input, leaves)
