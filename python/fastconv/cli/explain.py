"""``fastconv explain``: which algorithm a convolution gets, and why."""

from __future__ import annotations

import argparse
from typing import Any

import fastconv

from .errors import gate
from .problems import parse_problem

__all__ = ["add_parser", "run"]


def add_parser(commands: Any) -> None:
    """Add ``explain`` to the command's parser."""
    parser = commands.add_parser(
        "explain",
        help="say which algorithm a convolution gets, and why",
        description="Say which algorithm a convolution gets, and why.",
        epilog="example: fastconv explain n1c64h56w56 k64r3s3 p1",
    )
    parser.add_argument("problem", nargs="+", help="like n1c64h56w56 k64r3s3 p1 s1 d1 g1")
    parser.add_argument("--direction", choices=("forward", "input", "weight"), default="forward")
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the report."""
    with gate():
        problem = parse_problem(" ".join(args.problem))
        report = fastconv.explain(
            problem.input_shape,
            problem.weight_shape,
            problem.stride,
            problem.padding,
            problem.dilation,
            problem.groups,
            dtype=args.dtype,
            direction=args.direction,
        )
    print(report)
    return 0
