"""Networks in evaluation beside their layers one by one: what the tests of chains share."""

from __future__ import annotations

from typing import Any

import numpy as np

import fastconv
import fastconv.nn as nn
from fastconv.nn.rows import rows_of

rng = np.random.default_rng(0)


def images(*shape: int, dtype: Any = np.float32) -> fastconv.Tensor:
    return fastconv.from_numpy(rng.normal(size=shape or (2, 4, 12, 10)).astype(dtype))


def norm(channels: int) -> nn.BatchNorm2d:
    layer = nn.BatchNorm2d(channels)
    for tensor in (layer.weight, layer.bias, layer.running_mean):
        nn.init.normal_(tensor)
    nn.init.uniform_(layer.running_var, 0.5, 2)
    return layer


def alone(model: nn.Module, x: Any) -> np.ndarray:
    """The model with every layer called by itself: on the tape nothing runs as a chain."""
    with fastconv.enable_grad():
        return np.asarray(model(x).detach())


def together(model: nn.Module, x: Any) -> np.ndarray:
    with fastconv.no_grad():
        return np.asarray(model(x))


def agree(model: nn.Module, x: Any) -> None:
    np.testing.assert_allclose(together(model, x), alone(model, x), rtol=2e-4, atol=2e-5)


def rows(model: nn.Sequential) -> list[type]:
    """Rows and single layers, as types."""
    return [type(step) for step in rows_of(model)]
