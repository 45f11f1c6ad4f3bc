"""What a layer does in evaluation mode, as a step of a compiled program.

A step is a snapshot: the numbers and arrays that the layer had when it was taken. It holds good as
long as the layer looks the same, and what was prepared from it is kept with it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from .. import _core
from .._types import Array
from ..changes import changes
from .utils.fusion import fold_batch_norm

__all__ = ["ACTIVATIONS", "Step", "forget", "recipe", "snapshot", "step_of"]


class Step:
    """One layer as it is.

    Attributes
    ----------
    kind : str
        ``"conv"``, ``"linear"``, ``"norm"``, ``"unary"``, ``"max_pool"``, ``"avg_pool"``,
        ``"adaptive_avg_pool"``, ``"flatten"`` or ``"none"``.
    args : tuple
        Plain values: what else the layer says of itself.
    tensors : tuple of tensors or None
        Parameters and buffers; their arrays at the time are `arrays`.
    fused : str, optional
        Of an activation: its name where a convolution can apply it.
    inplace : bool
        Whether the layer writes into its input.
    """

    __slots__ = ("__weakref__", "alone", "args", "arrays", "fused", "inplace", "key", "kind",
                 "plans", "tensors")  # fmt: skip

    def __init__(
        self,
        kind: str,
        args: tuple[Any, ...],
        tensors: tuple[Any, ...] = (),
        fused: str | None = None,
        inplace: bool = False,
    ) -> None:
        self.kind, self.args, self.tensors = kind, args, tensors
        self.fused, self.inplace = fused, inplace
        self.arrays: tuple[Any, ...] = tuple(None if t is None else t._array for t in tensors)
        self.plans: dict[Any, Any] = {}
        self.alone: Any = None  # the chain of this step alone, once there is one
        states: list[Any] = []
        for tensor in tensors:
            if tensor is None:
                states.append(None)
            else:
                memory = tensor._shared_memory()
                memory.watched = True
                states.append((id(tensor), memory.version, memory.exposed))
        self.key = (kind, args, tuple(states), inplace)

    def usable(self, dtype: Any) -> bool:
        """Whether all arrays are dense and of this type."""
        return all(a is None or (a.dtype == dtype and a.flags.c_contiguous) for a in self.arrays)

    def plan(self, norm: Step | None, activation: str | None) -> Any:
        """Of a convolution or linear layer: the plan with a batch norm and an activation in it."""
        plan = self.plans.get((norm, activation))
        if plan is None:
            weight, bias = self.arrays
            if norm is not None:
                weight, bias = fold_batch_norm(weight, bias, norm.arrays, norm.args[0])
            if self.kind == "linear":  # a window of one element over (N, C, 1)
                geometry: tuple[Any, ...] = (1, 1, 0, 1, 1)
                weight = weight[:, :, None]
            else:
                geometry = self.args
            rank, stride, padding, dilation, groups = geometry
            plan = _core.Plan(
                rank, weight, bias, stride, padding, dilation, groups, activation, None, "auto"
            )
            self.plans[norm, activation] = plan
        return plan

    def outline(self) -> tuple[Any, ...]:
        """Of a convolution: its shapes alone, as a step of a program."""
        rank, *geometry = self.args
        return ("outline", rank, self.arrays[0].shape, *geometry)

    def takes_norm(self, norm: Step) -> bool:
        """Of a convolution or linear layer: whether the next step is a batch norm that can be
        folded into it."""
        if norm.kind != "norm":
            return False
        axes = norm.args[2]
        own = 2 if self.kind == "linear" else self.args[0] + 2
        return norm.args[1] == len(self.arrays[0]) and (not axes or own in axes)

    def scale_and_shift(self) -> tuple[Array, Array]:
        """Of a batch norm: what each channel is multiplied by, and what is added, in float64."""
        weight, bias, mean, var = (None if a is None else a.astype(np.float64) for a in self.arrays)
        assert mean is not None
        assert var is not None
        scale = 1 / np.sqrt(var + self.args[0])
        if weight is not None:
            scale = scale * weight
        shift = -mean * scale
        return scale, shift if bias is None else shift + bias


#: The activations that a convolution can apply, by their names.
ACTIVATIONS: dict[str, Step] = {
    "relu": Step("unary", ("relu", 0.0, 0.0), (), "relu"),
    "relu6": Step("unary", ("hardtanh", 0.0, 6.0), (), "relu6"),
    "silu": Step("unary", ("silu", 0.0, 0.0), (), "silu"),
    "hardswish": Step("unary", ("hardswish", 0.0, 0.0), (), "hardswish"),
    "leaky_relu": Step("unary", ("leaky_relu", 0.01, 0.0), (), "leaky_relu"),
    "gelu": Step("unary", ("gelu", 0.0, 0.0), (), "gelu"),
}

#: By layer type (exactly that type): what makes its step, or None where it is in no state for one.
_recipes: dict[type, Callable[[Any], Step | None]] = {}


def recipe(*types: type) -> Callable[[Callable[[Any], Step | None]], Any]:
    """Say how layers of these types become steps."""

    def register(make: Callable[[Any], Step | None]) -> Any:
        for kind in types:
            _recipes[kind] = make
        return make

    return register


#: Beside the layers, not in them, so that copies and pickles of a layer know nothing of it.
_steps: WeakKeyDictionary[Any, tuple[int, Step | None]] = WeakKeyDictionary()


def snapshot(layer: Any, make: Callable[[Any], Step | None]) -> Step | None:
    """What `make` gives for a layer as it is now; the same step as long as nothing changes."""
    found = _steps.get(layer)
    stamp = changes.stamp
    if found is not None and found[0] == stamp:
        return found[1]
    step = make(layer)
    before = None if found is None else found[1]
    if before is not None and step is not None and before.key == step.key:
        step = before
    _steps[layer] = stamp, step
    return step


def step_of(layer: Any) -> Step | None:
    """The step that stands for calling `layer`, or None where nothing does: other types of layers,
    training mode, hooks, a ``forward`` of one's own."""
    make = _recipes.get(type(layer))
    if make is None or layer.training or layer._hooks.any or "forward" in layer.__dict__:
        return None
    return snapshot(layer, make)


def forget(layer: Any) -> None:
    """Drop what was prepared for `layer`."""
    _steps.pop(layer, None)
