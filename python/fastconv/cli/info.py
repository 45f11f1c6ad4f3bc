"""``fastconv info``: what is installed, or what a file of weights holds."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

import fastconv

from ..models import list_models
from ..serialization import describe_weights, load_metadata
from .errors import gate

__all__ = ["add_parser", "run"]


def add_parser(commands: Any) -> None:
    """Add ``info`` to the command's parser."""
    parser = commands.add_parser(
        "info",
        help="tell about the installation or a file of weights",
        description="Tell about this installation, or what a file of weights holds.",
    )
    parser.add_argument("weights", type=Path, nargs="?", help=".safetensors, .npz or .pth")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print it."""
    if args.weights is None:
        fastconv.show_config()
        print(f"models: {', '.join(list_models())}")
        return 0
    with gate():
        tensors = describe_weights(args.weights)
        metadata = load_metadata(args.weights)
    width = max(map(len, tensors), default=0)
    for name, (dtype, shape) in tensors.items():
        print(f"{name:<{width}}  {dtype:<8} {'x'.join(map(str, shape)) or 'scalar'}")
    total = sum(math.prod(shape) for _, shape in tensors.values())
    print(f"{len(tensors)} tensors, {total:,} numbers")
    for name, value in metadata.items():
        print(f"{name}: {value if len(value) <= 200 else value[:200] + '...'}")
    return 0
