"""A progress bar, with tqdm."""

from __future__ import annotations

from typing import Any

from .errors import need

__all__ = ["bar"]


def bar(total: int, what: str, unit: str = "batch", **options: Any) -> Any:
    """A tqdm bar on the error stream; silent where that is no terminal."""
    return need("tqdm").tqdm(
        total=total, desc=what, unit=unit, leave=False, dynamic_ncols=True, disable=None, **options
    )
