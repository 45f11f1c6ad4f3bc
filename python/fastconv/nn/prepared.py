"""The plans that convolution layers hold in evaluation mode."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from .. import _core
from .._types import Array
from ..autograd import raw
from ..deferred import Deferred, Job, calls, output_shape
from ..tensor import Tensor
from .utils.fusion import fold_batch_norm

if TYPE_CHECKING:
    from .conv import _Plain

__all__ = ["Prepared", "convolve"]


class Prepared:
    """What one layer has prepared: plans by what is fused in, output shapes by input shape."""

    __slots__ = ("plans", "shapes")

    def __init__(self) -> None:
        self.plans: dict[tuple[int, str | None], tuple[Any, tuple[Any, ...], Any]] = {}
        self.shapes: dict[tuple[Any, ...], tuple[int, ...]] = {}


#: Beside the layers, not in them, so that copies and pickles of a layer know nothing of it.
_prepared: WeakKeyDictionary[Any, Prepared] = WeakKeyDictionary()

_MOST_SHAPES = 64


def _of(layer: _Plain) -> Prepared:
    found = _prepared.get(layer)
    if found is None:
        found = _prepared[layer] = Prepared()
    return found


def forget(layer: _Plain) -> None:
    """Drop what `layer` has prepared."""
    _prepared.pop(layer, None)


def _geometry(layer: _Plain) -> tuple[Any, Any, Any, int]:
    return layer.stride, layer.padding, layer.dilation, layer.groups


def _state(layer: _Plain, norm: Any) -> Iterator[Any]:
    """What a plan depends on: it is made anew when one of these differs."""
    yield _geometry(layer)
    tensors = [layer.weight, layer.bias]
    if norm is not None:
        yield norm.eps
        tensors += [norm.weight, norm.bias, norm.running_mean, norm.running_var]
    for tensor in tensors:
        if tensor is None:
            yield None
        else:
            memory = tensor._shared_memory()
            yield memory.version, memory.exposed


def _plan(layer: _Plain, norm: Any, activation: str | None) -> Any:
    """The plan of `layer` with `norm` and `activation` fused in."""
    plans, key, state = _of(layer).plans, (id(norm), activation), tuple(_state(layer, norm))
    found = plans.get(key)
    if found is not None and found[1] == state:
        return found[0]
    weight, bias = layer.weight._array, raw(layer.bias)
    if norm is not None:
        weight, bias = fold_batch_norm(weight, bias, norm)
    plan = _core.Plan(layer.rank, weight, bias, *_geometry(layer), activation, None, "auto")
    plans[key] = plan, state, norm  # the norm is kept so that its id stays its own
    return plan


def _shape(layer: _Plain, x: Array) -> tuple[int, ...]:
    shapes = _of(layer).shapes
    key = (x.shape, layer.weight._array.shape, _geometry(layer))
    shape = shapes.get(key)
    if shape is None:
        if len(shapes) >= _MOST_SHAPES:
            shapes.clear()
        shape = shapes[key] = output_shape(layer.rank, x, layer.weight._array, _geometry(layer))
    return shape


def convolve(layer: _Plain, input: Any) -> Any:
    """The convolution of a layer in evaluation mode, outside the tape, by its plan."""
    x = raw(input)
    shape = _shape(layer, x)  # refuses what does not fit
    if calls.depth < 2 or not isinstance(input, Tensor):
        return Tensor(_plan(layer, None, None)(x))
    job = Job(partial(_plan, layer), input, shape, layer.out_channels)
    return Deferred(job)
