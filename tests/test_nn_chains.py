"""Layers in a row as one program: the same as one by one, and never of what has been changed."""

from __future__ import annotations

import copy
import pickle
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastconv
import fastconv.nn as nn
import fastconv.nn.functional as F
from chains import agree, alone, images, norm, rows, together
from fastconv.nn import steps as prepared
from fastconv.nn.rows import Row

LAYERS: dict[str, Callable[[], list[nn.Module]]] = {
    "conv norm relu": lambda: [nn.Conv2d(4, 6, 3, bias=False), norm(6), nn.ReLU()],
    "conv relu norm": lambda: [nn.Conv2d(4, 6, 3), nn.ReLU(), norm(6)],
    "conv norm norm": lambda: [nn.Conv2d(4, 6, 1), norm(6), norm(6), nn.ReLU6()],
    "norm relu conv": lambda: [norm(4), nn.ReLU(inplace=True), nn.Conv2d(4, 6, 3, 2, 1)],
    "norm silu": lambda: [norm(4), nn.SiLU()],
    "relu relu": lambda: [nn.Conv2d(4, 4, 3), nn.ReLU(), nn.ReLU6(), nn.Sigmoid()],
    "depthwise": lambda: [nn.Conv2d(4, 8, 3, groups=4, padding="same"), norm(8), nn.Hardswish()],
    "dilated": lambda: [nn.Conv2d(4, 4, 3, dilation=2, padding=2), nn.LeakyReLU(0.3), nn.Tanh()],
    "pools": lambda: [
        nn.MaxPool2d(3, 2, 1, ceil_mode=True), nn.AvgPool2d(2, padding=1, count_include_pad=False),
    ],
    "adaptive": lambda: [nn.AdaptiveAvgPool2d((3, None)), nn.AdaptiveAvgPool2d(1)],
    "adaptive odd": lambda: [nn.Conv2d(4, 4, 1), nn.AdaptiveAvgPool2d(5), nn.ReLU()],
    "excite": lambda: [
        nn.AdaptiveAvgPool2d(1), nn.Conv2d(4, 2, 1), nn.SiLU(), nn.Conv2d(2, 4, 1), nn.Sigmoid(),
    ],
    "head": lambda: [
        nn.Conv2d(4, 3, 5), nn.ReLU(), nn.Flatten(), nn.Dropout(), nn.Linear(144, 7), nn.ReLU(),
        nn.Linear(7, 5), nn.BatchNorm1d(5),
    ],
    "gelu": lambda: [nn.Conv2d(4, 4, 1), nn.GELU(), nn.Conv2d(4, 4, 1), nn.GELU("tanh")],
    "other": lambda: [nn.Conv2d(4, 4, 1), nn.Mish(), nn.ELU(0.5), nn.Hardsigmoid(), nn.Hardtanh()],
}  # fmt: skip


@pytest.mark.parametrize("name", LAYERS)
def test_a_chain_is_the_same_as_its_layers(name: str) -> None:
    model = nn.Sequential(*LAYERS[name]()).eval()
    assert rows(model) == [Row]
    for x in (images(), images(1, 4, 12, 10), images()):
        before = np.array(x)
        agree(model, x)
        np.testing.assert_array_equal(np.asarray(x), before)


@pytest.mark.parametrize("name", LAYERS)
def test_a_chain_inside_another_module_is_still_the_same(name: str) -> None:
    """What comes after it may join it: an activation, a batch norm, a sum."""

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(*LAYERS[name]())

        def forward(self, x: Any) -> Any:
            y = self.body(x)
            z = F.relu(y)
            return z, F.silu(self.body(x) + z), y, y.sum()

    model, x = Block().eval(), images()
    with fastconv.enable_grad():
        expected = model(x)
    with fastconv.no_grad():
        for a, b in zip(model(x), expected, strict=True):
            np.testing.assert_allclose(a.numpy(), b.detach().numpy(), rtol=2e-4, atol=2e-4)


def test_of_float64() -> None:
    model = nn.Sequential(*LAYERS["head"]()).double().eval()
    x = images(dtype=np.float64)
    np.testing.assert_allclose(together(model, x), alone(model, x), rtol=1e-12, atol=1e-13)
    with fastconv.no_grad(), pytest.raises(TypeError, match="conv2d"):
        model(images())


def test_any_layout_and_size() -> None:
    model = nn.Sequential(*LAYERS["conv norm relu"](), nn.MaxPool2d(2)).eval()
    last = images().contiguous(memory_format=fastconv.channels_last)
    with fastconv.no_grad():
        y = model(last)
    assert y.is_contiguous(memory_format=fastconv.channels_last)
    agree(model, last)
    agree(model, images()[:, :, ::2, 1:])
    agree(model[:1], images()[0])
    agree(model, images(0, 4, 12, 10))
    with fastconv.no_grad():
        np.testing.assert_array_equal(model(images(1, 4, 9, 9).numpy()).shape, (1, 6, 3, 3))
        with pytest.raises(ValueError, match="conv2d: weight has 4 input channels"):
            model(images(1, 3, 9, 9))
        with pytest.raises(ValueError, match="BatchNorm2d: expected 4D"):
            model(images(4, 12, 10))


def test_wrong_norms_are_refused_as_ever() -> None:
    for wrong in (norm(1), nn.BatchNorm1d(6), nn.BatchNorm3d(6)):
        model = nn.Sequential(nn.Conv2d(4, 6, 3), wrong).eval()
        with fastconv.no_grad(), pytest.raises(ValueError, match=r"batch_norm|expected"):
            model(images())


# ---- what does not stand in a row ------------------------------------------------------------


def test_layers_within_layers_are_one_row() -> None:
    class Named(nn.Sequential):
        def __init__(self) -> None:
            super().__init__(nn.Conv2d(4, 4, 1), nn.ReLU())

    model = nn.Sequential(Named(), nn.Sequential(Named(), nn.Identity()), nn.MaxPool2d(2)).eval()
    assert rows(model) == [Row]
    agree(model, images())


def test_unknown_layers_stand_between_rows() -> None:
    class Own(nn.Module):
        def forward(self, x: Any) -> Any:
            return x * 2

    class OwnReLU(nn.ReLU):
        def forward(self, input: Any) -> Any:
            return input + 1

    class OwnSequence(nn.Sequential):
        def forward(self, input: Any) -> Any:
            return super().forward(input) - 1

    conv = nn.Conv2d(4, 4, 1)
    model = nn.Sequential(conv, Own(), nn.Tanh(), OwnReLU(), OwnSequence(conv, nn.ReLU())).eval()
    assert rows(model) == [Row, Own, Row, OwnReLU, OwnSequence]
    agree(model, images())


def test_an_activation_in_place_changes_its_input_alone() -> None:
    x = images()
    expected = np.maximum(np.asarray(x), 0)
    model = nn.Sequential(nn.Identity(), nn.ReLU(inplace=True), nn.Conv2d(4, 4, 1)).eval()
    with fastconv.no_grad():
        model(x)
    np.testing.assert_array_equal(np.asarray(x), expected)


def test_a_view_stays_a_view() -> None:
    x = images()
    with fastconv.no_grad():
        y = nn.Sequential(nn.Identity(), nn.Flatten()).eval()(x)
        y.zero_()
    assert not np.asarray(x).any()


def test_hooks_are_called() -> None:
    model = nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU(), nn.MaxPool2d(2)).eval()
    x, seen = images(), []
    together(model, x)
    handle = model[1].register_forward_hook(lambda m, args, out: seen.append(np.array(out)))
    together(model, x)
    assert len(seen) == 1
    assert (seen[0] >= 0).all()
    handle.remove()
    together(model, x)
    assert len(seen) == 1
    assert rows(model) == [Row]
    model.register_forward_pre_hook(lambda m, args: (args[0] * 2,))
    np.testing.assert_allclose(together(model, x), alone(model, x), rtol=1e-4, atol=1e-5)


def test_dropout_in_training_inside_a_network_in_evaluation() -> None:
    model = nn.Sequential(nn.Conv2d(4, 4, 1), nn.Dropout(0.5), nn.ReLU()).eval()
    x = images()
    np.testing.assert_array_equal(together(model, x), together(model, x))
    model[1].train()
    assert (together(model, x) != together(model, x)).any()


def test_the_tape_records_through_a_sequence_in_evaluation() -> None:
    model = nn.Sequential(*LAYERS["conv norm relu"](), nn.Flatten()).eval()
    x = images().requires_grad_()
    model(x).sum().backward()
    assert x.grad is not None
    assert model[0].weight.grad is not None
    model.freeze()
    y = model(images())
    assert not y.requires_grad
    x.grad = None
    model(x).sum().backward()
    assert x.grad is not None


# ---- changes ---------------------------------------------------------------------------------


def _set(owner: Any, name: str, value: Any) -> None:
    setattr(owner, name, value)


CHANGES: dict[str, Callable[[nn.Sequential], Any]] = {
    "weight in place": lambda m: m[0].weight.mul_(2),
    "weight data": lambda m: m[0].weight.data.fill_(0.1),
    "weight by a view": lambda m: m[0].weight.detach()[0].zero_(),
    "new weight": lambda m: _set(m[0], "weight", nn.Parameter(fastconv.ones(6, 4, 3, 3))),
    "new data": lambda m: _set(m[0].weight, "data", np.ones((6, 4, 3, 3), np.float32)),
    "by hand": lambda m: np.asarray(m[0].weight).__imul__(3),
    "statistics": lambda m: m[1].running_var.mul_(4),
    "no bias": lambda m: _set(m[0], "bias", None),
    "linear": lambda m: m[6].bias.add_(1),
    "state": lambda m: m.load_state_dict({k: np.asarray(v) + 1 for k, v in m.state_dict().items()}),
    "geometry": lambda m: _set(m[3], "count_include_pad", False),
    "slope": lambda m: _set(m[2], "negative_slope", 0.7),
    "eps": lambda m: _set(m[1], "eps", 0.5),
    "another layer": lambda m: m.__setitem__(2, nn.Sigmoid()),
    "another layer by the back door": lambda m: m._modules.__setitem__("2", nn.Tanh()),
    "a layer less": lambda m: m.__delitem__(2),
    "a layer less by the back door": lambda m: m._modules.pop("2"),
    "a layer more": lambda m: m.append(nn.Sigmoid()),
    "a layer in between": lambda m: m.insert(1, nn.Tanh()),
    "inner layer": lambda m: m[4].append(nn.Sigmoid()),
    "own forward": lambda m: _set(m[2], "forward", lambda x: x + 1),
    "training": lambda m: m[1].train(),
    "optimiser": lambda m: _one_step(m),
    "reset": lambda m: m[1].reset_running_stats(),
    "initialised": lambda m: nn.init.normal_(m[0].weight),
}


def changing() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(4, 6, 3), norm(6), nn.LeakyReLU(0.1), nn.AvgPool2d(3, 1, 1),
        nn.Sequential(nn.Tanh()), nn.Flatten(), nn.Linear(480, 5),
    ).eval()  # fmt: skip


def _one_step(model: nn.Module) -> None:
    with fastconv.enable_grad():
        model(images()).sum().backward()
    fastconv.optim.SGD(model.parameters(), lr=0.1).step()


@pytest.mark.parametrize("name", CHANGES)
def test_chains_follow_changes(name: str) -> None:
    model, x = changing(), images()
    before = together(model, x)
    with fastconv.no_grad():
        CHANGES[name](model)
        try:
            expected = alone(copy.deepcopy(model), x)
        except ValueError:  # it no longer fits, and so says the chain
            with pytest.raises(ValueError, match="linear"):
                model(x)
            return
        np.testing.assert_allclose(together(model, x), expected, rtol=2e-4, atol=2e-5)
    assert (before.shape != expected.shape) or not np.allclose(before, expected)


def test_weights_changed_in_the_middle_of_a_call() -> None:
    """A result is of the weights at the time of the call, even if it is computed later."""

    class Careless(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.body = nn.Conv2d(4, 4, 1), nn.Sequential(nn.Conv2d(4, 4, 1), norm(4))

        def forward(self, x: Any) -> Any:
            y, z = self.conv(x), self.body(x)
            self.conv.weight.mul_(0)
            self.body[1].running_mean.add_(5)
            self.body[0].weight = nn.Parameter(fastconv.ones(4, 4, 1, 1))
            return F.relu(y), F.relu(z)

    model, x = Careless().eval(), images()
    with fastconv.no_grad():
        expected = F.relu(model.conv(x)).numpy(), F.relu(model.body(x)).numpy()
        for y, e in zip(model(x), expected, strict=True):
            np.testing.assert_allclose(y.numpy(), e, rtol=1e-5, atol=1e-6)


def test_copies_and_pickles() -> None:
    model, x = changing(), images()
    expected = together(model, x)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(together(other, x), expected)
        with fastconv.no_grad():
            model[0].weight.mul_(1.5)
        np.testing.assert_array_equal(together(other, x), expected)
        with fastconv.no_grad():
            model[0].weight.div_(1.5)


def test_training_drops_what_was_prepared() -> None:
    model, x = changing(), images()
    together(model, x)
    layers = [*model, *model[4]]
    assert any(layer in prepared._steps for layer in layers)
    model.train()
    model(x)
    assert not any(layer in prepared._steps for layer in layers)


def test_many_threads_run_one_network() -> None:
    model, x = changing(), images()
    expected, results = together(model, x), []

    def work() -> None:
        results.extend(together(model, x) for _ in range(20))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 80
    assert all(np.array_equal(r, expected) for r in results)
