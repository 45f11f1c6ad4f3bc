"""Batch and instance norm as layers."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import functional as F
from ..autograd import calls, needs_grad
from ..deferred import Deferred
from ..dtypes import as_dtype
from ..tensor import Tensor
from ._settings import check_device
from .chain import Chain
from .module import Module
from .parameter import Parameter
from .steps import Step, recipe, snapshot

__all__ = [
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
    "SyncBatchNorm",
]


def _affine(module: Module, shape: Any, dtype: Any, weight: bool, bias: bool) -> None:
    """Give `module` a weight of ones and a bias of zeros, or None."""
    kind = as_dtype(dtype)
    module.register_parameter("weight", Parameter(np.ones(shape, kind)) if weight else None)
    module.register_parameter("bias", Parameter(np.zeros(shape, kind)) if bias else None)


def _reset(module: Module) -> None:
    for name, value in (("weight", 1), ("bias", 0)):
        parameter = getattr(module, name)
        if parameter is not None:
            parameter._array[...] = value
            parameter._touch()


class _StatisticsNorm(Module):
    """What batch and instance norm share: an affine map and running statistics."""

    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None
    weight: Parameter | None
    bias: Parameter | None
    axes: tuple[int, ...] = ()  # how many axes an input may have

    def __init__(
        self,
        num_features: int,
        eps: float,
        momentum: float | None,
        affine: bool,
        track_running_stats: bool,
        device: Any,
        dtype: Any,
        bias: bool,
    ) -> None:
        super().__init__()
        check_device(device)
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        _affine(self, num_features, dtype, affine, affine and bias)
        kind = as_dtype(dtype)
        tracked = track_running_stats
        self.register_buffer(
            "running_mean", Tensor(np.zeros(num_features, kind)) if tracked else None
        )
        self.register_buffer(
            "running_var", Tensor(np.ones(num_features, kind)) if tracked else None
        )
        self.register_buffer(
            "num_batches_tracked", Tensor(np.array(0, np.int64)) if tracked else None
        )

    def reset_running_stats(self) -> None:
        """Set the running statistics to mean 0 and variance 1."""
        for tensor, value in (
            (self.running_mean, 0),
            (self.running_var, 1),
            (self.num_batches_tracked, 0),
        ):
            if tensor is not None:
                tensor._array[...] = value
                tensor._touch()

    def reset_parameters(self) -> None:
        """Set weight to 1, bias to 0, and the running statistics anew."""
        self.reset_running_stats()
        _reset(self)

    def _check_input_dim(self, input: Any) -> None:
        if self.axes and input.ndim not in self.axes:
            wanted = " or ".join(f"{n}D" for n in self.axes)
            raise ValueError(
                f"{type(self).__name__}: expected {wanted} input (got {input.ndim}D input)"
            )

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, "
            f"affine={self.affine}, bias={self.bias is not None}, "
            f"track_running_stats={self.track_running_stats}"
        )


class _BatchNorm(_StatisticsNorm):
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(
            num_features, eps, momentum, affine, track_running_stats, device, dtype, bias
        )

    def forward(self, input: Any) -> Any:
        self._check_input_dim(input)
        if not self.training:
            prepared = self._prepared(input)
            if prepared is not None:
                return prepared
        return self._normalized(input, None)

    def moved_by(self) -> float:
        """By how much the running statistics move now, after one more batch."""
        momentum = 0.0 if self.momentum is None else self.momentum
        batches = self._buffers["num_batches_tracked"]
        if self.training and self.track_running_stats and batches is not None:
            count = batches._array
            count += 1
            if self.momentum is None:  # the plain average over all batches so far
                momentum = 1.0 / count.item()
        return momentum

    def _normalized(self, input: Any, activation: str | None) -> Any:
        momentum = self.moved_by()
        of_batch = self.training or (self.running_mean is None and self.running_var is None)
        kept = not self.training or self.track_running_stats
        return F.batch_norm(
            input,
            self.running_mean if kept else None,
            self.running_var if kept else None,
            self.weight,
            self.bias,
            of_batch,
            momentum,
            self.eps,
            activation=activation,
        )

    def with_activation(self, input: Any, activation: str) -> Any:
        """The norm, then ``"relu"`` or ``"relu6"``, as one step of the tape."""
        self._check_input_dim(input)
        return self._normalized(input, activation)

    def _prepared(self, input: Any) -> Any:
        """The norm as part of what is still to be done, inside a network where that can be."""
        if calls.depth < 2 or not isinstance(input, Tensor):
            return None
        if needs_grad(input) or needs_grad(self.weight) or needs_grad(self.bias):
            return None
        step = snapshot(self, _step)
        if step is None or not step.usable(input.dtype):
            return None
        joined = input.with_step(step) if type(input) is Deferred else None
        return Chain.of(step)(input) if joined is None else joined


class BatchNorm1d(_BatchNorm):
    """Batch norm over (N, C) or (N, C, L); see :class:`BatchNorm2d`."""

    axes = (2, 3)


class BatchNorm2d(_BatchNorm):
    """Shift and scale each channel to mean 0 and variance 1 over the batch, then by weights.

    Parameters
    ----------
    num_features : int
        Channels.
    eps : float
    momentum : float or None
        How fast the running statistics follow; None averages over all batches.
    affine : bool
        Whether there is a trained weight and bias.
    track_running_stats : bool
        Whether to keep running statistics, which evaluation then uses.

    Attributes
    ----------
    weight, bias : (num_features,) or None
    running_mean, running_var : (num_features,) or None
    num_batches_tracked : int64 or None

    Notes
    -----
    Input (N, C, H, W). A frozen layer (:meth:`Module.freeze`) keeps its statistics.
    """

    axes = (4,)


class BatchNorm3d(_BatchNorm):
    """Batch norm over (N, C, D, H, W); see :class:`BatchNorm2d`."""

    axes = (5,)


@recipe(BatchNorm1d, BatchNorm2d, BatchNorm3d)
def _step(layer: Any) -> Step | None:
    mean, var = layer.running_mean, layer.running_var
    if mean is None or var is None:
        return None
    tensors = (layer.weight, layer.bias, mean, var)
    return Step("norm", (layer.eps, layer.num_features, layer.axes), tensors)


class SyncBatchNorm(_BatchNorm):
    """Batch norm of any rank: there is one process here to take statistics of."""

    def _check_input_dim(self, input: Any) -> None:
        if input.ndim < 2:
            raise ValueError(f"expected at least 2D input (got {input.ndim}D input)")


class _InstanceNorm(_StatisticsNorm):
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(
            num_features, eps, momentum, affine, track_running_stats, device, dtype, bias
        )

    def forward(self, input: Any) -> Any:
        self._check_input_dim(input)
        single = input.ndim == self.axes[0]
        if single:
            input = F.unsqueeze(input, 0)
        y = F.instance_norm(
            input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or not self.track_running_stats,
            0.0 if self.momentum is None else self.momentum,
            self.eps,
        )
        return F.squeeze(y, 0) if single else y


class InstanceNorm1d(_InstanceNorm):
    """Normalise each channel of each sample of (N, C, L) or (C, L) by itself."""

    axes = (2, 3)


class InstanceNorm2d(_InstanceNorm):
    """Normalise each channel of each sample of (N, C, H, W) or (C, H, W) by itself."""

    axes = (3, 4)


class InstanceNorm3d(_InstanceNorm):
    """Normalise each channel of each sample of (N, C, D, H, W) or (C, D, H, W) by itself."""

    axes = (4, 5)
