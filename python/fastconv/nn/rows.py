"""How the layers of a :class:`Sequential` are cut into chains that run as one."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from operator import is_
from typing import TYPE_CHECKING, Any, NamedTuple

from ..autograd import TensorBase
from ..changes import changes
from ..functional._conv_norm import conv_norm, fit
from ..grad_mode import mode
from .activation import ReLU, ReLU6
from .chain import Chain
from .conv import Conv1d, Conv2d, Conv3d
from .module import Module
from .norm import BatchNorm1d, BatchNorm2d, BatchNorm3d
from .pooling import MaxPool1d, MaxPool2d, MaxPool3d
from .steps import Step, step_of
from .steps import forget as forget_step

if TYPE_CHECKING:
    from .container import Sequential

__all__ = ["Row", "forget", "rows_of"]

_CLAMPS: dict[type, str] = {ReLU: "relu", ReLU6: "relu6"}
_CONVS: dict[type, type] = {Conv1d: BatchNorm1d, Conv2d: BatchNorm2d, Conv3d: BatchNorm3d}
_POOLS = (MaxPool1d, MaxPool2d, MaxPool3d)
#: The activations that layers take along on the tape; what these layers give is a new array.
_TAKES: dict[type, tuple[str, ...]] = {
    **dict.fromkeys((BatchNorm1d, BatchNorm2d, BatchNorm3d), ("relu", "relu6")),
    **dict.fromkeys((Conv1d, Conv2d, Conv3d), ("relu",)),
}
_Layers = list[tuple[Any, "Step | None"]]


class Row(NamedTuple):
    """Layers in a row, and the chain that does what they do.

    `waits`: another layer comes next, which what is to be done may join.
    """

    chain: Chain
    layers: list[Any]
    waits: bool = False

    def __call__(self, input: Any) -> Any:
        result = self.chain(input, self.waits)
        if result is None:
            for layer in self.layers:
                input = layer(input)
            return input
        return result


class Pair(NamedTuple):
    """A layer in training mode and the activation behind it, as one step of the tape."""

    layer: Any
    activation: str

    def __call__(self, input: Any) -> Any:
        return self.layer.with_activation(input, self.activation)


class Trio:
    """A convolution in training mode, the batch norm behind it and perhaps an activation, as one
    step of the tape."""

    __slots__ = ("activation", "conv", "fitted", "norm")

    def __init__(self, conv: Any, norm: Any, activation: str | None = None) -> None:
        self.conv, self.norm, self.activation = conv, norm, activation
        self.fitted: tuple[Any, ...] = ()  # the layers' arrays when they were last looked at

    def __call__(self, input: Any) -> Any:
        conv, norm = self.conv, self.norm
        own, after, running = conv._parameters, norm._parameters, norm._buffers
        mean = running["running_mean"] if norm.track_running_stats else None
        var = running["running_var"] if norm.track_running_stats else None
        tensors = (own["weight"], own["bias"], after["weight"], after["bias"], mean, var)
        arrays = tuple([None if t is None else t._array for t in tensors])
        x = input._array if isinstance(input, TensorBase) else None
        if (
            x is not None
            and mode.recording
            and x.flags.c_contiguous
            and x.shape[0] > 1
            and x.size
            and self._fits(x, arrays)
            and (input._requires_grad or any(t is not None and t._requires_grad for t in tensors))
        ):
            return conv_norm(
                conv.rank,
                (input, *tensors[:4]),
                (mean, var),
                arrays,
                (conv.stride, conv.padding, conv.dilation, conv.groups),
                norm.moved_by,
                norm.eps,
                self.activation,
            )
        middle = conv(input)
        if self.activation is None:
            return norm(middle)
        return norm.with_activation(middle, self.activation)

    def _fits(self, x: Any, arrays: tuple[Any, ...]) -> bool:
        """Whether the layers and the input fit each other."""
        conv, known = self.conv, self.fitted
        if known and all(map(is_, known, arrays)):
            return x.dtype is arrays[0].dtype and x.ndim == conv.rank + 2
        if conv.padding_mode != "zeros" or not fit(conv.rank, x, arrays):
            return False
        self.fitted = arrays
        return True


#: Beside the modules, not in them, so that copies and pickles know nothing of it: by their ids, a
#: reference, the stamp, the layers with their steps, the rows.
_rows: dict[int, tuple[weakref.ref[Any], int, _Layers, list[Any]]] = {}


def rows_of(sequence: Sequential) -> list[Any]:
    """What to call one after the other instead of the layers: rows, and layers that fit in none."""
    found = _rows.get(id(sequence))
    stamp = changes.stamp
    if found is not None and found[1] == stamp:
        return found[3]
    layers = [(layer, step_of(layer)) for layer in _flat(sequence)]
    rows = found[3] if found is not None and found[2] == layers else [*_cut(layers)]
    _rows[id(sequence)] = _watched(sequence, _rows), stamp, layers, rows
    return rows


#: The same way: a reference, the stamp of their structure, and what to call in training mode.
_pairs: dict[int, tuple[weakref.ref[Any], int, list[Any]]] = {}


def _watched(sequence: Sequential, kept: dict[int, Any]) -> weakref.ref[Any]:
    """A reference that takes what is kept for `sequence` along when that goes."""
    number = id(sequence)
    return weakref.ref(sequence, lambda _: kept.pop(number, None))


def pairs_of(sequence: Sequential) -> list[Any]:
    """What to call one after the other in training mode: the layers, but convolutions together
    with the batch norm behind them, both with the ReLU that follows, and max pools before a ReLU,
    which then has less to do: the largest of rectified values is the rectified largest, gradients
    too."""
    found = _pairs.get(id(sequence))
    structure = changes.structure
    if found is not None and found[1] == structure:
        return found[2]
    steps: list[Any] = []
    for layer in _pooled_first([*_flat(sequence, True)]):
        name, before = _CLAMPS.get(type(layer)), steps[-1] if steps else None
        if type(layer) is _CONVS.get(type(before)) and _trains(before) and _trains(layer):
            steps[-1] = Trio(before, layer)
        elif name is not None and type(before) is Trio and before.activation is None:
            if _plain(layer):
                before.activation = name
            else:
                steps.append(layer)
        elif name in _TAKES.get(type(before), ()) and _plain(layer) and _trains(before):
            steps[-1] = Pair(before, name)
        else:
            steps.append(layer)
    _pairs[id(sequence)] = _watched(sequence, _pairs), structure, steps
    return steps


def _pooled_first(layers: list[Any]) -> list[Any]:
    """The layers, every max pool before the ReLU that it follows, where nobody can tell."""
    for i in range(1, len(layers)):
        act, pool = layers[i - 1 : i + 1]
        if type(act) not in _CLAMPS or type(pool) not in _POOLS:
            continue
        # What works in place may only do so on an array that is nobody else's.
        fresh = not act.inplace or (i > 1 and type(layers[i - 2]) in _TAKES)
        # With holes a window may meet no element at all, and then it matters.
        whole = not pool.return_indices and pool.dilation in (1, (1,) * pool.rank)
        if fresh and whole and _plain(act) and _plain(pool):
            layers[i - 1 : i + 1] = pool, act
    return layers


def _trains(layer: Any) -> bool:
    return bool(layer.training) and _plain(layer)


def _plain(layer: Any) -> bool:
    """Whether nobody listens to the calls of a layer or does them in another way."""
    return not layer._hooks.any and "forward" not in layer.__dict__


def forget(sequence: Any) -> None:
    """Drop what was prepared for `sequence` and the layers in it."""
    found = _rows.pop(id(sequence), None)
    for layer, _ in () if found is None else found[2]:
        forget_step(layer)


def _flat(sequence: Sequential, training: bool = False) -> Iterator[Any]:
    """The layers, also those within further sequences that do nothing of their own and are in the
    same mode."""
    from .container import Sequential

    plain = Sequential.forward
    for child in sequence._modules.values():
        if (
            isinstance(child, Module)
            and type(child).forward is plain
            and type(child).__call__ is Module.__call__
            and child.training is training
            and _plain(child)
        ):
            yield from _flat(child, training)  # type: ignore[arg-type]
        else:
            yield child


def _cut(layers: _Layers) -> Iterator[Any]:
    row: _Layers = []
    for layer, step in layers:
        # What writes into its input must not stand before the first step that makes a new array.
        if step is not None and not (step.inplace and not _computes(row)):
            row.append((layer, step))
            continue
        yield from _closed(row, True)
        row = []
        yield layer
    yield from _closed(row, False)


def _computes(row: _Layers) -> bool:
    return any(step is not None and step.kind not in ("none", "flatten") for _, step in row)


def _closed(row: _Layers, waits: bool) -> list[Any]:
    layers = [layer for layer, _ in row]
    if not _computes(row):
        return layers
    return [Row(Chain([step for _, step in row if step is not None]), layers, waits)]
