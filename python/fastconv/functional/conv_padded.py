"""Convolution of what is padded with its own values, without a padded copy of the whole batch.

A few pictures at a time are padded, as many as stay in the caches, and convolved; the gradient pads
them once more. What each picture gives does not depend on how many go at once.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from .. import _core
from .._types import Array, Ints, Operand, Result
from ..autograd import TensorBase, needs_grad, raw, record, wrap
from .narrow import floats_only
from .padding import pad, pad_backward
from .rectifiers import relu_backward

#: Bytes of padded pictures at a time.
AT_ONCE = 1 << 20


def _parts(x: Array, sides: list[int]) -> Iterator[slice]:
    """The batch in runs of pictures that are padded together."""
    before_after = zip(sides[::2], sides[1::2], strict=True)
    grown = [n + b + a for n, (b, a) in zip(x.shape[:1:-1], before_after, strict=True)]
    picture = math.prod(grown) * x.shape[1] * x.itemsize
    step = max(1, AT_ONCE // max(picture, 1))
    for first in range(0, max(len(x), 1), step):
        yield slice(first, first + step)


def _enlarged(like: Array, batch: int) -> Array:
    """Recycled memory for `batch` pictures of the shape, type and memory format of `like`."""
    last = np.moveaxis(like, 1, -1)
    if last.flags.c_contiguous and not like.flags.c_contiguous:
        return np.moveaxis(_core.empty((batch, *last.shape[1:]), like.itemsize), -1, 1)
    return _core.empty((batch, *like.shape[1:]), like.itemsize)


@floats_only
def conv_padded(
    input: Operand,
    weight: Operand,
    bias: Operand | None,
    sides: list[int],
    mode: str,
    stride: Ints,
    dilation: Ints,
    groups: int,
    activation: str | None = None,
) -> Result:
    """The convolution of ``pad(input, sides, mode)``.

    Parameters
    ----------
    input : (N, C, ...) or (C, ...)
    weight : (K, C / groups, ...)
    bias : (K,), optional
    sides : list of int
        As :func:`pad` takes them, for all axes after the channels.
    mode : {"reflect", "replicate", "circular"}
    activation : {None, "relu"}
    """
    x, w, b = raw(input), raw(weight), raw(bias)
    rank = w.ndim - 2
    single = x.ndim == rank + 1
    if not single and x.ndim != rank + 2:
        raise ValueError(
            f"conv{rank}d: Expected {rank + 1}D (unbatched) or {rank + 2}D (batched) input, "
            f"got shape {x.shape}"
        )
    batch = x[None] if single else x
    geometry = (stride, 0, dilation, groups)
    y: Any = None
    for part in _parts(batch, sides):
        padded = pad(batch[part], sides, mode)
        out = None if y is None else y[part]
        done = _core.conv(rank, padded, w, b, *geometry, activation, None, "auto", out)
        if y is None:  # now shape and memory format are known
            y = done
            if len(done) < len(batch):
                y = _enlarged(done, len(batch))
                y[part] = done
    y = y[0] if single else y
    operands = (input, weight, bias)
    if not any(isinstance(v, TensorBase) for v in operands):
        return y
    need = (needs_grad(input), needs_grad(weight), needs_grad(bias))
    if not any(need):
        return wrap(y)

    def backward(g: Array) -> tuple[Array | None, ...]:
        if activation is not None:
            g = relu_backward(g, y)
        g = g[None] if single else g
        gx = _enlarged(batch, len(batch)) if need[0] else None
        gw: Any = None
        gb: Any = None
        for part in _parts(batch, sides):
            padded = pad(batch[part], sides, mode)
            found: Any = _core.conv_backward(rank, g[part], padded, w, *geometry, need, "auto")
            if gx is not None:
                gx[part] = pad_backward(found[0], gx[part].shape, sides, mode)
            gw = found[1] if gw is None else np.add(gw, found[1], out=gw) if need[1] else None
            gb = found[2] if gb is None else np.add(gb, found[2], out=gb) if need[2] else None
        return gx[0] if single and gx is not None else gx, gw, gb

    return record(
        f"Conv{rank}d",
        y,
        operands,
        backward,
        saves=(input, weight),
        saves_output=activation is not None,
    )
