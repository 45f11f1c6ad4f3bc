"""Hooks: functions that a module calls before and after its own work."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..autograd import TensorBase, raw, record_many
from ..changes import changes
from ..tensor import Tensor

if TYPE_CHECKING:
    from .module import Module

__all__ = ["Hooks", "RemovableHandle"]


class RemovableHandle:
    """Takes a hook away again: call :meth:`remove`, or use it as a context."""

    def __init__(self, hooks: Hooks, kind: str, entry: Any) -> None:
        self.hooks, self.kind, self.entry = hooks, kind, entry

    def remove(self) -> None:
        """Stop calling the hook."""
        entries = getattr(self.hooks, self.kind)
        if self.entry in entries:
            entries.remove(self.entry)
        self.hooks.refresh()

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exception: object) -> None:
        self.remove()


class Hooks:
    """The hooks of one module: entries of (hook, whether it takes keyword arguments)."""

    def __init__(self) -> None:
        self.pre: list[tuple[Callable[..., Any], bool]] = []
        self.post: list[tuple[Callable[..., Any], bool]] = []
        self.backward: list[tuple[Callable[..., Any], bool]] = []
        self.any = False

    def add(
        self, kind: str, hook: Callable[..., Any], first: bool, with_kwargs: bool
    ) -> RemovableHandle:
        entries, entry = getattr(self, kind), (hook, with_kwargs)
        entries.insert(0 if first else len(entries), entry)
        self.refresh()
        return RemovableHandle(self, kind, entry)

    def refresh(self) -> None:
        self.any = bool(self.pre or self.post or self.backward)
        changes.note()

    def before_forward(
        self, module: Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        for hook, with_kwargs in tuple(self.pre):
            if with_kwargs:
                changed = hook(module, args, kwargs)
                if changed is not None:
                    args, kwargs = changed
            else:
                changed = hook(module, args)
                if changed is not None:
                    args = changed if isinstance(changed, tuple) else (changed,)
        return args, kwargs

    def after_forward(
        self, module: Module, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any
    ) -> Any:
        for hook, with_kwargs in tuple(self.post):
            changed = (
                hook(module, args, kwargs, result) if with_kwargs else hook(module, args, result)
            )
            result = result if changed is None else changed
        return result


def _step(name: str, tensors: list[Any], rule: Callable[..., Any]) -> tuple[Any, ...]:
    """The same values behind a step of the tape that calls `rule` with all their gradients."""

    def backward(*grads: Any) -> Any:
        given = tuple(None if g is None else Tensor(g) for g in grads)
        changed = rule(*given)
        return grads if changed is None else tuple(raw(g) for g in changed)

    return record_many(name, [t._array for t in tensors], tensors, backward)


def with_backward_hooks(
    module: Module, hooks: Hooks, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Run the module between two steps of the tape that see the gradients going out and in."""
    seen: dict[str, tuple[Any, ...]] = {}

    def on_input(*grads: Any) -> Any:
        given = tuple(grads)
        for hook, _ in tuple(hooks.backward):
            changed = hook(module, given, seen.get("output", ()))
            if changed is not None:
                given = changed if isinstance(changed, tuple) else (changed,)
        return given

    def on_output(*grads: Any) -> None:
        seen["output"] = grads
        if not places:  # nothing will come out of the inputs
            on_input(*(None for a in args if isinstance(a, TensorBase)))

    places = [i for i, a in enumerate(args) if isinstance(a, TensorBase) and a._requires_grad]
    passed = list(args)
    if places:
        for i, tensor in zip(
            places, _step("HookInput", [args[i] for i in places], on_input), strict=True
        ):
            passed[i] = tensor
    result = module.forward(*passed, **kwargs)
    outputs = list(result) if isinstance(result, (tuple, list)) else [result]
    where = [i for i, o in enumerate(outputs) if isinstance(o, TensorBase) and o._requires_grad]
    if where:
        for i, tensor in zip(
            where, _step("HookOutput", [outputs[i] for i in where], on_output), strict=True
        ):
            outputs[i] = tensor
    if not isinstance(result, (tuple, list)):
        return outputs[0]
    if hasattr(result, "_fields"):  # a named tuple
        return type(result)(*outputs)
    return type(result)(outputs)
