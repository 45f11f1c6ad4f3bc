"""A script written for PyTorch runs with `torch` in its imports replaced, and trains the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from swapping import swapped

SOURCE = (Path(__file__).parent / "scripts" / "residual_cifar.py").read_text()


def _run(source: str, folder: Path, state: Any = None) -> Any:
    rng = np.random.default_rng(0)
    images = rng.normal(size=(40, 3, 16, 16)).astype(np.float32)
    names: dict[str, Any] = {}
    exec(compile(source, "script", "exec"), names)
    return names["train"](images, rng.integers(0, 10, 40), str(folder), state)


def test_it_trains(tmp_path: Path) -> None:
    first, log, last = _run(swapped(SOURCE), tmp_path)
    assert log[1, 0] < log[0, 0]
    assert log[1, 2] < log[0, 2]
    assert first.keys() == last.keys()


def test_it_trains_as_in_pytorch(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    first, expected, truth = _run(SOURCE, tmp_path)
    _, log, last = _run(swapped(SOURCE), tmp_path, {k: v.numpy() for k, v in first.items()})
    np.testing.assert_allclose(log, expected, rtol=1e-3)
    for name, weights in truth.items():
        np.testing.assert_allclose(last[name], weights, atol=2e-4, err_msg=name)
