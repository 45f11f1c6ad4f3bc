"""What runs and on what: threads, memory, instruction set, build."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, overload

from fastconv import _core

__all__ = [
    "build_info",
    "empty_cache",
    "get_accuracy",
    "get_num_threads",
    "get_workspace_limit",
    "memory_stats",
    "set_accuracy",
    "set_cache_limit",
    "set_num_threads",
    "set_workspace_limit",
    "show_config",
    "threads",
]


def set_num_threads(n: int) -> None:
    """Let every later call use at most `n` threads.

    The default is ``FASTCONV_NUM_THREADS``, else ``OMP_NUM_THREADS``, else the processors that this
    process may run on, less what a cgroup's CPU quota takes away. Small problems use fewer. Results
    do not depend on the number of threads, bit for bit.

    Raises
    ------
    ValueError
        If `n` is not between 1 and 1024.
    """
    _core.set_num_threads(n)


def get_num_threads() -> int:
    """Return how many threads a call may use."""
    return _core.get_num_threads()


@contextmanager
def threads(n: int) -> Iterator[None]:
    """Use at most `n` threads inside a ``with`` block (in the whole process, as the setting is)."""
    before = get_num_threads()
    set_num_threads(n)
    try:
        yield
    finally:
        set_num_threads(before)


def set_workspace_limit(nbytes: int) -> None:
    """Bound the scratch memory of one call (256 MiB at first).

    ``algorithm="auto"`` chooses among the algorithms that keep to it; the first row of the
    registry, which needs least, is always allowed.
    """
    _core.set_workspace_limit(nbytes)


def get_workspace_limit() -> int:
    """Return the bound on the scratch memory of one call, in bytes."""
    return _core.get_workspace_limit()


def set_accuracy(level: Literal["default", "high"]) -> None:
    """Say which algorithms ``algorithm="auto"`` may choose, in the whole process.

    Parameters
    ----------
    level : {"default", "high"}
        ``"default"`` admits Winograd's F(4x4, 3x3) in float32, which errs several times more than
        plain sums: about 1e-6 of the largest output. ``"high"`` keeps to algorithms that err no
        more than plain sums do. It holds for the gradients and for plans too, from the next call
        on. An algorithm asked for by name is not affected.

    Raises
    ------
    TypeError
        If `level` is not a string.
    ValueError
        If `level` is neither of the two.
    """
    _core.set_accuracy(level)


def get_accuracy() -> Literal["default", "high"]:
    """Return what :func:`set_accuracy` was last given, at first ``"default"``."""
    return _core.get_accuracy()


def memory_stats() -> dict[str, int]:
    """Return the state of the recycled memory behind scratch and large results.

    Returns
    -------
    dict
        ``in_use`` and ``cached`` (bytes), ``limit`` (most bytes kept for reuse), ``reused`` and
        ``fresh`` (acquisitions served from the cache, and from the system).
    """
    return _core.memory_stats()


def empty_cache() -> None:
    """Give the memory kept for reuse back to the system."""
    _core.empty_cache()


def set_cache_limit(nbytes: int) -> None:
    """Bound the memory kept for reuse (512 MiB at first); 0 keeps none."""
    _core.set_cache_limit(nbytes)


def build_info() -> dict[str, Any]:
    """Return how the compiled core was built and which instruction set it uses.

    Returns
    -------
    dict
        ``version``, ``isa`` (in use), ``available_isas`` (for ``FASTCONV_ISA``, best first),
        ``vector_bytes``, ``compiler``, ``flags``, ``openmp`` (``"none"``: threads are its own),
        ``l2_bytes``, ``num_threads``.
    """
    from fastconv._version import __version__

    return {"version": __version__, **_core.build_info(), "num_threads": get_num_threads()}


@overload
def show_config(mode: Literal["stdout"] = "stdout") -> None: ...
@overload
def show_config(mode: Literal["dicts"]) -> dict[str, Any]: ...
def show_config(mode: Literal["stdout", "dicts"] = "stdout") -> dict[str, Any] | None:
    """Print the configuration, or return it with ``mode="dicts"``, like ``numpy.show_config``."""
    import numpy as np

    if mode not in ("stdout", "dicts"):
        raise ValueError(f"show_config: mode must be 'stdout' or 'dicts', but got {mode!r}")
    config = build_info() | {"python": sys.version.split()[0], "numpy": np.__version__}
    if mode == "dicts":
        return config
    width = max(map(len, config))
    for key, value in config.items():
        text = ", ".join(value) if isinstance(value, list) else value
        print(f"{key:<{width}}  {text}")
    return None
