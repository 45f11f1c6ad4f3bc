"""Scripts written for PyTorch run with `torch` in their imports replaced, and train the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from swapping import swapped

SCRIPTS = sorted((Path(__file__).parent / "scripts").glob("*.py"))
each = pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)


def _run(source: str, folder: Path, state: Any = None) -> Any:
    rng = np.random.default_rng(0)
    images = rng.normal(size=(40, 3, 16, 16)).astype(np.float32)
    names: dict[str, Any] = {}
    exec(compile(source, "script", "exec"), names)
    return names["train"](images, rng.integers(0, 10, 40), str(folder), state)


@each
def test_it_trains(script: Path, tmp_path: Path) -> None:
    first, log, last = _run(swapped(script.read_text()), tmp_path)
    assert np.isfinite(log).all()
    if script.stem != "adversarial":  # whose two losses pull against each other
        assert log[-1, 0] < log[0, 0]
    assert first.keys() <= last.keys()
    assert any((np.asarray(first[k]) != last[k]).any() for k in first)


@each
@pytest.mark.filterwarnings("ignore:'pin_memory'")  # PyTorch's
def test_it_trains_as_in_pytorch(
    script: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch")
    # PyTorch's testing helpers, where another test has imported them, forbid to set flags.
    flags = torch.backends.disable_global_flags.__globals__
    monkeypatch.setitem(flags, "__allow_nonbracketed_mutation_flag", True)
    source = script.read_text()
    first, expected, truth = _run(source, tmp_path)
    _, log, last = _run(swapped(source), tmp_path, {k: v.numpy() for k, v in first.items()})
    np.testing.assert_allclose(log, expected, rtol=1e-3)
    for name, weights in truth.items():
        np.testing.assert_allclose(last[name], weights, atol=2e-4, err_msg=name)
