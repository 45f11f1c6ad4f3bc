"""PyTorch as a contestant: NCHW, or channels-last as its users run it for speed."""

from __future__ import annotations

from itertools import chain

import numpy as np
import torch
import torch.nn.functional as F

from problems import Data, Problem
from timing import Call


def prepare(problem: Problem, direction: str, data: Data, nhwc: bool = False) -> Call | None:
    rank, aten = problem.rank, torch.ops.aten
    if nhwc and rank == 1:
        return None
    channels_last = {2: torch.channels_last, 3: torch.channels_last_3d}

    def tensor(array: np.ndarray | None) -> torch.Tensor | None:
        if array is None:
            return None
        t = torch.from_numpy(array)
        if nhwc and t.ndim == rank + 2:
            t = t.contiguous(memory_format=channels_last[rank])
        return t

    # The layout is converted here, once; each call still goes from NumPy arrays to NumPy arrays.
    x, grad = (tensor(a).numpy() for a in (data.input, data.grad_output))
    weight, bias = tensor(data.weight), tensor(data.bias)
    pad = tuple(before for before, _ in problem.padding)
    outer = ()  # PyTorch has no asymmetric padding: pad first, crop the gradient afterwards
    if not problem.symmetric:
        pad, outer = (0,) * rank, tuple(chain(*reversed(problem.padding)))
    inner = tuple(slice(a, a + n) for (a, _), n in zip(problem.padding, problem.size, strict=True))

    def source() -> torch.Tensor:
        t = torch.from_numpy(x)
        return F.pad(t, outer) if outer else t

    def result(t: torch.Tensor) -> np.ndarray:
        return (t[(..., *inner)] if outer else t).numpy()

    @torch.inference_mode()
    def forward_conv() -> np.ndarray:
        geometry = (problem.stride, pad, problem.dilation, problem.groups)
        return conv(source(), weight, bias, *geometry).numpy()

    @torch.inference_mode()
    def backward_conv() -> object:
        sizes = [problem.filters] if problem.bias else None
        dx, dw, db = aten.convolution_backward(
            torch.from_numpy(grad), source(), weight, sizes, problem.stride, pad,
            problem.dilation, False, [0] * rank, problem.groups, wanted,
        )  # fmt: skip
        if direction == "backward":
            return result(dx), dw.numpy(), db.numpy() if problem.bias else None
        return result(dx) if direction == "input" else dw.numpy()

    if problem.op == "conv":
        conv = getattr(F, f"conv{rank}d")
        both = direction == "backward"
        wanted = [
            both or direction == "input",
            both or direction == "weight",
            both and problem.bias,
        ]
        return forward_conv if direction == "forward" else backward_conv
    if outer:
        return None

    name = f"{problem.op}_pool{rank}d"
    if problem.op == "max":
        window = (problem.kernel, problem.stride, pad, problem.dilation, problem.ceil)
    else:
        window = (problem.kernel, problem.stride, pad, problem.ceil, problem.count_include_pad)
    pool = getattr(F, name)
    if direction == "forward":
        return torch.inference_mode()(lambda: pool(torch.from_numpy(x), *window).numpy())
    if rank == 1:  # PyTorch's 1-D pools are 2-D ones of height 1
        window = tuple((0 if i == 2 else 1, *w) if isinstance(w, tuple) else w
                       for i, w in enumerate(window))  # fmt: skip
        x, grad, name = x[:, :, None], grad[:, :, None], f"{problem.op}_pool2d"
    if problem.op == "max":
        indices = getattr(aten, f"{name}_with_indices")(torch.from_numpy(x), *window)[1]
        undo = getattr(aten, f"{name}_with_indices_backward")
        last = (*window, indices)
    else:
        undo, last = getattr(aten, f"{name}_backward"), (*window, None)

    @torch.inference_mode()
    def backward_pool() -> np.ndarray:
        dx = undo(torch.from_numpy(grad), torch.from_numpy(x), *last).numpy()
        return dx[:, :, 0] if rank == 1 else dx

    return backward_pool
