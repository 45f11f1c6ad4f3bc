"""Which algorithm a convolution would use, and why."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastconv import _core, runtime

__all__ = ["explain"]


@functools.cache
def peak_flops(itemsize: int) -> float:
    """Measured floating-point operations a second of one core; itemsize 4 or 8 bytes."""
    return _core.peak_flops(itemsize)


def explain(
    x_shape: Sequence[int],
    w_shape: Sequence[int],
    stride: int | Sequence[int] = 1,
    padding: int | str | Sequence[int] | Sequence[tuple[int, int]] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    *,
    dtype: Any = np.float32,
    direction: str = "forward",
) -> str:
    """Say which algorithm ``auto`` chooses for a convolution, what the choice saw, and the limits.

    Parameters
    ----------
    x_shape, w_shape : shapes of input (N, C, spatial...) and weight (K, C/groups, spatial...)
    stride, padding, dilation, groups
        As in :func:`fastconv.conv2d`; the rank follows from `w_shape`.
    dtype : float32 or float64
    direction : "forward", "input" (input gradient) or "weight" (weight gradient)

    Returns
    -------
    str
        A small report: sizes, floating-point operations, bytes moved at least, arithmetic
        intensity, the least time at this machine's measured peak, and a line for each algorithm
        with the predicted share of that peak and the scratch it needs.

    Raises
    ------
    ValueError, TypeError
        As :func:`fastconv.conv2d` for the same geometry.
    """
    itemsize = np.dtype(dtype).itemsize
    if np.dtype(dtype) not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise TypeError(f"explain: dtype must be float32 or float64, but got {np.dtype(dtype)}")
    rank = len(w_shape) - 2
    if rank not in (1, 2, 3):
        raise ValueError(f"explain: w_shape must have 3, 4 or 5 axes, but got {tuple(w_shape)}")
    y_shape, flops, rows = _core.conv_rows(
        rank, direction, x_shape, w_shape, stride, padding, dilation, groups, itemsize
    )
    moved = itemsize * sum(int(np.prod(s, dtype=object)) for s in (x_shape, w_shape, y_shape))
    peak = peak_flops(itemsize)
    threads = runtime.get_num_threads()
    fitting = [row for row in rows if row[2]]
    allowed = [row for row in fitting if row[4] <= runtime.get_workspace_limit()] or fitting[:1]
    chosen = min(allowed, key=lambda row: row[3])
    # Costs are in cycles of two vector multiply-adds: lanes * 4 operations at best.
    lanes = _core.build_info()["vector_bytes"] / itemsize
    lines = [
        f"conv{rank}d {direction}: {tuple(x_shape)} * {tuple(w_shape)} -> {tuple(y_shape)}, "
        f"{np.dtype(dtype)}",
        f"  work       {flops / 1e9:.4g} GFLOP, at least {moved / 1e6:.4g} MB moved, "
        f"{flops / moved:.1f} FLOP a byte",
        f"  machine    {_core.build_info()['isa']}, {peak / 1e9:.0f} GFLOP/s a core measured, "
        f"{threads} thread(s)",
        f"  at peak    {flops / peak * 1e6:.1f} us on one core",
        "  algorithm      share of peak   scratch     ",
    ]
    for row in rows:
        name, summary, supported, cost, workspace = row
        if not supported:
            lines.append(f"    {name:<14} not for this problem")
            continue
        share = flops / (cost * lanes * 4) if cost else 0.0
        mark = "*" if row is chosen else " "
        lines.append(
            f"  {mark} {name:<14} {100 * share:>6.0f} % predicted  {workspace / 2**20:8.2f} MiB  "
            f"{summary}"
        )
    return "\n".join(lines)
