"""``torch.backends.mps``: there is only the CPU."""

from __future__ import annotations

__all__ = ["is_available", "is_built"]


def is_available() -> bool:
    """False."""
    return False


is_built = is_available
