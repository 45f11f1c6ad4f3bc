"""set_accuracy: what "auto" may choose, in every direction, in plans, and what it changes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import fastconv
import reference
from checks import assert_exact, integers, normals

SHAPES = [((1, 64, 28, 28), (64, 64, 3, 3)), ((2, 40, 20, 33), (72, 40, 3, 3))]


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    yield
    fastconv.set_accuracy("default")


@pytest.mark.parametrize(("x_shape", "w_shape"), SHAPES)
def test_high_accuracy_is_exact_on_small_integers(
    x_shape: tuple[int, ...], w_shape: tuple[int, ...]
) -> None:
    """Every algorithm that is still allowed sums small integers exactly; F(4) does not."""
    x, w = integers(x_shape), integers(w_shape, seed=1)
    y = reference.conv(x, w, padding=1)
    dy = integers(y.shape, seed=2)
    plan = fastconv.Conv2dPlan(w, padding=1)
    assert not np.array_equal(plan(x), y)
    fastconv.set_accuracy("high")
    assert_exact(fastconv.conv2d(x, w, padding=1), y)
    assert_exact(plan(x), y)
    grads = fastconv.conv2d_backward(dy, x, w, padding=1)
    assert_exact(grads.input, reference.conv_input(x.shape, w, dy, 1, 1))
    assert_exact(grads.weight, reference.conv_weight(x, w.shape, dy, 1, 1))
    fastconv.set_accuracy("default")
    assert not np.array_equal(plan(x), y)


def test_layers_follow_the_setting() -> None:
    layers = fastconv.nn.Sequential(
        fastconv.nn.Conv2d(64, 64, 3, padding=1),
        fastconv.nn.ReLU(),
        fastconv.nn.MaxPool2d(2),
        fastconv.nn.Conv2d(64, 32, 1),
    ).eval()
    x = normals((1, 64, 28, 28))
    with fastconv.no_grad():
        before = np.asarray(layers(fastconv.tensor(x)))
        fastconv.set_accuracy("high")
        after = np.asarray(layers(fastconv.tensor(x)))
    assert not np.array_equal(before, after)
    np.testing.assert_allclose(before, after, rtol=0, atol=1e-5)


def test_an_algorithm_asked_for_by_name_runs() -> None:
    x, w = integers((1, 16, 20, 20)), integers((16, 16, 3, 3), seed=1)
    before = fastconv.conv2d(x, w, algorithm="winograd")
    fastconv.set_accuracy("high")
    assert_exact(fastconv.conv2d(x, w, algorithm="winograd"), before)


def test_the_setting_is_told_and_checked() -> None:
    assert fastconv.get_accuracy() == "default"
    fastconv.set_accuracy("high")
    assert fastconv.get_accuracy() == "high"
    bad: Any
    for bad in ("High", "", "low"):
        with pytest.raises(ValueError, match="set_accuracy: level must be 'default' or 'high'"):
            fastconv.set_accuracy(bad)
    for bad in (None, 1, b"high"):
        with pytest.raises(TypeError, match="set_accuracy: level"):
            fastconv.set_accuracy(bad)
    assert fastconv.get_accuracy() == "high"
