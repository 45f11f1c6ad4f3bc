"""What code that asks for a GPU finds: there is none."""

from __future__ import annotations

from typing import Any

from . import amp as amp

__all__ = ["amp", "device_count", "empty_cache", "is_available", "manual_seed"]
__all__ += ["manual_seed_all", "synchronize"]


def is_available() -> bool:
    """False."""
    return False


def device_count() -> int:
    """0."""
    return 0


def manual_seed(seed: int) -> None:
    """Nothing to seed."""


manual_seed_all = manual_seed


def empty_cache() -> None:
    """Nothing to give back."""


def synchronize(device: Any = None) -> None:
    """Nothing to wait for."""
