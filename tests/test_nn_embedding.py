"""Tables of rows as layers, beside PyTorch's: gradients, rows that are shortened or stay zero."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastconv
import fastconv.nn as nn
from gradients import torch

ROWS = np.array([[1, 0, 4], [4, 4, 2]])
TABLE = np.random.default_rng(3).normal(size=(5, 3)).astype(np.float32)


def learned(library: Any, settings: dict[str, Any]) -> list[np.ndarray]:
    """Result, table and gradient of a layer after one pass."""
    layer = library.nn.Embedding.from_pretrained(
        library.tensor(TABLE.copy()), freeze=False, **settings
    )
    y = layer(library.tensor(ROWS))
    (y * y).sum().backward()
    return [v.detach().numpy() for v in (y, layer.weight, layer.weight.grad)]


@pytest.mark.skipif(torch is None, reason="compares with PyTorch")
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"padding_idx": 4},
        {"padding_idx": -1},
        {"scale_grad_by_freq": True},
        {"max_norm": 1.0},
        {"max_norm": 0.5, "norm_type": 1.0},
    ],
)
def test_as_pytorch(settings: dict[str, Any]) -> None:
    for ours, theirs in zip(learned(fastconv, settings), learned(torch, settings), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)


def test_a_new_table() -> None:
    fastconv.manual_seed(0)
    layer = nn.Embedding(1000, 50, padding_idx=3)
    table = layer.weight.detach().numpy()
    assert not table[3].any()
    assert abs(table.std() - 1) < 0.02
    frozen = nn.Embedding.from_pretrained(fastconv.tensor(TABLE))
    assert not frozen.weight.requires_grad
    with pytest.raises(ValueError, match="padding_idx 9 is no row of 5"):
        nn.Embedding(5, 3, padding_idx=9)
    with pytest.raises(ValueError, match="must have two axes"):
        nn.Embedding.from_pretrained(fastconv.ones(3))
