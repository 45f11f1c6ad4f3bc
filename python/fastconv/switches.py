"""Settings of PyTorch that have nothing to change here, so that scripts that make them run."""

from __future__ import annotations

from typing import Any

from .dtypes import as_dtype, device, set_default_dtype

__all__ = [
    "are_deterministic_algorithms_enabled",
    "compile",
    "get_default_device",
    "get_float32_matmul_precision",
    "set_default_device",
    "set_default_tensor_type",
    "set_float32_matmul_precision",
    "use_deterministic_algorithms",
]


def compile(model: Any = None, **kwargs: Any) -> Any:
    """`model` itself: eval mode and training make their programs by themselves.

    Parameters
    ----------
    model : Module or callable, optional
        Left out, the result is a decorator.
    **kwargs
        PyTorch's ``mode``, ``backend``, ``fullgraph``, ``dynamic`` and so on; not used.
    """
    return model if model is not None else lambda decorated: decorated


def set_float32_matmul_precision(precision: str) -> None:
    """Nothing to set: float32 is multiplied in float32. See :func:`set_accuracy`."""
    if precision not in ("highest", "high", "medium"):
        raise ValueError(
            "set_float32_matmul_precision: precision must be 'highest', 'high' or 'medium', "
            f"got {precision!r}"
        )


def get_float32_matmul_precision() -> str:
    """``"highest"``."""
    return "highest"


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Nothing to set: results are the same for any number of threads, to the last bit."""


def are_deterministic_algorithms_enabled() -> bool:
    """True."""
    return True


def set_default_device(name: Any) -> None:
    """Nothing to set for the CPU; RuntimeError for any other device."""
    device("cpu" if name is None else name)


def get_default_device() -> device:
    """The CPU."""
    return device("cpu")


def set_default_tensor_type(t: Any) -> None:
    """:func:`set_default_dtype` by the name of a tensor type, as old scripts have it."""
    set_default_dtype(as_dtype(t))


def _assert(condition: Any, message: str) -> None:
    """AssertionError with `message` where `condition` does not hold."""
    if not condition:
        raise AssertionError(message)
