"""Networks whose layers wait for each other: done in one call, once, and as if one by one."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastconv
import fastconv.nn as nn
import fastconv.nn.functional as F
from fastconv import _core, flow, sources
from fastconv.deferred import Deferred
from fastconv.nn.rows import Row, rows_of
from fastconv.nn.steps import step_of

rng = np.random.default_rng(0)


def images(*shape: int, dtype: Any = np.float32) -> fastconv.Tensor:
    return fastconv.from_numpy(rng.normal(size=shape or (1, 4, 9, 8)).astype(dtype))


class Net(nn.Module):
    """A trunk and whatever `after` makes of what it gave."""

    def __init__(self, after: Callable[..., Any]) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Conv2d(4, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU())
        self.a, self.b = nn.Conv2d(6, 6, 1), nn.Conv2d(6, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(12)
        self.pool = nn.MaxPool2d(2)
        self.after = after

    def forward(self, x: Any) -> Any:
        return self.after(self, self.trunk(x))


def _kept(net: Any, y: Any) -> Any:
    net.seen = [net.a(y)]
    return net.pool(net.seen[0]), y


def _looked_at(net: Any, y: Any) -> Any:
    a = net.a(y)
    scale = float(np.asarray(a).mean())
    return net.b(a) * scale + y


def _changed(net: Any, y: Any) -> Any:
    a, b = net.a(y), net.b(y)
    c = fastconv.cat([a, b], 1)
    y.mul_(2)
    b.sub_(1)
    return F.relu(a + y), b, c, net.norm(c)


def _side_residual(net: Any, y: Any) -> Any:
    c = fastconv.cat([net.a(y), net.b(y)], 1)
    d = fastconv.cat([net.b(y), y], 1)
    return c + d, net.norm(fastconv.cat([c, d[:, :0]], 1))


AFTER: dict[str, Callable[..., Any]] = {
    "heads": lambda net, y: (net.a(y), net.b(y)),
    "same twice": lambda net, y: (lambda a: (a, a, {"a": a}, [a]))(net.a(y)),
    "skip": lambda net, y: F.relu(net.b(F.relu(net.a(y))) + y),
    "skips": lambda net, y: net.a(net.b(y) + y) + (net.a(y) + y),
    "sum of both": lambda net, y: net.pool(net.a(y) + net.b(y)),
    "side by side": lambda net, y: net.pool(fastconv.cat([net.a(y), F.relu(net.b(y))], 1)),
    "twice": lambda net, y: (lambda a: net.pool(fastconv.cat([a, y, a], 1)))(net.a(y)),
    "norm of sides": lambda net, y: F.relu(net.norm(fastconv.cat([y, net.b(y)], 1))),
    "function": lambda net, y: net.b(F.max_pool2d(net.a(y), 2)),
    "kept": _kept,
    "looked at": _looked_at,
    "changed": _changed,
    "side residual": _side_residual,
    "empty": lambda net, y: net.a(y)[:0],
}


def flat(result: Any) -> list[np.ndarray]:
    if isinstance(result, dict):
        result = list(result.values())
    if isinstance(result, (tuple, list)):
        return [array for value in result for array in flat(value)]
    return [np.array(result.detach())]


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("name", AFTER)
def test_the_same_as_layer_by_layer(name: str, batch: int) -> None:
    net = Net(AFTER[name]).eval()
    for _ in range(2):
        x = images(batch, 4, 9, 8)
        copies = [fastconv.from_numpy(np.array(x)) for _ in range(2)]
        with fastconv.enable_grad():
            expected = flat(net(copies[0].requires_grad_()))
        with fastconv.no_grad():
            got = flat(net(x))
        for a, b in zip(got, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5)
        np.testing.assert_array_equal(np.asarray(x), np.asarray(copies[1]))


def test_copies_are_arrays_of_their_own() -> None:
    def after(net: Any, y: Any) -> Any:
        a, b = net.a(y), net.b(y)
        b.copy_(a)
        b[:] = b
        c = net.b(y)
        c.mul_(0).add_(a)
        return a, b, c

    net = Net(after).eval()
    with fastconv.no_grad():
        a, b, c = net(images())
    before = np.array(b)
    np.testing.assert_array_equal(np.asarray(c), before)
    a.zero_()
    for other in (b, c):
        np.testing.assert_array_equal(np.asarray(other), before)


def test_what_several_read_is_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    planned: list[Any] = []
    monkeypatch.setattr(flow._core, "Flow", lambda *args: planned.append(args) or real(*args))
    net = Net(AFTER["heads"]).eval()
    with fastconv.no_grad():
        for _ in range(3):
            net(images())
    assert len(planned) == 1
    _inputs, steps, outputs = planned[0]
    assert len(steps) == 3
    assert len(outputs) == 2


real = _core.Flow


def test_what_was_prepared_from_old_weights_is_dropped() -> None:
    net = Net(AFTER["skip"]).eval()
    x = images()
    for _ in range(6):
        with fastconv.no_grad():
            net.trunk[0].weight.mul_(0.5)
            y = net(x).numpy()
            np.testing.assert_allclose(y, layer_by_layer(net, x), rtol=1e-4, atol=1e-5)
    step = step_of(net.b)
    assert step is not None
    chains = [step.alone, *step.alone.followers.values()]
    kept = [flow for chain in chains for flows in chain.flows.values() for flow in flows]
    assert len(kept) == 2


def layer_by_layer(net: nn.Module, x: Any) -> np.ndarray:
    with fastconv.enable_grad():
        return net(x).detach().numpy()


def test_many_layers_deep() -> None:
    class Deep(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(2, 2, 1)
            nn.init.dirac_(self.conv.weight)
            nn.init.zeros_(self.conv.bias)

        def forward(self, x: Any) -> Any:
            for _ in range(2000):
                x = F.relu(self.conv(x))
            return x

    x = images(1, 2, 3, 3).abs()
    with fastconv.no_grad():
        np.testing.assert_allclose(Deep().eval()(x).numpy(), np.asarray(x), rtol=1e-5)


def test_other_threads_may_finish_what_waits() -> None:
    class Split(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(4, 4, 1)

        def forward(self, x: Any) -> Any:
            y = self.conv(x)
            assert isinstance(y, Deferred)
            found: list[Any] = []
            thread = threading.Thread(target=lambda: found.append(y.sum().item()))
            thread.start()
            thread.join()
            z = self.conv(y)
            y.add_(1)
            return found[0], z, y

    net, x = Split().eval(), images()
    with fastconv.no_grad():
        y = F.conv2d(x, net.conv.weight, net.conv.bias)
        total, z, shifted = net(x)
    np.testing.assert_allclose(total, y.sum().item(), rtol=1e-4)
    np.testing.assert_allclose(shifted.numpy(), y.numpy() + 1, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(z.numpy(), net.conv(y).detach().numpy(), rtol=1e-4, atol=1e-5)


def test_channels_last_stays_so() -> None:
    net = Net(AFTER["skip"]).eval()
    x = images(2, 4, 9, 8)
    with fastconv.no_grad():
        expected = net(x).numpy()
        y = net(x.contiguous(memory_format=fastconv.channels_last))
        np.testing.assert_allclose(y.numpy(), expected, rtol=1e-4, atol=1e-5)
        net.to(memory_format=fastconv.channels_last)
        np.testing.assert_allclose(net(x).numpy(), expected, rtol=1e-4, atol=1e-5)


def test_a_flow_refuses_what_does_not_fit() -> None:
    shape = (1, 4, 6, 5)
    relu = _core.Program(shape, 4, [("unary", "relu", 0.0, 0.0)])
    one = [(shape, 4)]
    for inputs, steps, outputs in (
        ([(shape, 3)], [(relu, (0,), -1)], (1,)),
        (one, [(relu, (1,), -1)], (1,)),
        (one, [(relu, (), -1)], (1,)),
        (one, [(relu, (0, 0), -1)], (1,)),
        (one, [(relu, (0,), 0)], (1,)),
        (one, [(relu, (0,), -1)], (0,)),
        (one, [(relu, (0,), -1)], (1, 1)),
        ([(shape, 8)], [(relu, (0,), -1)], (1,)),
        ([(shape, 4), ((1, 4, 6, 6), 4)], [(None, (0, 1), -1)], (2,)),
        ([((4,), 4)], [(None, (0, 0), -1)], (1,)),
    ):
        with pytest.raises(ValueError, match=r"\w"):
            _core.Flow(inputs, steps, outputs)
    for steps in ([(1, (0,), -1)], [(relu, 0, -1)], [(relu, (0,))], [None]):
        with pytest.raises(TypeError, match=r"\w"):
            _core.Flow(one, steps, ())
    made = _core.Flow(one, [(relu, (0,), -1), (None, (1, 0, 1), -1)], (2, 1))
    x = images(*shape).numpy()
    y, z = made.run([x])
    np.testing.assert_array_equal(z, np.maximum(x, 0))
    np.testing.assert_array_equal(y, np.concatenate([z, x, z], 1))
    y, z = made.run([x[:, :, ::-1]])
    np.testing.assert_array_equal(z, np.maximum(x[:, :, ::-1], 0))
    for wrong in (x[:, :2], x.astype(np.float64)):
        with pytest.raises(ValueError, match="must have shape"):
            made.run([wrong])
    for wrong in ((x,), [], [x, x], None):
        with pytest.raises(TypeError, match="list of 1"):
            made.run(wrong)
    for wrong in ([None], [x.astype(np.int32)]):
        with pytest.raises(TypeError, match="input"):
            made.run(wrong)


def test_the_same_calls_meet_the_same_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    real = sources.Job.__init__
    monkeypatch.setattr(
        sources.Job, "__init__", lambda self, *args: made.append(self) or real(self, *args)
    )
    net, x = Net(AFTER["skip"]).eval(), images()
    with fastconv.no_grad():
        first = net(x).numpy()
        count = len(made)
        np.testing.assert_array_equal(net(x).numpy(), first)
        assert 0 < count == len(made)
        net(images(2, 4, 9, 8))
    assert len(made) > count


def test_nothing_is_kept_of_a_network_that_is_gone() -> None:
    class Branch(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU())
            self.b = nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU())

        def forward(self, x: Any) -> Any:
            x = self.a(x)
            return fastconv.cat([self.b(x) + x, x], 1)

    net, x = nn.Sequential(Branch(), nn.Conv2d(8, 2, 1)).eval(), images()
    with fastconv.no_grad():
        net(x)
    rows = [row for part in (net, net[0].a, net[0].b) for row in rows_of(part)]
    chains = [weakref.ref(row.chain) for row in rows if isinstance(row, Row)]
    kept = weakref.ref(x)
    del net, x, rows
    assert len(chains) == 3
    assert all(chain() is None for chain in chains)
    assert kept() is None


class Sums(nn.Module):
    """Blocks that add their input; `later` reads what the blocks gave."""

    def __init__(self, later: Callable[..., Any], size: int = 64) -> None:
        super().__init__()
        self.first = nn.Conv2d(4, size, 1)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Conv2d(size, 40, 1), nn.ReLU(), nn.Conv2d(40, size, 1))
            for _ in range(3)
        )
        self.later = later

    def forward(self, x: Any) -> Any:
        given = [self.first(x)]
        for block in self.blocks:
            given.append(F.relu(block(given[-1]) + given[-1]))
        return self.later(given)


LATER: dict[str, Callable[..., Any]] = {
    "the last": lambda given: given[-1],
    "all": lambda given: tuple(given),
    "side by side": lambda given: fastconv.cat(given, 1),
    "one in between": lambda given: (given[-1] + given[1], given[-1]),
    "the first twice": lambda given: fastconv.cat([given[0], given[-1], given[0]], 1),
    "behind": lambda given: F.max_pool2d(F.relu(given[-1]), 2),
}


@pytest.mark.parametrize("shape", [(1, 4, 20, 23), (2, 4, 33, 20), (1, 4, 7, 7), (2, 4, 5, 3)])
@pytest.mark.parametrize("later", LATER)
def test_sums_take_the_place_of_what_is_added(later: str, shape: tuple[int, ...]) -> None:
    net, x = Sums(LATER[later]).eval(), images(*shape)
    wanted = layer_by_layer_all(net, x)
    for threads in (1, 2):
        with fastconv.threads(threads), fastconv.no_grad():
            got = net(x)
        for one, other in zip(got if isinstance(got, tuple) else (got,), wanted, strict=True):
            np.testing.assert_allclose(np.asarray(one), other, rtol=1e-5, atol=1e-5)


def layer_by_layer_all(net: nn.Module, x: Any) -> list[np.ndarray]:
    with fastconv.enable_grad():
        found = net(x)
    return [f.detach().numpy() for f in (found if isinstance(found, tuple) else (found,))]


def test_a_sum_elsewhere_where_accuracy_was_asked_for_later() -> None:
    net, x = Sums(LATER["the last"]).eval(), images(1, 4, 20, 23)
    with fastconv.no_grad():
        first = net(x).numpy()
    fastconv.set_accuracy("high")
    try:
        with fastconv.no_grad():
            np.testing.assert_allclose(net(x).numpy(), first, rtol=1e-5, atol=1e-5)
    finally:
        fastconv.set_accuracy("default")
