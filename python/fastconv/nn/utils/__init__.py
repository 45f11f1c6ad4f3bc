"""Helpers around parameters and gradients."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ... import functional as F
from ...autograd import TensorBase
from ...tensor import Tensor
from .fusion import fuse_conv_bn_eval as fuse_conv_bn_eval

__all__ = [
    "clip_grad_norm_",
    "clip_grad_value_",
    "fuse_conv_bn_eval",
    "parameters_to_vector",
    "vector_to_parameters",
]


def _gradients(parameters: Any) -> list[Any]:
    given = [parameters] if isinstance(parameters, TensorBase) else list(parameters)
    return [p.grad._array for p in given if p.grad is not None]


def clip_grad_norm_(
    parameters: Any, max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False
) -> Tensor:
    """Scale all gradients together so that their norm is at most `max_norm`.

    Returns
    -------
    Tensor
        The norm before.

    Raises
    ------
    RuntimeError
        If `error_if_nonfinite` and the norm is NaN or infinite.
    """
    grads = _gradients(parameters)
    norms = [np.linalg.norm(g.reshape(-1), norm_type) for g in grads]
    kind = grads[0].dtype if grads else np.dtype(np.float32)
    total = np.asarray(np.linalg.norm(norms, norm_type) if norms else 0.0, dtype=kind)
    if error_if_nonfinite and not np.isfinite(total):
        raise RuntimeError(
            f"clip_grad_norm_: the total norm of order {norm_type} is non-finite, so it cannot be "
            "clipped"
        )
    scale = max_norm / (float(total) + 1e-6)
    if scale < 1:
        for g in grads:
            g *= scale
    return Tensor(total)


def clip_grad_value_(parameters: Any, clip_value: float) -> None:
    """Limit every element of all gradients to ``[-clip_value, clip_value]``."""
    for g in _gradients(parameters):
        np.clip(g, -clip_value, clip_value, out=g)


def parameters_to_vector(parameters: Iterable[Any]) -> Any:
    """All parameters in one row."""
    return F.cat([F.reshape(p, -1) for p in parameters])


def vector_to_parameters(vec: Any, parameters: Iterable[Any]) -> None:
    """Write one row back into the parameters."""
    values, start = np.asarray(vec), 0
    for p in parameters:
        size = p._array.size
        p._array[...] = values[start : start + size].reshape(p._array.shape)
        p._touch()
        start += size
