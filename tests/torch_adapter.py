"""PyTorch's arguments and results beside ours: what the tests of its samples share."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import fastconv

torch = pytest.importorskip("torch")
ml_dtypes = pytest.importorskip("ml_dtypes")

Pairs = list[tuple[Any, Any]]


def as_array(tensor: Any) -> Any:
    """A tensor of PyTorch as an array in its own memory, bfloat16 too."""
    tensor = tensor.detach()
    if tensor.dtype == torch.bfloat16:
        return tensor.view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    return tensor.numpy()


def translated(value: Any, leaves: Pairs | None) -> Any:
    """PyTorch's arguments as arrays; as tensors, noted in `leaves`, if that is a list."""
    if isinstance(value, torch.Tensor):
        if leaves is None:
            return as_array(value)
        for theirs, ours in leaves:  # a tensor given twice stays one tensor
            if theirs is value:
                return ours
        ours = fastconv.tensor(as_array(value), requires_grad=value.requires_grad)
        leaves.append((value, ours))
        return ours
    if isinstance(value, torch.dtype):
        return np.dtype(str(value).removeprefix("torch."))
    if isinstance(value, torch.memory_format):
        return getattr(fastconv, str(value).removeprefix("torch."))
    if isinstance(value, (list, tuple)):
        kind = tuple if isinstance(value, torch.Size) else type(value)
        return kind(translated(v, leaves) for v in value)
    if isinstance(value, dict):
        return {k: translated(v, leaves) for k, v in value.items()}
    return value


def flat(result: Any) -> list[Any]:
    """The results of a call, nested or not, in a list."""
    return [v for r in result for v in flat(r)] if isinstance(result, (tuple, list)) else [result]


def same(got: Any, truth: Any, tolerance: float) -> None:
    """Of one shape and type, and as equal as `tolerance` says."""
    if isinstance(truth, torch.Tensor):
        truth = as_array(truth)
    got = np.asarray(got.detach() if hasattr(got, "detach") else got)
    assert got.shape == np.shape(truth)
    assert got.dtype == np.asarray(truth).dtype
    if got.dtype.kind == "V":  # bfloat16
        got, truth = got.astype(np.float32), truth.astype(np.float32)
    np.testing.assert_allclose(got, truth, rtol=tolerance, atol=tolerance)


def same_results(results: Any, expected: Any, tolerance: float) -> None:
    """Each result like PyTorch's, and on the tape where that is."""
    for got, truth in zip(flat(results), flat(expected), strict=True):
        same(got, truth, tolerance)
        if hasattr(got, "requires_grad"):
            assert got.requires_grad == truth.requires_grad


def same_slopes(results: Any, expected: Any, leaves: Pairs, tolerance: float) -> None:
    """Gradients by all `leaves` of the results, each weighted at random."""
    wanted = [(theirs, ours) for theirs, ours in leaves if theirs.requires_grad]
    taped = [
        (g, t, torch.randn_like(t))
        for g, t in zip(flat(results), flat(expected), strict=True)
        if t.requires_grad
    ]
    if not taped or not wanted:
        return
    ours, theirs, seeds = zip(*taped, strict=True)
    slopes = torch.autograd.grad(theirs, [t for t, _ in wanted], seeds, allow_unused=True)
    mine = fastconv.autograd.grad(
        ours,
        [o for _, o in wanted],
        [fastconv.tensor(as_array(s)) for s in seeds],
        allow_unused=True,
    )
    for got, truth in zip(mine, slopes, strict=True):
        if truth is not None and (got is not None or truth.any()):
            same(got, truth, tolerance)


def database(module: str, name: str) -> Any:
    """One of PyTorch's tables of samples; they need a package of its test tools."""
    pytest.importorskip("expecttest")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return getattr(__import__(f"torch.testing._internal.{module}", fromlist=[name]), name)
