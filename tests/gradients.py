"""Checking gradients: by central differences in float64, and against PyTorch where installed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import fastconv

try:
    import torch
except ImportError:  # then only that comparison is left out
    torch = None  # type: ignore[assignment]


def finite_differences(
    function: Callable[..., Any],
    inputs: Sequence[np.ndarray],
    *,
    step: float = 1e-6,
    rtol: float = 1e-6,
    atol: float = 1e-7,
) -> None:
    """Hold the tape's gradients of ``function(*inputs)`` to central differences, in float64.

    `inputs` are float64 arrays. The result is contracted with fixed random numbers, so that every
    element of it counts differently.
    """
    rng = np.random.default_rng(7)
    tensors = [fastconv.tensor(a, requires_grad=True) for a in inputs]
    result = function(*tensors)
    assert result.dtype == np.float64
    weights = rng.normal(size=result.shape)
    result.backward(weights)
    for k, tensor in enumerate(tensors):
        numeric = np.zeros(inputs[k].shape)
        for place in np.ndindex(*inputs[k].shape):
            sides = []
            for sign in (1, -1):
                moved = [a.copy() for a in inputs]
                moved[k][place] += sign * step
                sides.append((np.asarray(function(*moved)) * weights).sum())
            numeric[place] = (sides[0] - sides[1]) / (2 * step)
        got = np.zeros(inputs[k].shape) if tensor.grad is None else tensor.grad.numpy()
        np.testing.assert_allclose(got, numeric, rtol=rtol, atol=atol)


def like_torch(
    ours: Callable[..., Any],
    theirs: Callable[..., Any],
    inputs: Sequence[np.ndarray],
    *,
    rtol: float = 1e-5,
    atol: float = 1e-6,
) -> None:
    """Hold values, dtype and gradients to PyTorch's; integer inputs get no gradient.

    Also holds the function on plain arrays to itself on tensors.
    """
    mine = [fastconv.tensor(a, requires_grad=a.dtype.kind == "f") for a in inputs]
    result = ours(*mine)
    on_arrays = ours(*inputs)
    assert isinstance(on_arrays, (np.ndarray, np.generic))
    assert on_arrays.dtype == result.dtype
    np.testing.assert_array_equal(on_arrays, result.detach().numpy())
    weights = np.random.default_rng(5).normal(size=result.shape).astype(result.dtype)
    if result.requires_grad:
        result.backward(weights)
    if torch is None:
        return
    peers = [torch.tensor(a, requires_grad=a.dtype.kind == "f") for a in inputs]
    expected = theirs(*peers)
    assert str(expected.dtype).removeprefix("torch.") == result.dtype.name
    assert tuple(expected.shape) == tuple(result.shape)
    np.testing.assert_allclose(
        result.detach().numpy(), expected.detach().numpy(), rtol=rtol, atol=atol
    )
    assert expected.requires_grad == result.requires_grad
    if not result.requires_grad:
        return
    expected.backward(torch.tensor(weights))
    for tensor, peer in zip(mine, peers, strict=True):
        if peer.grad is None:
            assert tensor.grad is None or not tensor.grad.numpy().any()
            continue
        assert tensor.grad.dtype == tensor.dtype
        np.testing.assert_allclose(
            tensor.grad.numpy(), peer.grad.numpy(), rtol=rtol, atol=atol, err_msg="gradient"
        )
