"""Attention, as hybrids of convolution and attention use it."""

from __future__ import annotations

import math

import numpy as np

from .._types import Operand, Result
from ..autograd import raw
from .arithmetic import add, mul, where
from .dropout import dropout
from .narrow import in_float32
from .products import matmul
from .shape import transpose
from .softmax import softmax

__all__ = ["scaled_dot_product_attention"]


@in_float32
def scaled_dot_product_attention(
    query: Operand,
    key: Operand,
    value: Operand,
    attn_mask: Operand | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
) -> Result:
    """``softmax(query @ key.T * scale) @ value``: means of values, weighted by likeness.

    Parameters
    ----------
    query : (..., L, E)
    key : (..., S, E)
    value : (..., S, V)
    attn_mask : (..., L, S), optional
        Truth values: who may look at whom; or numbers, which are added to the scores.
    dropout_p : float
        Share of the weights that are dropped, whether training or not.
    is_causal : bool
        Position l may look at positions up to l only.
    scale : float, optional
        By default ``1 / sqrt(E)``.

    Returns
    -------
    array or Tensor
        (..., L, V); zeros for who may look at nobody.

    Raises
    ------
    ValueError
        If shapes do not fit, or both a mask and `is_causal` are given.
    """
    q, k, v = (raw(x).shape for x in (query, key, value))
    if min(len(q), len(k), len(v)) < 2 or q[-1] != k[-1] or k[-2] != v[-2]:
        raise ValueError(
            "scaled_dot_product_attention: expected query (..., L, E), key (..., S, E) and value "
            f"(..., S, V), got {q}, {k} and {v}"
        )
    if is_causal and attn_mask is not None:
        raise ValueError("scaled_dot_product_attention: give attn_mask or is_causal, not both")
    factor = 1 / math.sqrt(q[-1]) if scale is None else scale
    scores = matmul(mul(query, factor), transpose(key, -2, -1))
    seen = np.tri(q[-2], k[-2], dtype=bool) if is_causal else attn_mask
    if seen is None:
        weights = softmax(scores, -1)
    elif raw(seen).dtype == bool:
        # Scores of rows without anybody stay as they are, and their weights are cleared.
        anybody = raw(seen).any(-1, keepdims=True)
        hidden = ~raw(seen) & anybody
        weights = softmax(where(hidden, np.asarray(-np.inf, raw(scores).dtype), scores), -1)
        weights = mul(weights, anybody.astype(raw(scores).dtype))
    else:
        weights = softmax(add(scores, seen), -1)
    return matmul(dropout(weights, dropout_p), value)
