"""``fastconv bench``: how fast convolutions are here, beside PyTorch where it is installed.

The sides take turns, so that a machine that slows down slows down both; medians are reported.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import fastconv

from .errors import CommandError, gate
from .problems import Problem, parse_problem

__all__ = ["add_parser", "run"]

# Layers of ResNet-50, VGG-16, MobileNetV2 and SimpleCNN.
LAYERS = (
    "n1c3h224w224 k64r7s7 p3 s2",
    "n1c64h56w56 k64r3s3 p1",
    "n1c256h56w56 k64r1s1",
    "n1c128h28w28 k128r3s3 p1",
    "n1c256h14w14 k256r3s3 p1",
    "n1c512h7w7 k512r3s3 p1",
    "n1c64h224w224 k64r3s3 p1",
    "n1c96h112w112 k96r3s3 p1 s2 g96",
    "n64c3h32w32 k5r5s5",
)
_DIRECTIONS = ("forward", "backward")


def add_parser(commands: Any) -> None:
    """Add ``bench`` to the command's parser."""
    parser = commands.add_parser(
        "bench",
        help="measure convolutions",
        description="Measure convolutions, forward and backward, beside PyTorch if it is there.",
        epilog="example: fastconv bench 'n1c64h56w56 k64r3s3 p1'",
    )
    parser.add_argument("problems", nargs="*", help="quoted; layers of known networks if none")
    parser.add_argument("--threads", type=int, metavar="N", help="default: as many as there are")
    parser.add_argument("--seconds", type=float, default=0.5, metavar="S", help="for each figure")
    parser.add_argument("--alone", action="store_true", help="leave PyTorch out")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print a table: milliseconds, rate, and the ratio to PyTorch."""
    if not 0 < args.seconds <= 60:
        raise CommandError(f"--seconds must be between 0 and 60, got {args.seconds}")
    with gate():
        problems = [parse_problem(text) for text in args.problems or LAYERS]
    if args.threads is not None:
        with gate("--threads"):
            fastconv.set_num_threads(args.threads)
    torch = None if args.alone else _torch()
    print(f"{fastconv.build_info()['isa']}, {fastconv.get_num_threads()} threads")
    print(f"{'convolution':<36} {'direction':<9} {'ms':>9} {'GFLOP/s':>8}  PyTorch")
    for problem in problems:
        with gate(problem.text):
            for direction in _DIRECTIONS:
                sides = [_ours(problem, direction)]
                if torch is not None:
                    sides.append(_theirs(torch, problem, direction))
                times = _medians(sides, args.seconds)
                rate = _flops(problem) * (2 if direction == "backward" else 1) / times[0] / 1e9
                ratio = f"{times[1] / times[0]:.2f} x" if len(times) > 1 else "-"
                print(
                    f"{problem.text:<36} {direction:<9} {1e3 * times[0]:9.3f} {rate:8.1f}  {ratio}",
                    flush=True,
                )
    return 0


def _torch() -> Any:
    try:
        import torch
    except ImportError:
        return None
    torch.set_num_threads(fastconv.get_num_threads())
    return torch


def _data(problem: Problem) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(0)
    x = rng.standard_normal(problem.input_shape, np.float32)
    w = rng.standard_normal(problem.weight_shape, np.float32)
    y = _call(fastconv, "conv{}d", problem, x, w)
    return x, w, np.ones_like(y)


def _call(library: Any, name: str, problem: Problem, *arrays: Any) -> Any:
    function = getattr(library, name.format(problem.rank))
    return function(
        *arrays,
        stride=problem.stride,
        padding=problem.padding,
        dilation=problem.dilation,
        groups=problem.groups,
    )


def _flops(problem: Problem) -> int:
    extents = [
        fastconv.conv_output_size(*axis)
        for axis in zip(
            problem.input_shape[2:],
            problem.weight_shape[2:],
            problem.stride,
            problem.padding,
            problem.dilation,
            strict=True,
        )
    ]
    outputs = problem.input_shape[0] * problem.weight_shape[0] * int(np.prod(extents))
    return 2 * outputs * int(np.prod(problem.weight_shape[1:]))


def _ours(problem: Problem, direction: str) -> Callable[[], Any]:
    x, w, g = _data(problem)
    if direction == "forward":
        return lambda: _call(fastconv, "conv{}d", problem, x, w)
    return lambda: _call(fastconv, "conv{}d_backward", problem, g, x, w)


def _theirs(torch: Any, problem: Problem, direction: str) -> Callable[[], Any]:
    x, w, g = (torch.from_numpy(array) for array in _data(problem))
    convolve = torch.nn.functional
    if direction == "forward":
        return lambda: _call(convolve, "conv{}d", problem, x, w)
    zeros = [0] * problem.rank
    geometry = (problem.stride, problem.padding, problem.dilation, False, zeros, problem.groups)
    bias = [problem.weight_shape[0]]
    backward = torch.ops.aten.convolution_backward
    return lambda: backward(g, x, w, bias, *geometry, [True, True, True])


def _medians(sides: list[Callable[[], Any]], seconds: float) -> list[float]:
    """Median seconds of each side, the sides taking turns."""
    times: list[list[float]] = [[] for _ in sides]
    for side in sides:
        side()
    end = time.perf_counter() + seconds * len(sides)
    while time.perf_counter() < end or len(times[0]) < 3:
        for side, taken in zip(sides, times, strict=True):
            started = time.perf_counter()
            side()
            taken.append(time.perf_counter() - started)
    return [statistics.median(taken) for taken in times]
