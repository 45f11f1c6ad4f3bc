"""Layers that learn from their first input how many channels come in."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

from ..autograd import no_grad, raw
from .conv import Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from .linear import Linear
from .module import Module
from .norm import (
    BatchNorm1d,
    BatchNorm2d,
    BatchNorm3d,
    InstanceNorm1d,
    InstanceNorm2d,
    InstanceNorm3d,
)
from .parameter import Parameter

__all__ = [
    "LazyBatchNorm1d",
    "LazyBatchNorm2d",
    "LazyBatchNorm3d",
    "LazyConv1d",
    "LazyConv2d",
    "LazyConv3d",
    "LazyConvTranspose1d",
    "LazyConvTranspose2d",
    "LazyConvTranspose3d",
    "LazyInstanceNorm1d",
    "LazyInstanceNorm2d",
    "LazyInstanceNorm3d",
    "LazyLinear",
    "UninitializedParameter",
]


class UninitializedParameter(Parameter):
    """A parameter without a shape yet; the same object is a :class:`Parameter` once it has one."""

    def materialize(self, shape: Any) -> None:
        """Take a shape; the values are zeros until they are set."""
        self.data = np.zeros(shape, self._array.dtype)
        self.__class__ = Parameter  # type: ignore[assignment]

    def __repr__(self) -> str:
        return "<UninitializedParameter>"


class _Lazy(Module):
    """A layer of `kind`, which it becomes at its first input or when it loads a state.

    It takes the arguments of `kind` but the first. Its parameters are objects from the start, so
    that an optimiser may hold them; initial values are drawn when the shape is known.
    """

    kind: Any
    count: str  # the name of the argument left out

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        given = inspect.signature(self.kind.__init__).bind(self, 1, *args, **kwargs)
        given.apply_defaults()
        groups = given.arguments.get("groups", 1)
        super().__init__(groups, *args, **kwargs)  # type: ignore[call-arg]  # checks the others
        self._late = (args, kwargs)
        setattr(self, self.count, 0)
        for name, parameter in self._parameters.items():
            if parameter is not None:
                blank = np.empty(0, parameter._array.dtype)
                self._parameters[name] = UninitializedParameter(blank)

    def has_uninitialized_params(self) -> bool:
        """Whether the layer still waits for its first input."""
        return True

    def __call__(self, input: Any, *args: Any, **kwargs: Any) -> Any:
        shape = raw(input).shape
        rank = getattr(self, "rank", None)
        place = -1 if self.count == "in_features" else 1 if rank is None else -1 - rank
        self._settle(shape[place])
        return self(input, *args, **kwargs)

    def _load_from_state_dict(self, state: Any, prefix: str, *rest: Any) -> None:
        kept = state.get(f"{prefix}weight", state.get(f"{prefix}running_mean"))
        if kept is None:
            super()._load_from_state_dict(state, prefix, *rest)
            return
        shape = raw(kept).shape
        channels = shape[1] * getattr(self, "groups", 1) if len(shape) > 1 else shape[0]
        self._settle(shape[0] if "ConvTranspose" in self.kind.__name__ else channels)
        self._load_from_state_dict(state, prefix, *rest)  # as what it has become

    def _settle(self, channels: int) -> None:
        """Become a layer of `kind` for so many channels."""
        args, kwargs = self._late
        ready: Any = self.kind(channels, *args, **kwargs)
        with no_grad():
            for name, parameter in self._parameters.items():
                if isinstance(parameter, UninitializedParameter):
                    parameter.materialize(ready._parameters[name].shape)
                    parameter.data = ready._parameters[name]._array.astype(parameter.dtype)
            for name, buffer in self._buffers.items():
                if buffer is not None:
                    buffer.data = ready._buffers[name]._array
        setattr(self, self.count, channels)
        del self._late
        self.__class__ = self.kind


def _lazy(kind: type[Module], count: str) -> Any:
    name = f"Lazy{kind.__name__}"
    doc = f""":class:`{kind.__name__}` that takes `{count}` from its first input.

    Parameters
    ----------
    *args, **kwargs
        Those of :class:`{kind.__name__}` after `{count}`.

    Raises
    ------
    ValueError, TypeError
        As :class:`{kind.__name__}`.
    """
    return type(
        name, (_Lazy, kind), {"kind": kind, "count": count, "__doc__": doc, "__module__": __name__}
    )


LazyConv1d = _lazy(Conv1d, "in_channels")
LazyConv2d = _lazy(Conv2d, "in_channels")
LazyConv3d = _lazy(Conv3d, "in_channels")
LazyConvTranspose1d = _lazy(ConvTranspose1d, "in_channels")
LazyConvTranspose2d = _lazy(ConvTranspose2d, "in_channels")
LazyConvTranspose3d = _lazy(ConvTranspose3d, "in_channels")
LazyLinear = _lazy(Linear, "in_features")
LazyBatchNorm1d = _lazy(BatchNorm1d, "num_features")
LazyBatchNorm2d = _lazy(BatchNorm2d, "num_features")
LazyBatchNorm3d = _lazy(BatchNorm3d, "num_features")
LazyInstanceNorm1d = _lazy(InstanceNorm1d, "num_features")
LazyInstanceNorm2d = _lazy(InstanceNorm2d, "num_features")
LazyInstanceNorm3d = _lazy(InstanceNorm3d, "num_features")
