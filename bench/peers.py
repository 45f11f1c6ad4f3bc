"""The contestants: fastconv and the libraries it is measured against, behind one interface.

``available(names)`` gives the peers that can be imported.  ``peer(problem, direction, data)``
returns a closure without arguments that runs the whole call, NumPy arrays in and NumPy arrays out,
or None where the peer cannot do the problem.  Directions are ``"forward"`` and ``"backward"``; a
convolution's backward gives ``(input, weight, bias)`` gradients, a pool's the input gradient.

Peers are shown at their best: weights of ONNX Runtime and OpenVINO are constants of a compiled
model, PyTorch's channels-last weights and inputs are converted beforehand, and OpenVINO shares its
buffers.  fastconv appears with raw weights and, where it has plans, with a plan.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from functools import partial
from itertools import chain
from math import prod

import numpy as np

from problems import Data, Problem
from timing import Call

Peer = Callable[[Problem, str, Data], "Call | None"]
Maker = Callable[[int], Peer]  # from a number of threads


# ---- fastconv ------------------------------------------------------------------------------------


def fastconv_peer(problem: Problem, direction: str, data: Data, algorithm: str = "auto") -> Call:
    import fastconv
    from fastconv import _core

    rank, geometry = problem.rank, (problem.stride, problem.pads, problem.dilation, problem.groups)
    x, weight, bias, grad = data
    if problem.op == "conv":
        if direction == "forward":
            conv = getattr(fastconv, f"conv{rank}d")
            return lambda: conv(x, weight, bias, *geometry, algorithm=algorithm)
        if direction == "backward":
            backward = getattr(fastconv, f"conv{rank}d_backward")
            need = (True, True, problem.bias)
            return lambda: tuple(backward(grad, x, weight, *geometry, need=need))
        last = (grad, *geometry, algorithm)  # one gradient alone, where a row can be forced
        if direction == "input":
            return lambda: _core.conv_input_grad(rank, x.shape, weight, *last)
        return lambda: _core.conv_weight_grad(rank, x, weight.shape, *last)

    window = (problem.kernel, problem.stride, problem.pads)
    if problem.op == "max":
        window = (*window, problem.dilation, problem.ceil)
    else:
        window = (*window, problem.ceil, problem.count_include_pad)
    pool = getattr(fastconv, f"{problem.op}_pool{rank}d")
    if direction == "forward":
        return lambda: pool(x, *window)
    undo = getattr(fastconv, f"{problem.op}_pool{rank}d_backward")
    if problem.op == "avg":
        return lambda: undo(grad, x, *window)
    indices = pool(x, *window, return_indices=True)[1]
    return lambda: undo(grad, x, indices, *window)


def fastconv_plan_peer(problem: Problem, direction: str, data: Data) -> Call | None:
    import fastconv

    make = getattr(fastconv, f"Conv{problem.rank}dPlan", None)
    if make is None or problem.op != "conv" or direction != "forward":
        return None
    x, weight, bias, _ = data
    geometry = (problem.stride, problem.pads, problem.dilation, problem.groups)
    plan = make(weight, bias, *geometry, input_shape=x.shape)
    return lambda: plan(x)


# ---- NumPy ---------------------------------------------------------------------------------------


def numpy_peer(problem: Problem, direction: str, data: Data) -> Call | None:
    """What a NumPy user writes today: a view of all windows, then one product or reduction."""
    if direction != "forward" or problem.ceil or not problem.count_include_pad:
        return None
    rank, groups = problem.rank, problem.groups
    axes = tuple(range(2, 2 + rank))
    span = tuple(d * (k - 1) + 1 for d, k in zip(problem.dilation, problem.kernel, strict=True))
    spread = tuple(slice(None, None, d) for d in problem.dilation)
    steps = (slice(None), slice(None), *(slice(None, None, s) for s in problem.stride))
    fill = -np.inf if problem.op == "max" else 0

    def windows() -> np.ndarray:  # (N, C, *output, *kernel)
        x = data.input
        if any(chain(*problem.padding)):
            x = np.pad(x, ((0, 0), (0, 0), *problem.padding), constant_values=fill)
        return np.lib.stride_tricks.sliding_window_view(x, span, axes)[(*steps, ..., *spread)]

    if problem.op != "conv":
        reduce = np.max if problem.op == "max" else np.mean
        taps = tuple(range(-rank, 0))
        return lambda: reduce(windows(), axis=taps)

    n, c, k, out = problem.batch, problem.channels, problem.filters, problem.output_size
    pixels, depth = prod(out), c // groups * prod(problem.kernel)

    def run() -> np.ndarray:
        view = windows().reshape(n, groups, c // groups, *out, *problem.kernel)
        order = (0, 1, 2, *range(3 + rank, 3 + 2 * rank), *range(3, 3 + rank))
        columns = view.transpose(order).reshape(n, groups, depth, pixels)
        y = data.weight.reshape(groups, k // groups, depth) @ columns
        y = y.reshape(problem.output_shape)
        return y if data.bias is None else y + data.bias.reshape(-1, *(1,) * rank)

    return run


# ---- the others ----------------------------------------------------------------------------------


def _torch(nhwc: bool) -> Maker:
    def make(threads: int) -> Peer:
        import peer_torch

        peer_torch.torch.set_num_threads(threads)
        return partial(peer_torch.prepare, nhwc=nhwc)

    return make


def _onnx(name: str) -> Maker:
    def make(threads: int) -> Peer:
        import peer_onnx

        return partial(getattr(peer_onnx, name), threads=threads)

    return make


def _fastconv(peer: Peer) -> Maker:
    def make(threads: int) -> Peer:
        import fastconv

        fastconv.set_num_threads(threads)
        return peer

    return make


def _numpy(threads: int) -> Peer:
    if importlib.util.find_spec("threadpoolctl"):
        import threadpoolctl

        threadpoolctl.threadpool_limits(threads, user_api="blas")
    else:
        print("note: NumPy chooses its own number of threads (threadpoolctl is not installed)")
    return numpy_peer


PEERS: dict[str, tuple[tuple[str, ...], Maker]] = {  # name -> (packages it needs, maker)
    "fastconv": (("fastconv",), _fastconv(fastconv_peer)),
    "plan": (("fastconv",), _fastconv(fastconv_plan_peer)),
    "numpy": (("numpy",), _numpy),
    "torch": (("torch",), _torch(nhwc=False)),
    "torch-nhwc": (("torch",), _torch(nhwc=True)),
    "ort": (("onnx", "onnxruntime"), _onnx("onnxruntime")),
    "openvino": (("onnx", "openvino"), _onnx("openvino")),
}
OURS = ("fastconv", "plan")


def available(names: Sequence[str] | None = None, threads: int = 1) -> dict[str, Peer]:
    """The peers that are installed, each set to ``threads`` threads; a note on each that is not.

    NumPy is left out of runs with several threads unless it is named: its BLAS threads spin on
    for longer than a turn, and would slow down whoever comes next.
    """
    found = {}
    for name in names or PEERS:
        if name == "numpy" and threads > 1 and not names:
            continue
        if name not in PEERS:
            raise ValueError(f"peer {name!r}: expected one of {', '.join(PEERS)}")
        packages, make = PEERS[name]
        missing = [p for p in packages if importlib.util.find_spec(p) is None]
        if missing:
            print(f"note: {name} left out ({', '.join(missing)} not installed)")
        else:
            found[name] = make(threads)
    return found


def largest_error(ours: object, theirs: object) -> float:
    """Largest difference between two results, relative to the largest value of the first."""
    if isinstance(ours, tuple) and isinstance(theirs, tuple):
        pairs = zip(ours, theirs, strict=True)
        return max(largest_error(a, b) for a, b in pairs if a is not None)
    a, b = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    if a.shape != b.shape:
        return float("inf")
    return float(np.abs(a - b).max(initial=0) / (np.abs(a).max(initial=0) or 1))
