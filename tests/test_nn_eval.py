"""Evaluation by plans: fused results are those of the single steps, and never of old weights."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastconv
import fastconv.nn as nn
import fastconv.nn.functional as F
from fastconv.deferred import Deferred
from fastconv.nn import steps

rng = np.random.default_rng(0)


def images(n: int = 2, c: int = 4) -> fastconv.Tensor:
    return fastconv.from_numpy(rng.normal(size=(n, c, 9, 8)).astype(np.float32))


def norm(channels: int) -> nn.BatchNorm2d:
    layer = nn.BatchNorm2d(channels)
    for tensor in (layer.weight, layer.bias, layer.running_mean):
        nn.init.normal_(tensor)
    nn.init.uniform_(layer.running_var, 0.5, 2)
    return layer


class Net(nn.Module):
    """A residual block, with its steps counted through the functions it calls."""

    def __init__(self, activation: Callable[..., Any], inplace: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(4, 6, 3, padding=1, bias=False)
        self.bn1 = norm(6)
        self.conv2 = nn.Conv2d(6, 4, 3, padding=1, groups=2)
        self.bn2 = norm(4)
        self.activation = activation
        self.inplace = inplace

    def forward(self, x: Any) -> Any:
        y = self.activation(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        if self.inplace:
            y += x
        else:
            y = x + y
        return self.activation(y)


def alone(model: nn.Module, x: Any) -> np.ndarray:
    """The model with every step taken by itself: on the tape nothing is fused."""
    with fastconv.enable_grad():
        return np.asarray(model(x).detach())


ACTIVATIONS = {
    "relu": F.relu,
    "relu in place": lambda x: F.relu(x, inplace=True),
    "relu layer": nn.ReLU(inplace=True),
    "relu6": F.relu6,
    "silu": nn.SiLU(inplace=True),
    "hardswish": nn.Hardswish(),
    "leaky_relu": F.leaky_relu,
    "leaky_relu 0.2": nn.LeakyReLU(0.2),
    "gelu": F.gelu,
    "gelu tanh": nn.GELU("tanh"),
    "sigmoid": F.sigmoid,
}


@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_fused_is_the_same(name: str, inplace: bool) -> None:
    model = Net(ACTIVATIONS[name], inplace).eval()
    x = images()
    expected = alone(model, x)
    before = np.asarray(x).copy()
    with fastconv.no_grad():
        for _ in range(2):
            y = model(x)
            assert type(y) is fastconv.Tensor
            np.testing.assert_allclose(y.numpy(), expected, rtol=2e-4, atol=2e-5)
    np.testing.assert_array_equal(np.asarray(x), before)


def test_everything_joins_one_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    monkeypatch.setattr(steps.Step, "plan", _counting(made))
    model = Net(F.relu, False).eval()
    with fastconv.no_grad():
        model(images())
    assert made == [("bn", "relu"), ("bn", "relu")]


def _counting(made: list[Any]) -> Callable[..., Any]:
    plan = steps.Step.plan

    def counted(step: Any, norm: Any, activation: Any) -> Any:
        made.append((None if norm is None else "bn", activation))
        return plan(step, norm, activation)

    return counted


CHANGES: dict[str, Callable[[Net], Any]] = {
    "in place": lambda m: m.conv1.weight.mul_(2),
    "data": lambda m: m.conv1.weight.data.fill_(0.1),
    "data elements": lambda m: m.conv1.weight.data.__setitem__((0, 0), 3.0),
    "new data": lambda m: setattr(m.conv1.weight, "data", np.ones((6, 4, 3, 3), np.float32)),
    "detached": lambda m: m.conv1.weight.detach().zero_(),
    "array": lambda m: np.asarray(m.conv1.weight).__imul__(3),
    "init": lambda m: nn.init.normal_(m.conv2.weight),
    "state": lambda m: m.load_state_dict({k: np.asarray(v) + 1 for k, v in m.state_dict().items()}),
    "parameter": lambda m: setattr(m.conv2, "bias", nn.Parameter(fastconv.ones(4))),
    "statistics": lambda m: m.bn1.running_mean.add_(1),
    "reset": lambda m: m.bn1.reset_running_stats(),
    "scale": lambda m: m.bn2.weight.fill_(0.3),
    "geometry": lambda m: setattr(m.conv1, "dilation", (1, 1)) or setattr(m.conv1, "groups", 1),
    "other norm": lambda m: setattr(m, "bn2", norm(4)),
    "optimiser": lambda m: _one_step(m),
    "double": lambda m: m.double().float(),
}


def _one_step(model: Net) -> None:
    with fastconv.enable_grad():
        model(images()).sum().backward()
    fastconv.optim.SGD(model.parameters(), lr=0.1).step()


@pytest.mark.parametrize("name", CHANGES)
def test_plans_follow_the_weights(name: str) -> None:
    model, x = Net(F.relu, False).eval(), images()
    with fastconv.no_grad():
        model(x)
        CHANGES[name](model)
        np.testing.assert_allclose(model(x).numpy(), alone(model, x), rtol=2e-4, atol=2e-5)


def test_training_drops_plans() -> None:
    model = Net(F.relu, False).eval()
    with fastconv.no_grad():
        model(images())
    assert model.conv1 in steps._steps
    model.train()
    assert model.conv1 not in steps._steps


def test_copies_know_nothing_of_plans() -> None:
    model, x = Net(F.relu, False).eval(), images()
    with fastconv.no_grad():
        expected = model(x).numpy()
        for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model.conv1))):
            assert getattr(other, "conv1", other) not in steps._steps
        np.testing.assert_array_equal(copy.deepcopy(model)(x).numpy(), expected)


def test_values_are_those_at_the_time_of_the_call() -> None:
    class Careless(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(4, 4, 1)

        def forward(self, x: Any) -> Any:
            y = self.conv(x)
            kept = self.conv(x)
            x.mul_(0)  # after the call: must not reach y
            F.relu(x, inplace=True)
            x[:] = 3
            return y + kept

    model, x = Careless().eval(), images()
    with fastconv.no_grad():
        expected = 2 * model.conv(x).numpy()
        np.testing.assert_allclose(model(x).numpy(), expected, rtol=1e-5, atol=1e-6)
    assert (np.asarray(x) == 3).all()


def test_a_tensor_used_several_ways() -> None:
    class Branches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(4, 4, 3)
            self.bn, self.other = norm(4), norm(4)

        def forward(self, x: Any) -> Any:
            y = self.conv(x)
            z = self.bn(y)
            w = F.relu(z)
            sums = z + y, y + z, z + z, y + 1, y + y.mean()
            return [w, self.other(y), F.relu(y), *sums, {"y": y}, y.shape, y.max()]

    model, x = Branches().eval(), images()
    with fastconv.enable_grad():
        expected = model(x)
    with fastconv.no_grad():
        got = model(x)
    for a, b in zip(got, expected, strict=True):
        if isinstance(b, fastconv.Tensor):
            np.testing.assert_allclose(a.numpy(), b.detach().numpy(), rtol=2e-4, atol=2e-5)
    assert got[-2] == expected[-2]
    assert not any(isinstance(v, Deferred) and v._job is not None for v in got)


def test_layers_alone_and_arrays() -> None:
    layer = nn.Conv2d(4, 5, 3).eval()
    x = images()
    with fastconv.no_grad():
        y = layer(x)
        assert type(y) is fastconv.Tensor
        np.testing.assert_allclose(
            y.numpy(), F.conv2d(x, layer.weight, layer.bias).numpy(), rtol=1e-5, atol=1e-6
        )
        np.testing.assert_array_equal(layer(x.numpy()).numpy(), y.numpy())
        np.testing.assert_allclose(layer(x[0]).numpy(), y[0].numpy(), rtol=1e-5, atol=1e-6)
        with pytest.raises(ValueError, match="conv2d: weight has 4 input channels"):
            layer(images(c=3))
        with pytest.raises(TypeError, match="conv2d"):
            layer(x.double())
        with pytest.raises(ValueError, match="conv2d: weight has 4 input channels"):
            nn.Sequential(layer).eval()(images(c=3))


def test_a_frozen_part_of_a_model_in_training() -> None:
    body, head = Net(F.relu, False), nn.Conv2d(4, 2, 1)
    body.freeze()
    model = nn.Sequential(body, head).train()
    x = images()
    y = model(x)
    y.sum().backward()
    assert head.weight.grad is not None
    assert body.conv1.weight.grad is None
    with fastconv.no_grad():
        np.testing.assert_allclose(y.detach().numpy(), head(body(x)).numpy(), rtol=1e-4, atol=1e-5)
