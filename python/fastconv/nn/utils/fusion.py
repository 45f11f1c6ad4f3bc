"""Folding batch norm into the convolution before it."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from ..._types import Array
from ..parameter import Parameter

__all__ = ["fold_batch_norm", "fuse_conv_bn_eval"]


def fold_batch_norm(weight: Array, bias: Array | None, norm: Any) -> tuple[Array, Array]:
    """Weight and bias of a convolution that does what `norm` in evaluation mode does after it.

    Parameters
    ----------
    weight : (K, ...)
    bias : (K,), optional
    norm : batch norm with running statistics

    Returns
    -------
    tuple of arrays
        Of the weight's shape and (K,), computed in float64 and rounded once.
    """
    scale = 1 / np.sqrt(norm.running_var._array.astype(np.float64) + norm.eps)
    if norm.weight is not None:
        scale = scale * norm.weight._array
    shift = -norm.running_mean._array * scale
    if bias is not None:
        shift = shift + bias * scale
    if norm.bias is not None:
        shift = shift + norm.bias._array
    along = scale.reshape((-1,) + (1,) * (weight.ndim - 1))
    return (weight * along).astype(weight.dtype), shift.astype(weight.dtype)


def fuse_conv_bn_eval(conv: Any, bn: Any) -> Any:
    """A convolution that computes ``bn(conv(x))`` as both do in evaluation mode.

    Parameters
    ----------
    conv : Conv1d, Conv2d or Conv3d
    bn : BatchNorm1d, BatchNorm2d or BatchNorm3d, with running statistics

    Raises
    ------
    ValueError
        If one of them is in training mode or `bn` keeps no statistics.
    """
    if conv.training or bn.training:
        raise ValueError("fuse_conv_bn_eval: both modules must be in evaluation mode")
    if bn.running_mean is None or bn.running_var is None:
        raise ValueError("fuse_conv_bn_eval: the batch norm keeps no running statistics")
    bias = None if conv.bias is None else conv.bias._array
    weight, shift = fold_batch_norm(conv.weight._array, bias, bn)
    fused = copy.deepcopy(conv)
    fused.weight = Parameter(weight)
    fused.bias = Parameter(shift)
    return fused
