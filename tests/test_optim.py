"""Optimisers and learning rates, step by step beside PyTorch's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastconv
from fastconv import nn, optim
from fastconv.optim import lr_scheduler
from gradients import torch

needs_torch = pytest.mark.skipif(torch is None, reason="compares with PyTorch")

OPTIMISERS: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.001, "maximize": True}),
    ("Adam", {"lr": 0.05}),
    ("Adam", {"lr": 0.05, "betas": (0.8, 0.9), "weight_decay": 0.1, "amsgrad": True}),
    ("AdamW", {"lr": 0.05}),
    ("AdamW", {"lr": 0.05, "weight_decay": 0.3, "amsgrad": True, "maximize": True}),
    ("RMSprop", {"lr": 0.05}),
    ("RMSprop", {"lr": 0.05, "momentum": 0.9, "centered": True, "weight_decay": 0.1}),
    ("Adagrad", {"lr": 0.05, "lr_decay": 0.1, "weight_decay": 0.1}),
]


def run(library: Any, name: str, settings: dict[str, Any], dtype: Any) -> list[np.ndarray]:
    """Minimise a bowl with two groups of parameters; all values along the way."""
    rng = np.random.default_rng(0)
    first, second = (library.tensor(rng.normal(size=s).astype(dtype)) for s in ((3, 2), (4,)))
    first.requires_grad_()
    second.requires_grad_()
    groups = [{"params": [first]}, {"params": [second], "lr": settings["lr"] / 3}]
    optimizer = getattr(library.optim, name)(groups, **settings)
    values = []
    for step in range(6):
        optimizer.zero_grad()
        loss = (
            ((first - 1) ** 4).sum() + (second**2 * (step + 1)).sum() + first.sum() * second.sum()
        )
        loss.backward()
        optimizer.step()
        values += [first.detach().numpy().copy(), second.detach().numpy().copy()]
    return values


@needs_torch
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("name", "settings"), OPTIMISERS)
def test_steps_as_pytorch(name: str, settings: dict[str, Any], dtype: Any) -> None:
    ours, theirs = run(fastconv, name, settings, dtype), run(torch, name, settings, dtype)
    for a, b in zip(ours, theirs, strict=True):
        assert a.dtype == dtype
        np.testing.assert_allclose(a, b, rtol=2e-5 if dtype == np.float32 else 1e-9)


@pytest.mark.parametrize(("name", "settings"), OPTIMISERS)
def test_state_survives_saving(name: str, settings: dict[str, Any]) -> None:
    def make(values: np.ndarray) -> tuple[Any, Any]:
        p = fastconv.tensor(values, requires_grad=True)
        return p, getattr(optim, name)([p], **settings)

    def step(p: Any, optimizer: Any) -> None:
        optimizer.zero_grad()
        (p**4).sum().backward()
        optimizer.step()

    p, optimizer = make(np.arange(1.0, 4.0))
    step(p, optimizer)
    step(p, optimizer)
    q, other = make(p.detach().numpy().copy())
    other.load_state_dict(optimizer.state_dict())
    step(p, optimizer)
    step(q, other)
    np.testing.assert_array_equal(p.detach().numpy(), q.detach().numpy())


def test_bad_settings() -> None:
    p = fastconv.ones(2, requires_grad=True)
    with pytest.raises(ValueError, match="empty parameter list"):
        optim.SGD([])
    with pytest.raises(ValueError, match="lr must not be negative"):
        optim.SGD([p], lr=-1)
    with pytest.raises(ValueError, match="nesterov needs"):
        optim.SGD([p], lr=1, nesterov=True)
    with pytest.raises(ValueError, match="betas"):
        optim.Adam([p], betas=(1.0, 0.9))
    with pytest.raises(ValueError, match="more than one parameter group"):
        optim.SGD([{"params": [p]}, {"params": [p]}], lr=1)
    with pytest.raises(ValueError, match="non-leaf"):
        optim.SGD([p * 2], lr=1)
    with pytest.raises(TypeError, match="iterable of tensors"):
        optim.SGD(p, lr=1)
    with pytest.raises(TypeError, match="can only optimize tensors"):
        optim.SGD([np.ones(2)], lr=1)


def test_parameters_without_a_gradient_stay() -> None:
    p, q = (fastconv.ones(2, requires_grad=True) for _ in range(2))
    optimizer = optim.Adam([p, q], lr=0.1)
    (p * 2).sum().backward()
    optimizer.step()
    assert q.tolist() == [1, 1]
    assert p.tolist() != [1, 1]
    optimizer.zero_grad(set_to_none=False)
    assert p.grad.tolist() == [0, 0]
    optimizer.zero_grad()
    assert p.grad is None


def test_a_step_is_noticed_by_a_graph_that_still_needs_the_old_values() -> None:
    p = fastconv.ones(2, requires_grad=True)
    optimizer = optim.SGD([p], lr=0.1)
    loss = (p * p).sum()
    loss.backward(retain_graph=True)
    optimizer.step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_step_with_a_closure() -> None:
    p = fastconv.ones(1, requires_grad=True)
    optimizer = optim.SGD([p], lr=0.25)

    def closure() -> Any:
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 1.0
    assert p.item() == 0.5


# ---- learning rates ------------------------------------------------------------------------------

SCHEDULES = {
    "StepLR": lambda s, o: s.StepLR(o, 3, 0.5),
    "MultiStepLR": lambda s, o: s.MultiStepLR(o, [2, 5, 5], 0.3),
    "ExponentialLR": lambda s, o: s.ExponentialLR(o, 0.9),
    "ConstantLR": lambda s, o: s.ConstantLR(o, 0.5, 4),
    "LinearLR": lambda s, o: s.LinearLR(o, 0.2, 0.9, 6),
    "PolynomialLR": lambda s, o: s.PolynomialLR(o, 8, 2.0),
    "CosineAnnealingLR": lambda s, o: s.CosineAnnealingLR(o, 5, 0.01),
    "CosineAnnealingWarmRestarts": lambda s, o: s.CosineAnnealingWarmRestarts(o, 3, 2, 0.01),
    "LambdaLR": lambda s, o: s.LambdaLR(o, lambda e: 0.9**e),
    "MultiplicativeLR": lambda s, o: s.MultiplicativeLR(o, lambda e: 0.8),
    "OneCycleLR": lambda s, o: s.OneCycleLR(o, 1.0, 20),
    "OneCycleLR in three phases": lambda s, o: s.OneCycleLR(o, 1.0, 30, three_phase=True),
    "OneCycleLR linear": lambda s, o: s.OneCycleLR(
        o, [1.0, 2.0], epochs=4, steps_per_epoch=5, anneal_strategy="linear"
    ),
    "CyclicLR": lambda s, o: s.CyclicLR(o, 0.05, [0.5, 1.0], 4, 3),
    "CyclicLR halving": lambda s, o: s.CyclicLR(o, 0.05, 0.5, 3, mode="triangular2"),
    "CyclicLR falling": lambda s, o: s.CyclicLR(o, 0.05, 0.5, 3, mode="exp_range", gamma=0.9),
    "CyclicLR by a function": lambda s, o: s.CyclicLR(
        o, 0.05, 0.5, 3, scale_fn=lambda i: 1 / (i + 1), scale_mode="iterations"
    ),
    "ChainedScheduler": lambda s, o: s.ChainedScheduler(
        [s.ConstantLR(o, 0.1, 4), s.ExponentialLR(o, 0.9)]
    ),
    "SequentialLR": lambda s, o: s.SequentialLR(
        o, [s.LinearLR(o, 0.1, 1.0, 4), s.CosineAnnealingLR(o, 8)], [4]
    ),
}


def rates(library: Any, name: str) -> list[list[float]]:
    p, q = (library.ones(2, requires_grad=True) for _ in range(2))
    optimizer = library.optim.SGD(
        [{"params": [p]}, {"params": [q], "lr": 0.3}], lr=0.1, momentum=0.9
    )
    scheduler = SCHEDULES[name](library.optim.lr_scheduler, optimizer)
    seen = []
    for _ in range(18):
        groups = optimizer.param_groups
        seen.append([g["lr"] for g in groups] + [g["momentum"] for g in groups])
        optimizer.step()
        scheduler.step()
    return seen


@needs_torch
@pytest.mark.filterwarnings("ignore:The epoch parameter:UserWarning")
@pytest.mark.parametrize("name", SCHEDULES)
def test_rates_as_pytorch(name: str) -> None:
    np.testing.assert_allclose(rates(fastconv, name), rates(torch, name), rtol=1e-9, atol=1e-12)


@needs_torch
@pytest.mark.parametrize(
    "settings", [{}, {"mode": "max"}, {"threshold_mode": "abs"}, {"cooldown": 2}]
)
def test_plateau_as_pytorch(settings: dict[str, Any]) -> None:
    metrics = [5, 4, 4.1, 4.2, 4.0, 3.9999, 4.1, 4, 4, 3, 3, 3, 3, 3, 3, 2.9, 2.9, 2.9, 2.9, 2.9]
    seen = []
    for library in (fastconv, torch):
        optimizer = library.optim.SGD([library.ones(2, requires_grad=True)], lr=1.0)
        plateau = library.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=2, **settings)
        row = []
        for metric in metrics:
            plateau.step(metric)
            row.append(optimizer.param_groups[0]["lr"])
        seen.append(row)
    assert seen[0] == seen[1]


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_survive_saving(name: str) -> None:
    def make() -> tuple[Any, Any]:
        groups = [{"params": [fastconv.ones(1, requires_grad=True)]} for _ in range(2)]
        optimizer = optim.SGD(groups, lr=0.1, momentum=0.9)
        return optimizer, SCHEDULES[name](lr_scheduler, optimizer)

    optimizer, scheduler = make()
    for _ in range(5):
        scheduler.step()
    other_optimizer, other = make()
    other_optimizer.load_state_dict(optimizer.state_dict())
    other.load_state_dict(scheduler.state_dict())
    for _ in range(5):
        scheduler.step()
        other.step()
        assert optimizer.param_groups[0]["lr"] == other_optimizer.param_groups[0]["lr"]


# ---- clipping ------------------------------------------------------------------------------------


def test_clipping() -> None:
    p = fastconv.ones(4, requires_grad=True)
    (p * 3).sum().backward()
    assert nn.utils.clip_grad_norm_([p], 3.0).item() == 6.0
    np.testing.assert_allclose(p.grad.numpy(), 1.5, rtol=1e-5)
    nn.utils.clip_grad_value_(p, 1.0)
    assert p.grad.tolist() == [1, 1, 1, 1]
    assert nn.utils.clip_grad_norm_([p], 1.0, float("inf")).item() == 1.0
    p.grad = p.grad * float("nan")
    with pytest.raises(RuntimeError, match="non-finite"):
        nn.utils.clip_grad_norm_([p], 1.0, error_if_nonfinite=True)


def test_vectors_of_parameters() -> None:
    layer = nn.Linear(2, 3)
    vector = nn.utils.parameters_to_vector(layer.parameters())
    assert vector.shape == (9,)
    nn.utils.vector_to_parameters(vector.detach() * 0 + 2, layer.parameters())
    assert set(layer.weight.detach().numpy().ravel()) == {2.0}
