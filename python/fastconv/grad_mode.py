"""When the tape records, and when gradients are looked through for NaN."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar

__all__ = [
    "enable_grad",
    "inference_mode",
    "is_grad_enabled",
    "no_grad",
    "set_grad_enabled",
]

F = TypeVar("F", bound=Callable[..., Any])


class _Mode(threading.local):
    recording = True
    finding_nan = False


#: Per thread: whether operators on tensors are recorded, and gradients watched.
mode = _Mode()


def is_grad_enabled() -> bool:
    """Whether operators on tensors are recorded in this thread."""
    return mode.recording


class set_grad_enabled:
    """Switch recording on or off: at once, for a ``with`` block, or for a decorated function."""

    def __init__(self, enabled: bool) -> None:
        self.mode = bool(enabled)
        self.before = mode.recording
        mode.recording = self.mode

    def __enter__(self) -> None:
        mode.recording = self.mode

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        mode.recording = self.before


class _Recording:
    """A context and decorator that sets recording to `mode`; it may be entered again."""

    mode = False

    def __init__(self) -> None:
        self.before: list[bool] = []

    def __enter__(self) -> None:
        self.before.append(mode.recording)
        mode.recording = self.mode

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        mode.recording = self.before.pop()

    def __call__(self, function: F) -> F:
        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            with type(self)():
                return function(*args, **kwargs)

        return run  # type: ignore[return-value]

    def __new__(cls, *args: Any) -> Any:
        self = super().__new__(cls)
        if args and callable(args[0]):  # used as @no_grad, without the brackets
            self.before = []
            return self(args[0])
        return self


class no_grad(_Recording):
    """Within this block (or decorated function) nothing is recorded."""


class enable_grad(_Recording):
    """Within this block recording is on, also inside :class:`no_grad`."""

    mode = True


class inference_mode(_Recording):
    """As :class:`no_grad`; ``inference_mode(False)`` changes nothing."""

    def __init__(self, mode: bool = True) -> None:
        super().__init__()
        self.off = mode

    def __enter__(self) -> None:
        super().__enter__()
        if not self.off:
            mode.recording = self.before[-1]

    def __call__(self, function: F) -> F:
        return no_grad()(function) if self.off else function


class set_detect_anomaly:
    """Whether a step back that gives NaN raises RuntimeError: at once, or for a ``with`` block."""

    def __init__(self, enabled: bool, check_nan: bool = True) -> None:
        self.before = mode.finding_nan
        mode.finding_nan = bool(enabled and check_nan)

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        mode.finding_nan = self.before


class detect_anomaly(set_detect_anomaly):
    """Within this block a step back that gives NaN raises RuntimeError."""

    def __init__(self, check_nan: bool = True) -> None:
        super().__init__(True, check_nan)
