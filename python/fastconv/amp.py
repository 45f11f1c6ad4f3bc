"""``torch.amp``: scripts for mixed precision run unchanged, in the precision of their tensors."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

__all__ = ["GradScaler", "autocast"]


class autocast:
    """A ``with`` block, or a decorator, in which nothing is cast.

    PyTorch would compute parts of the network in half precision here. On a CPU that is no faster
    for fastconv's kernels, so every operator keeps the type of its tensors: results are at least as
    exact. All arguments of PyTorch's are taken.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __enter__(self) -> autocast:
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

        return call


class GradScaler:
    """Scales losses by 1: float32 gradients do not vanish as half precision's do."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def is_enabled(self) -> bool:
        """False."""
        return False

    def get_scale(self) -> float:
        """1."""
        return 1.0

    def scale(self, outputs: Any) -> Any:
        """`outputs` themselves."""
        return outputs

    def unscale_(self, optimizer: Any) -> None:
        """Nothing to undo."""

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """``optimizer.step()``."""
        return optimizer.step(*args, **kwargs)

    def update(self, new_scale: Any = None) -> None:
        """Nothing to adapt."""

    def state_dict(self) -> dict[str, Any]:
        """Empty."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Nothing to take over."""
