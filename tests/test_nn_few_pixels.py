"""1x1 convolutions of pictures of few pixels as steps of a program: the same as on the tape."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastconv
import fastconv.nn as nn
from chains import images


class Bottom(nn.Module):
    """A convolution after another one, with a residual where `added`."""

    def __init__(self, c: int, k: int, act: Any, added: bool) -> None:
        super().__init__()
        self.first, self.act = nn.Conv2d(3, c, 1), act()
        self.conv = nn.Conv2d(c, k, 1)
        self.other = nn.Conv2d(3, k, 1) if added else None

    def forward(self, x: Any) -> Any:
        y = self.conv(self.act(self.first(x)))
        return self.act(y if self.other is None else y + self.other(x))


SHAPES: dict[str, tuple[int, int, tuple[int, ...]]] = {
    "7x7": (40, 128, (1, 3, 7, 7)),
    "outputs of part of a vector": (33, 117, (1, 3, 7, 7)),
    "two images": (24, 64, (2, 3, 3, 3)),
    "five images": (7, 64, (5, 3, 7, 7)),
    "a line": (70, 192, (1, 3, 1, 7)),
    "many outputs": (300, 1000, (1, 3, 5, 5)),
    "large weights": (260, 520, (1, 3, 14, 14)),
}


@pytest.mark.parametrize("act", [nn.Identity, nn.ReLU, nn.ReLU6, nn.SiLU])
@pytest.mark.parametrize("added", [False, True], ids=["alone", "residual"])
@pytest.mark.parametrize("name", SHAPES)
def test_few_pixels(name: str, added: bool, act: Any) -> None:
    c, k, shape = SHAPES[name]
    model, x = Bottom(c, k, act, added).eval(), images(*shape)
    wanted = np.asarray(model(x).detach())
    results = []
    for threads in (1, 2, 3):
        with fastconv.threads(threads), fastconv.no_grad():
            results.append(np.asarray(model(x)))
    np.testing.assert_allclose(results[0], wanted, rtol=1e-5, atol=1e-5)
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


def test_infinite_values_stay_where_they_are() -> None:
    model, x = Bottom(16, 64, nn.Identity, False).eval(), images(1, 3, 7, 7)
    np.asarray(x)[0, 1, 3, 3] = np.inf
    wanted = np.asarray(model(x).detach())
    with fastconv.no_grad():
        got = np.asarray(model(x))
    finite = np.isfinite(wanted)
    assert finite[0, 0].sum() == 48
    np.testing.assert_array_equal(np.isfinite(got), finite)
    np.testing.assert_allclose(got[finite], wanted[finite], rtol=1e-5, atol=1e-5)
