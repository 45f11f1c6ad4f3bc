"""LBFGS beside PyTorch's: every loss that it asks for, and where it ends."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastconv
from fastconv import optim
from gradients import torch

needs_torch = pytest.mark.skipif(torch is None, reason="compares with PyTorch")


def valley(p: Any, q: Any) -> Any:
    """Rosenbrock's, with a bowl."""
    return (100 * (q[1:] - q[:-1] ** 2) ** 2 + (1 - q[:-1]) ** 2).sum() + (p * p).sum()


def hills(p: Any, q: Any) -> Any:
    return ((p - 1) ** 4).sum() + (q**2 * 3).sum() + p.sum() * q.sum()


def descend(library: Any, loss: Any, settings: dict[str, Any]) -> tuple[list[float], list[float]]:
    """Losses in the order of their evaluation, and where it ends."""
    rng = np.random.default_rng(0)
    p, q = (library.tensor(rng.normal(size=s)).requires_grad_() for s in ((3, 2), (4,)))
    optimizer = library.optim.LBFGS([p, q], **settings)
    losses = []

    def closure() -> Any:
        optimizer.zero_grad()
        value = loss(p, q)
        value.backward()
        losses.append(value.item())
        return value

    for _ in range(5):
        optimizer.step(closure)
    return losses, p.detach().numpy().ravel().tolist() + q.detach().numpy().tolist()


@needs_torch
@pytest.mark.parametrize(
    ("loss", "settings"),
    [
        (hills, {"lr": 0.1, "max_iter": 7}),
        (hills, {"lr": 0.5, "max_iter": 4, "history_size": 2, "max_eval": 3}),
        (hills, {"line_search_fn": "strong_wolfe", "max_iter": 7, "lr": 0.1}),
        (hills, {"line_search_fn": "strong_wolfe", "history_size": 3, "lr": 3.0}),
        (valley, {"line_search_fn": "strong_wolfe"}),
    ],
)
def test_lbfgs_as_pytorch(loss: Any, settings: dict[str, Any]) -> None:
    for ours, theirs in zip(
        descend(fastconv, loss, settings), descend(torch, loss, settings), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-9)


def test_lbfgs_survives_saving_and_refuses() -> None:
    def made(values: Any) -> tuple[Any, Any, Any]:
        p = fastconv.tensor(values, requires_grad=True)
        optimizer = optim.LBFGS([p], max_iter=3, line_search_fn="strong_wolfe")

        def closure() -> Any:
            optimizer.zero_grad()
            loss = ((p - 2) ** 4).sum()
            loss.backward()
            return loss

        return p, optimizer, closure

    p, optimizer, closure = made(np.arange(4.0))
    optimizer.step(closure)
    q, other, again = made(p.detach().numpy().copy())
    other.load_state_dict(optimizer.state_dict())
    optimizer.step(closure)
    other.step(again)
    np.testing.assert_array_equal(p.detach().numpy(), q.detach().numpy())
    with pytest.raises(TypeError, match="needs a closure"):
        optimizer.step()
    with pytest.raises(ValueError, match="one group"):
        optim.LBFGS([{"params": [p]}, {"params": [q]}])
    with pytest.raises(ValueError, match="line_search_fn"):
        optim.LBFGS([p], line_search_fn="armijo")
