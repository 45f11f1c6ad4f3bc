"""Branches side by side in one program, and the compiled program by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import fastconv
import fastconv.nn as nn
import fastconv.nn.functional as F
from chains import images, norm
from fastconv import _core
from fastconv.deferred import Deferred


class Branches(nn.Module):
    """Branches side by side, and what may happen to them afterwards."""

    def __init__(self, after: Callable[..., Any]) -> None:
        super().__init__()
        self.one = nn.Sequential(nn.Conv2d(4, 3, 1), nn.ReLU())
        self.two = nn.Conv2d(4, 2, 3, padding=1)
        self.conv = nn.Conv2d(9, 2, 1)
        self.norm = norm(9)
        self.after = after

    def forward(self, x: Any) -> Any:
        one, two = self.one(x), self.two(x)
        return self.after(self, x, one, two, fastconv.cat([x, one, two], 1))


def _written(*values: Any) -> Any:
    net, _x, one, two, y = values
    z = net.conv(y)
    y.mul_(3)
    one.add_(7)
    return one, two, y, z


def _parts_in_place(*values: Any) -> Any:
    _net, _x, one, two, y = values
    F.relu(two, inplace=True)
    one.zero_()
    return y, one, two


def _nested(*values: Any) -> Any:
    net, x, one, _two, y = values
    z = fastconv.cat((y, one), dim=1)
    w = fastconv.cat((z, z, x), -3)
    return F.relu(net.norm(y)), z, w, net.conv(y), one


AFTER: dict[str, Callable[..., Any]] = {
    "conv": lambda net, x, one, two, y: net.conv(y),
    "norm": lambda net, x, one, two, y: net.norm(y),
    "norm relu conv": lambda net, x, one, two, y: net.conv(F.relu(net.norm(y), inplace=True)),
    "parts too": lambda net, x, one, two, y: (two, net.conv(y), one, y),
    "twice": lambda net, x, one, two, y: fastconv.cat([one, one, two, one], 1),
    "input changed": lambda net, x, one, two, y: (x.mul_(2), y, one),
    "arithmetic": lambda net, x, one, two, y: (y + 1, y * y, y.mean(), y[:, 4], y.shape[1]),
    "written": _written,
    "parts in place": _parts_in_place,
    "nested": _nested,
}


def _flat(result: Any) -> Iterator[np.ndarray]:
    for value in result if isinstance(result, tuple) else (result,):
        yield np.array(value.detach() if isinstance(value, fastconv.Tensor) else value)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("name", AFTER)
def test_side_by_side(name: str, batch: int) -> None:
    model, x = Branches(AFTER[name]).eval(), images(batch, 4, 6, 5)
    parameters = list(model.parameters())
    expected = Branches(AFTER[name]).eval()
    expected.load_state_dict(model.state_dict())
    fresh = fastconv.from_numpy(np.array(x))
    with fastconv.no_grad():
        for _, module in expected.named_modules():  # hooks keep every layer by itself
            module.register_forward_hook(lambda m, args, out: None)
        # In training mode nothing waits; the norm alone must not see that.
        expected.train()
        expected.norm.eval()
        want = list(_flat(expected(fresh)))
        got = list(_flat(model(x)))
    assert len(got) == len(want)
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5)
    assert len(parameters) == len(list(model.parameters()))


def test_branches_of_other_types_or_shapes_are_refused_as_ever() -> None:
    class Odd(nn.Module):
        def __init__(self, other: Any) -> None:
            super().__init__()
            self.conv, self.other = nn.Conv2d(4, 3, 1), other

        def forward(self, x: Any) -> Any:
            return fastconv.cat([self.conv(x), self.other], 1)

    x = images(1, 4, 6, 5)
    with fastconv.no_grad():
        with pytest.raises(ValueError, match="cat: shapes must agree"):
            Odd(images(1, 4, 6, 6)).eval()(x)
        assert Odd(images(1, 4, 6, 5, dtype=np.float64)).eval()(x).dtype == np.float64


def test_nothing_deferred_outlives_the_network() -> None:
    class Keeps(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(4, 3, 1)
            self.kept: list[Any] = []

        def forward(self, x: Any) -> Any:
            y = self.conv(x)
            self.kept = [y, fastconv.cat([y, x], 1)]
            return x

    model, x = Keeps().eval(), images()
    with fastconv.no_grad():
        expected = model.conv(x).numpy()
        model(x)
        x.zero_()
        model.conv.weight.zero_()
    assert all(k._job is None for k in model.kept if isinstance(k, Deferred))
    np.testing.assert_array_equal(np.asarray(model.kept[0]), expected)
    np.testing.assert_array_equal(np.asarray(model.kept[1])[:, :3], expected)


# ---- the compiled program by itself ----------------------------------------------------------


def test_a_program_refuses_what_does_not_fit() -> None:
    shape = (1, 4, 6, 5)
    for steps in (
        [("flatten", 1, 7)],
        [("unary", "nothing", 0.0, 0.0)],
        [("adaptive_avg_pool", (4, 4))],
        [("norm", np.ones(3), np.ones(3), None)],
        [("what",)],
        [("max_pool", 2, 9, None, 0, 1, False)],
    ):
        with pytest.raises(ValueError, match=r"\w"):
            _core.Program(shape, 4, steps)
    for steps in ([("conv", None)], ["conv"], [()], [("norm", 1, 2, None)], [("unary", "relu")]):
        with pytest.raises(TypeError, match=r"\w"):
            _core.Program(shape, 4, steps)
    x = np.ones(shape, np.float32)
    with pytest.raises(TypeError, match="nothing to run"):
        _core.Program(shape, 4, []).run(x, None, None)
    program = _core.Program(shape, 4, [("unary", "relu", 0.0, 0.0)])
    with pytest.raises(ValueError, match="must have shape"):
        program.run(np.ones((1, 4, 6, 6), np.float32), None, None)
    with pytest.raises(ValueError, match="must have shape"):
        program.run(x.astype(np.float64), None, None)
    with pytest.raises(ValueError, match="channels together"):
        program.run([x[:, :2]], None, None)
    with pytest.raises(ValueError, match="residual"):
        program.run(x, x, None)
    np.testing.assert_array_equal(program.run([x[:, :2], x[:, 2:]], None, None), x)
