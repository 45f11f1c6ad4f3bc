"""``fastconv filter``: a filter on a picture, or on every frame of an animation."""

from __future__ import annotations

import argparse
import inspect
from pathlib import Path
from typing import Any

import numpy as np

from .. import image
from .errors import CommandError, gate
from .pictures import read_frames, write_frames

__all__ = ["add_parser", "run"]

_SETTINGS = ("size", "sigma", "amount", "strength", "border")


def add_parser(commands: Any) -> None:
    """Add ``filter`` to the command's parser."""
    parser = commands.add_parser(
        "filter",
        help="filter a picture",
        description="Filter a picture or an animation: picture in, picture out.",
        argument_default=argparse.SUPPRESS,
    )
    names = [*image.FILTERS, "kernel"]
    parser.add_argument("name", choices=names, help=", ".join(names), metavar="filter")
    parser.add_argument("input", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--kernel", metavar="ROWS", help="weights: '0,-1,0; -1,5,-1; 0,-1,0'")
    parser.add_argument("--size", type=int, metavar="N", help="pixels that blur averages over")
    parser.add_argument("--sigma", type=float, metavar="S", help="width of gaussian_blur, sharpen")
    parser.add_argument("--amount", type=float, metavar="A", help="of sharpen")
    parser.add_argument("--strength", type=float, metavar="S", help="of emboss and vintage")
    parser.add_argument("--border", choices=("edge", "reflect", "wrap", "zero"))
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Read, filter, write."""
    given = vars(args)
    apply: Any = image.filter2d if args.name == "kernel" else image.FILTERS[args.name]
    settings = {key: given[key] for key in _SETTINGS if key in given}
    for key in settings:
        if key not in inspect.signature(apply).parameters:
            raise CommandError(f"--{key} has no meaning for {args.name}")
    if args.name == "kernel":
        if "kernel" not in given:
            raise CommandError("the filter named kernel needs --kernel")
        settings["kernel"] = _weights(args.kernel)
    elif "kernel" in given:
        raise CommandError(f"--kernel has no meaning for {args.name}")
    frames, pause = read_frames(args.input)
    with gate(args.name):
        filtered = np.stack([apply(frame, **settings) for frame in frames])
    write_frames(args.output, filtered, pause)
    return 0


def _weights(text: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """A kernel (R, S) from rows separated by semicolons."""
    try:
        rows = [[float(w) for w in row.replace(",", " ").split()] for row in text.split(";")]
        kernel = np.array(rows, dtype=np.float64)
    except ValueError:
        raise CommandError(f"--kernel {text!r}: expected rows of numbers of one length") from None
    if kernel.ndim != 2 or kernel.size == 0 or max(kernel.shape) > 255:
        raise CommandError(f"--kernel {text!r}: expected rows of 1 to 255 numbers")
    return kernel
