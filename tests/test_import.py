"""Importing is quick, small and leaves the process as it was."""

from __future__ import annotations

from pathlib import Path

from checks import PACKAGE, python


def test_import_takes_at_most_30_ms_above_numpy(tmp_path: Path) -> None:
    """Of the importing thread's processor time, from byte code as installed, the best of several:
    NumPy's BLAS has threads of its own that still spin by then.  NumPy's own import (55 ms or so)
    is the clock where the machine is slow or busy."""
    cached = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(tmp_path)}
    code = (
        "from time import thread_time as t; a = t(); import numpy; b = t(); import fastconv; "
        "print(b - a, t() - b)"
    )
    runs = [tuple(map(float, python("-c", code, **cached).stdout.split())) for _ in range(8)]
    numpy, fastconv = (min(times) for times in zip(*runs, strict=True))
    assert fastconv <= max(0.030, numpy / 2)


def test_import_brings_in_numpy_alone() -> None:
    code = (
        "import sys, numpy; before = set(sys.modules); import fastconv; "
        "print(*{m.split('.')[0] for m in set(sys.modules) - before})"
    )
    new = set(python("-c", code).stdout.split())
    heavy = {"scipy", "torch", "PIL", "matplotlib", "tqdm", "safetensors", "ml_dtypes", "onnx"}
    assert not new & heavy


def test_the_installed_package_is_at_most_5_mb() -> None:
    files = [f for f in PACKAGE.rglob("*") if f.is_file() and "__pycache__" not in f.parts]
    # Built in place, the module is not linked as a whole, which makes it 1 % larger.
    in_place = PACKAGE.parent.name == "python" and (PACKAGE.parents[1] / "pyproject.toml").exists()
    assert sum(f.stat().st_size for f in files) <= (5_050_000 if in_place else 5_000_000)


def test_subnormals_survive_the_import_and_a_call() -> None:
    code = """
import numpy as np
def alive():
    return 5e-324 * 1.0 > 0 and np.float32(1e-40) * np.float32(1) > 0
assert alive()
import fastconv
assert alive()
x = np.full((4, 16, 40, 40), 1e-40, np.float32)
y = fastconv.conv2d(x, np.ones((16, 16, 1, 1), np.float32))
assert (y > 0).all(), "subnormals were flushed inside the kernel"
assert alive()
"""
    python("-W", "error", "-c", code)


def test_a_missing_extension_says_what_to_do() -> None:
    """A source tree that was never compiled gives a hint, not just a failed import."""
    code = """
import sys
sys.modules["fastconv._core"] = None  # as if it were not there
try:
    import fastconv
except ImportError as error:
    assert "install" in str(error) or "compile" in str(error) or "build" in str(error), error
else:
    raise AssertionError("imported without its extension")
"""
    python("-c", code)
