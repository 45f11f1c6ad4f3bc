"""A widening, a depthwise and a narrowing convolution as one step: the same as one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastconv
import fastconv.nn as nn
from fastconv import _core

rng = np.random.default_rng(0)


class Body(nn.Module):
    """The block with what MobileNet has around it: batch norms, activations, a sum."""

    def __init__(self, c: int, wide: int, k: int, act: Any = nn.ReLU6, **geometry: Any) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(c, wide, 1, bias=False), nn.BatchNorm2d(wide), act(),
            nn.Conv2d(wide, wide, groups=wide, **geometry), act(),
            nn.Conv2d(wide, k, 1),
        )  # fmt: skip
        self.adds = c == k

    def forward(self, x: Any) -> Any:
        y = self.body(x)
        return x + y if self.adds and y.shape == x.shape else y


def images(*shape: int, dtype: Any = np.float32) -> fastconv.Tensor:
    return fastconv.from_numpy(rng.normal(size=shape).astype(dtype))


def both(model: nn.Module, x: Any) -> tuple[np.ndarray, np.ndarray]:
    """By the program, and layer by layer on the tape."""
    model.eval()
    with fastconv.no_grad():
        got = np.asarray(model(x))
    return got, np.asarray(model(x).detach())


GEOMETRY: dict[str, tuple[Any, ...]] = {
    "3x3": ((2, 8, 16, 8), (2, 8, 14, 14), {"kernel_size": 3, "padding": 1}),
    "stride 2": ((5, 24, 7), (1, 5, 17, 23), {"kernel_size": 3, "padding": 1, "stride": 2}),
    "5x5": ((3, 130, 40), (1, 3, 9, 30), {"kernel_size": 5, "padding": 2}),
    "no padding": ((4, 16, 4), (1, 4, 8, 9), {"kernel_size": 3}),
    "dilated": ((4, 33, 6), (1, 4, 21, 20), {"kernel_size": 3, "padding": 2, "dilation": 2}),
    "more padding than picture": ((4, 20, 4), (1, 4, 2, 3), {"kernel_size": 3, "padding": 4}),
    "uneven": ((6, 64, 6), (1, 6, 12, 11), {"kernel_size": (2, 4), "padding": "same"}),
    "gaps": ((4, 16, 4), (1, 4, 16, 19), {"kernel_size": 2, "stride": 5}),
    "one pixel": ((8, 48, 8), (3, 8, 1, 1), {"kernel_size": 3, "padding": 1}),
    "tall": ((3, 96, 5), (1, 3, 300, 7), {"kernel_size": 3, "padding": 1}),
    "bands": ((4, 128, 4), (1, 4, 60, 100), {"kernel_size": 3, "padding": 1}),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", GEOMETRY)
def test_blocks(name: str, dtype: Any) -> None:
    channels, shape, geometry = GEOMETRY[name]
    model = Body(*(channels[i] for i in (-3, -2, -1)), **geometry).to(dtype)
    got, wanted = both(model, images(*shape, dtype=dtype))
    bound = 1e-5 if dtype == np.float32 else 1e-13
    np.testing.assert_allclose(got, wanted, rtol=bound, atol=bound)


@pytest.mark.parametrize("act", [nn.ReLU, nn.SiLU, nn.Hardswish, nn.GELU, nn.Identity])
def test_activations(act: Any) -> None:
    model = Body(8, 40, 8, act, kernel_size=3, padding=1)
    got, wanted = both(model, images(2, 8, 15, 15))
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5)


def test_activation_behind_the_sum() -> None:
    class Rectified(Body):
        def forward(self, x: Any) -> Any:
            return fastconv.relu(x + self.body(x))

    got, wanted = both(Rectified(8, 32, 8, kernel_size=3, padding=1), images(1, 8, 20, 20))
    assert got.min() == 0
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5)


def test_the_same_for_any_number_of_threads() -> None:
    model = Body(16, 96, 16, kernel_size=3, padding=1).eval()
    x = images(1, 16, 112, 112)
    with fastconv.no_grad():
        results = []
        for count in (1, 2, 3):
            with fastconv.threads(count):
                results.append(np.asarray(model(x)))
    assert (results[0] == results[1]).all()
    assert (results[0] == results[2]).all()


def test_not_a_number_stays_where_it_is() -> None:
    model = Body(4, 16, 8, kernel_size=3, padding=1)
    x = images(1, 4, 9, 9)
    x[0, 1, 4, 4] = float("nan")
    got, wanted = both(model, x)
    assert np.isnan(wanted).sum() == 8 * 9
    assert (np.isnan(got) == np.isnan(wanted)).all()


def test_an_algorithm_asked_for_by_name_is_what_runs() -> None:
    w = [
        rng.normal(size=s).astype(np.float32) for s in ((32, 8, 1, 1), (32, 1, 3, 3), (8, 32, 1, 1))
    ]
    x = images(1, 8, 10, 10).numpy()

    def run(name: str) -> np.ndarray:
        args = [(0, 1, 1), (1, 1, 32), (0, 1, 1)]
        plans = [
            _core.Plan(2, v, None, 1, pad, dil, groups, None, None, name)
            for v, (pad, dil, groups) in zip(w, args, strict=True)
        ]
        return _core.Program(x.shape, 4, [("conv", p) for p in plans]).run(x, None, None)

    np.testing.assert_allclose(run("auto"), run("im2col"), rtol=1e-4, atol=1e-4)


class Excited(nn.Module):
    """Squeeze and excitation, its two factors either way round."""

    def __init__(self, channels: int, inner: int, swapped: bool) -> None:
        super().__init__()
        self.scale = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, inner, 1), nn.SiLU(),
            nn.Conv2d(inner, channels, 1), nn.Sigmoid(),
        )  # fmt: skip
        self.swapped = swapped

    def forward(self, x: Any) -> Any:
        return self.scale(x) * x if self.swapped else x * self.scale(x)


def excited(c: int, wide: int, k: int, swapped: bool = False) -> nn.Sequential:
    widening = [nn.Conv2d(c, wide, 1), nn.SiLU()] if c != wide else []
    return nn.Sequential(
        *widening, nn.Conv2d(wide, wide, 5, padding=2, groups=wide), nn.SiLU(),
        Excited(wide, 6, swapped), nn.Conv2d(wide, k, 1, bias=False), nn.BatchNorm2d(k),
    )  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("channels", [(8, 48, 16), (24, 24, 8), (3, 9, 4)])
def test_squeeze_and_excitation(channels: tuple[int, int, int], swapped: bool, dtype: Any) -> None:
    model = nn.Sequential(excited(*channels, swapped), nn.ReLU()).to(dtype)
    got, wanted = both(model, images(3, channels[0], 23, 17, dtype=dtype))
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5)


def test_excitation_is_the_same_for_any_number_of_threads() -> None:
    model = excited(16, 96, 24).eval()
    x = images(2, 16, 64, 64)
    results = []
    with fastconv.no_grad():
        for count in (1, 2):
            with fastconv.threads(count):
                results.append(np.asarray(model(x)))
    assert (results[0] == results[1]).all()


def test_excitation_runs_as_one_program_and_follows_its_weights() -> None:
    model = nn.Sequential(excited(8, 48, 8), nn.ReLU()).eval()
    x = images(1, 8, 12, 12)
    for _ in range(2):
        got, wanted = both(model, x)
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5)
        model[0][4].scale[3].weight.data = model[0][4].scale[3].weight.data * 3


def test_what_is_excited_may_be_looked_at_and_used_again() -> None:
    seen = []

    class Curious(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.gate = nn.Conv2d(4, 8, 3), Excited(8, 2, False).scale
            self.last = nn.Conv2d(8, 4, 1)

        def forward(self, x: Any) -> Any:
            x = self.first(x)
            gate = self.gate(x)
            y = x * gate
            seen.append(np.array(y))
            z = self.last(y) + self.last(x * gate)
            x += 1
            return z + self.last(x * gate) + self.last(gate)

    got, wanted = both(Curious(), images(2, 4, 9, 9))
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(seen[0], seen[1], rtol=1e-5, atol=1e-5)
