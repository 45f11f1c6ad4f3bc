"""``torch.backends.cudnn``: the switches can be set, and change nothing."""

from __future__ import annotations

__all__ = ["benchmark", "deterministic", "enabled", "is_available"]

benchmark = False
deterministic = True  # results here are the same for any number of threads
enabled = False


def is_available() -> bool:
    """False."""
    return False
