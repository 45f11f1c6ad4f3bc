"""``torch.jit`` as model files use it: nothing is compiled, functions stay as they are."""

from __future__ import annotations

from typing import Any, TypeVar

__all__ = ["annotate", "export", "ignore", "is_scripting", "is_tracing", "script", "unused"]

T = TypeVar("T")


def is_scripting() -> bool:
    """False."""
    return False


def is_tracing() -> bool:
    """False."""
    return False


def script(obj: T, *args: Any, **kwargs: Any) -> T:
    """`obj` itself."""
    return obj


def export(fn: T) -> T:
    """`fn` itself."""
    return fn


script_method = script_if_tracing = _script_if_tracing = _overload_method = export


def ignore(fn: Any = None, **kwargs: Any) -> Any:
    """`fn` itself, or called without one a decorator that gives it back."""
    return export if fn is None else fn


unused = ignore


def annotate(the_type: Any, the_value: T) -> T:
    """`the_value` itself."""
    return the_value


class Final:
    """For annotations alone."""

    def __class_getitem__(cls, item: Any) -> Any:
        return item
