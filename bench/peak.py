"""What this machine's one core can do: its FMA peak and the speed of its memory.

Run ``python bench/peak.py`` for a summary.  The peak comes from fastconv's own calibration kernel,
its register tile on operands in the first-level cache; without it, from NumPy's matrix product.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable

import numpy as np

import peers


def peak_flops(dtype: str = "float32") -> float:
    """Floating-point operations per second of one core at its best."""
    try:
        from fastconv import _core
    except ImportError:
        _core = None
    if hasattr(_core, "peak_flops"):
        return _core.peak_flops(np.dtype(dtype).itemsize)
    peers.available(["numpy"], threads=1)
    size = 512
    a, b = np.ones((size, size), dtype), np.ones((size, size), dtype)
    out = np.empty_like(a)
    return 2 * size**3 / _fastest(lambda: np.matmul(a, b, out=out), 30)


def copy_speed(size: int) -> float:
    """Bytes per second, read and written both counted, of copying ``size`` bytes to warm memory."""
    source, target = np.zeros(size, np.uint8), np.zeros(size, np.uint8)
    repeats = max(1, 2**24 // size)

    def run() -> None:
        for _ in range(repeats):
            np.copyto(target, source)

    return 2 * size * repeats / _fastest(run, 10)


def fresh_page_seconds(size: int = 2**26) -> float:
    """Seconds that the first touch of a 4 KiB page costs beyond a later one."""

    def touch() -> None:
        np.empty(size, np.uint8).fill(1)

    warm = np.ones(size, np.uint8)
    return (_fastest(touch, 5) - _fastest(lambda: warm.fill(1), 5)) / (size / 4096)


def processor() -> str:
    """The name of the processor as the system tells it."""
    try:
        with open("/proc/cpuinfo") as lines:
            names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()


def _fastest(call: Callable[[], object], rounds: int) -> float:
    best = float("inf")
    for _ in range(rounds):
        start = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - start)
    return best


def main() -> None:
    print(processor())
    for dtype in ("float32", "float64"):
        print(f"FMA peak of one core, {dtype}: {peak_flops(dtype) / 1e9:.0f} GFLOP/s")
    for size in (2**14, 2**18, 2**20, 2**22, 2**26):
        print(f"copy of {size >> 10} KiB: {copy_speed(size) / 1e9:.1f} GB/s (read and written)")
    print(f"a fresh page of 4 KiB: {fresh_page_seconds() * 1e6:.2f} microseconds")


if __name__ == "__main__":
    main()
