"""Folding batch norm into the convolution before it."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from ..parameter import Parameter

__all__ = ["fuse_conv_bn_eval"]


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
    weight = conv.weight._array
    scale = 1 / np.sqrt(bn.running_var._array + bn.eps)
    if bn.weight is not None:
        scale = scale * bn.weight._array
    shift = -bn.running_mean._array * scale
    if conv.bias is not None:
        shift = shift + conv.bias._array * scale
    if bn.bias is not None:
        shift = shift + bn.bias._array
    shape = (-1,) + (1,) * (weight.ndim - 1)
    fused = copy.deepcopy(conv)
    fused.weight = Parameter((weight * scale.reshape(shape)).astype(weight.dtype))
    fused.bias = Parameter(shift.astype(weight.dtype))
    return fused
