"""Dropout: values, or whole channels, set to zero at random while training."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._types import Operand, Result
from ..autograd import TensorBase, assign, raw, record
from ..random import generator
from ._tools import array_first

__all__ = [
    "alpha_dropout",
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "feature_alpha_dropout",
    "feature_dropout",
]


def _drop(
    name: str, input: Operand, p: float, training: bool, inplace: bool, mask_shape: Any
) -> Result:
    if not 0 <= p <= 1:
        raise ValueError(f"{name}: dropout probability has to be between 0 and 1, but got {p}")
    if not training or p == 0:
        return input
    x = raw(input)
    keep = generator().random(mask_shape, dtype=np.float32) >= p
    scale = keep.astype(x.dtype) * x.dtype.type(0 if p == 1 else 1 / (1 - p))
    y = x * scale
    if not isinstance(input, TensorBase):
        if inplace:
            input[...] = y
            return input
        return y
    result = record("Dropout", y, (input,), lambda g: (g * scale,))
    return assign(input, result) if inplace else result


def dropout(input: Operand, p: float = 0.5, training: bool = True, inplace: bool = False) -> Result:
    """Zero each value with probability `p` and scale the others by ``1 / (1 - p)``.

    Parameters
    ----------
    input : array of any shape
    p : float from 0 to 1
    training : bool
        Otherwise `input` is returned as it is.
    inplace : bool
        Write into `input` and return it.

    Returns
    -------
    array or Tensor
        Of the input's shape, with the same mean as far as chance has it.

    Raises
    ------
    ValueError
        If `p` is no probability.

    Notes
    -----
    Srivastava et al., "Dropout", JMLR 2014. :func:`manual_seed` makes it repeatable.
    """
    shape = raw(array_first("dropout", input)).shape
    return _drop("dropout", input, p, training, inplace, shape)


def _channels(name: str, input: Operand, p: float, training: bool, inplace: bool, rank: int) -> Any:
    shape = raw(array_first(name, input)).shape
    if len(shape) not in (rank + 1, rank + 2):
        raise ValueError(f"{name}: expected {rank + 1} or {rank + 2} axes, got shape {shape}")
    mask = shape[: len(shape) - rank] + (1,) * rank
    return _drop(name, input, p, training, inplace, mask)


def dropout1d(
    input: Operand, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Result:
    """Zero whole channels of (N, C, L) or (C, L) with probability `p`."""
    return _channels("dropout1d", input, p, training, inplace, 1)


def dropout2d(
    input: Operand, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Result:
    """Zero whole channels of (N, C, H, W) or (C, H, W) with probability `p`."""
    return _channels("dropout2d", input, p, training, inplace, 2)


def dropout3d(
    input: Operand, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Result:
    """Zero whole channels of (N, C, D, H, W) or (C, D, H, W) with probability `p`."""
    return _channels("dropout3d", input, p, training, inplace, 3)


def feature_dropout(input: Operand, p: float = 0.5, training: bool = True) -> Result:
    """Zero whole channels of (N, C, ...) with probability `p`."""
    shape = raw(array_first("feature_dropout", input)).shape
    return _drop("feature_dropout", input, p, training, False, shape[:2] + (1,) * (len(shape) - 2))


def alpha_dropout(
    input: Operand, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Result:
    """Dropout that keeps the mean and variance of :func:`selu` activations."""
    return _drop_alpha(
        "alpha_dropout", input, p, training, inplace, raw(array_first("alpha_dropout", input)).shape
    )


def feature_alpha_dropout(
    input: Operand, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Result:
    """:func:`alpha_dropout` of whole channels of (N, C, ...)."""
    shape = raw(array_first("feature_alpha_dropout", input)).shape
    mask = shape[:2] + (1,) * (len(shape) - 2)
    return _drop_alpha("feature_alpha_dropout", input, p, training, inplace, mask)


def _drop_alpha(
    name: str, input: Operand, p: float, training: bool, inplace: bool, mask_shape: Any
) -> Result:
    if not 0 <= p <= 1:
        raise ValueError(f"{name}: dropout probability has to be between 0 and 1, but got {p}")
    if not training or p == 0:
        return input
    x = raw(input)
    low = -1.7580993408473766  # what selu tends to far below zero
    a = 0.0 if p == 1 else ((1 - p) * (1 + p * low * low)) ** -0.5
    keep = (generator().random(mask_shape, dtype=np.float32) >= p).astype(x.dtype)
    y = (a * (x * keep + low * (1 - keep) + p * -low)).astype(x.dtype, copy=False)
    if not isinstance(input, TensorBase):
        if inplace:
            input[...] = y
            return input
        return y
    result = record("AlphaDropout", y, (input,), lambda g: (g * (keep * a),))
    return assign(input, result) if inplace else result
