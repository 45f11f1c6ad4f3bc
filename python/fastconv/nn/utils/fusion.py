"""Folding batch norm into the convolution before it."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..._types import Array
from ...autograd import raw
from ..parameter import Parameter

__all__ = ["fold_batch_norm", "fuse_conv_bn_eval"]


def fold_batch_norm(
    weight: Array, bias: Array | None, norm: Sequence[Any], eps: float
) -> tuple[Array, Array]:
    """Weight and bias of a convolution that does what a batch norm in evaluation mode does after
    it.

    Parameters
    ----------
    weight : (K, ...)
    bias : (K,), optional
    norm : four arrays (K,)
        Weight and bias of the batch norm, or None, and its running mean and variance.
    eps : float

    Returns
    -------
    tuple of arrays
        Of the weight's shape and (K,), computed in float64 and rounded once.
    """
    norm_weight, norm_bias, mean, var = norm
    scale = 1 / np.sqrt(var.astype(np.float64) + eps)
    if norm_weight is not None:
        scale = scale * norm_weight
    shift = -mean * scale
    if bias is not None:
        shift = shift + bias * scale
    if norm_bias is not None:
        shift = shift + norm_bias
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
    norm = [raw(v) for v in (bn.weight, bn.bias, bn.running_mean, bn.running_var)]
    weight, shift = fold_batch_norm(conv.weight._array, raw(conv.bias), norm, bn.eps)
    fused = copy.deepcopy(conv)
    fused.weight = Parameter(weight)
    fused.bias = Parameter(shift)
    return fused
