"""A batch norm and the 1x1 convolution behind it as one step: the same as one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastconv
import fastconv.nn as nn
from chains import images, norm


class Entrance(nn.Module):
    """A layer of DenseNet up to its first convolution, on an input in one piece or in several."""

    def __init__(self, parts: tuple[int, ...], k: int, act: Any = nn.ReLU) -> None:
        super().__init__()
        self.parts = nn.ModuleList([nn.Conv2d(3, c, 1) for c in parts])
        self.body = nn.Sequential(
            norm(sum(parts)), act(), nn.Conv2d(sum(parts), k, 1, bias=False), norm(k), nn.ReLU()
        )

    def forward(self, x: Any) -> Any:
        parts = [part(x) for part in self.parts]
        return self.body(parts[0] if len(parts) == 1 else fastconv.cat(parts, 1))


SHAPES: dict[str, tuple[tuple[int, ...], int, tuple[int, ...]]] = {
    "small": ((5,), 7, (2, 3, 9, 8)),
    "one image, uneven": ((40, 3, 21), 33, (1, 3, 29, 31)),
    "blocks": ((300, 37), 20, (1, 3, 40, 27)),
    "blocks of images": ((260,), 18, (3, 3, 33, 33)),
    "few pixels": ((24, 8), 16, (1, 3, 4, 5)),
    "one channel": ((1,), 1, (1, 3, 70, 11)),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", SHAPES)
def test_pairs(name: str, dtype: Any) -> None:
    parts, k, shape = SHAPES[name]
    model, x = Entrance(parts, k).to(dtype).eval(), images(*shape, dtype=dtype)
    wanted = np.asarray(model(x).detach())  # layer by layer, on the tape
    bound = 1e-5 if dtype == np.float32 else 1e-12
    results = []
    for threads in (1, 2, 3):
        with fastconv.threads(threads), fastconv.no_grad():
            results.append(np.asarray(model(x)))
    np.testing.assert_allclose(results[0], wanted, rtol=bound, atol=bound)
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


@pytest.mark.parametrize("act", [nn.Identity, nn.ReLU6, nn.SiLU])
def test_activations_between(act: Any) -> None:
    model, x = Entrance((12, 9), 8, act).eval(), images(1, 3, 20, 20)
    wanted = np.asarray(model(x).detach())
    with fastconv.no_grad():
        np.testing.assert_allclose(np.asarray(model(x)), wanted, rtol=1e-5, atol=1e-5)


def test_residual() -> None:
    class Sum(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(norm(16), nn.ReLU(), nn.Conv2d(16, 16, 1))
            self.first = nn.Conv2d(3, 16, 3, padding=1)

        def forward(self, x: Any) -> Any:
            x = self.first(x)
            return fastconv.relu(self.body(x) + x)

    model, x = Sum().eval(), images(2, 3, 12, 13)
    wanted = np.asarray(model(x).detach())
    with fastconv.no_grad():
        np.testing.assert_allclose(np.asarray(model(x)), wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("pixels", [(13, 13), (28, 27), (4, 4)])
def test_many_channels_to_few(pixels: tuple[int, int]) -> None:
    class Squeeze(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.wide = nn.Conv2d(3, 270, 3, padding=1)
            self.narrow = nn.Sequential(nn.Conv2d(270, 19, 1), norm(19), nn.ReLU())
            self.other = nn.Conv2d(3, 19, 1)

        def forward(self, x: Any) -> Any:
            return fastconv.relu(self.narrow(self.wide(x)) + self.other(x))

    model, x = Squeeze().eval(), images(1, 3, *pixels)
    wanted = np.asarray(model(x).detach())
    results = []
    for threads in (1, 2, 3):
        with fastconv.threads(threads), fastconv.no_grad():
            results.append(np.asarray(model(x)))
    np.testing.assert_allclose(results[0], wanted, rtol=1e-5, atol=1e-5)
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


@pytest.mark.parametrize("size", [(25, 25), (26, 26), (31, 31), (14, 14), (9, 33), (40, 41)])
@pytest.mark.parametrize(("c", "k"), [(300, 100), (64, 200), (20, 24)])
def test_shares_of_the_pixels(c: int, k: int, size: tuple[int, int]) -> None:
    class Ends(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.other = nn.Conv2d(3, c, 1), nn.Conv2d(3, k, 1)
            self.conv = nn.Sequential(nn.ReLU(), nn.Conv2d(c, k, 1))

        def forward(self, x: Any) -> Any:
            return fastconv.relu(self.conv(self.first(x)) + self.other(x))

    model, x = Ends().eval(), images(1, 3, *size)
    wanted = np.asarray(model(x).detach())
    results = []
    for threads in (1, 2, 3, 4):
        with fastconv.threads(threads), fastconv.no_grad():
            results.append(np.asarray(model(x)))
    np.testing.assert_allclose(results[0], wanted, rtol=1e-5, atol=1e-5)
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])
