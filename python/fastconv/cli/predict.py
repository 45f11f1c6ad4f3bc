"""``fastconv predict``: name what a picture shows."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastconv

from ..data.digits import enlarge_digits, scan_digit
from ..data.resample import resize_array
from ..models import get_model
from ..serialization import load_metadata, load_weights
from ..tensor import Tensor
from .errors import CommandError, gate
from .pictures import read_picture
from .sources import Feed
from .training import softmax

__all__ = ["add_parser", "load_trained", "run"]


def add_parser(commands: Any) -> None:
    """Add ``predict`` to the command's parser."""
    parser = commands.add_parser(
        "predict",
        help="name what pictures show",
        description="Name what pictures show, with weights from fastconv train.",
    )
    parser.add_argument("weights", type=Path, help="a weights.safetensors of fastconv train")
    parser.add_argument("pictures", type=Path, nargs="+", metavar="picture")
    parser.add_argument(
        "--top", type=int, default=1, metavar="N", help="name N classes, likeliest first"
    )
    parser.set_defaults(run=run)


def load_trained(path: Path) -> tuple[Any, Feed]:
    """The network in a file of weights from ``fastconv train``, ready to predict."""
    with gate():
        metadata = load_metadata(path)
        if "model" not in metadata:
            raise ValueError(f"{path}: holds no file of fastconv train (no model is named)")
        feed = Feed.from_metadata(metadata)
        model = get_model(metadata["model"], num_classes=len(feed.classes))
        model.load_state_dict(load_weights(path))
    model.eval()
    return model, feed


def prepare(picture: NDArray[np.uint8], feed: Feed) -> NDArray[np.uint8]:
    """A picture (H, W, 3) as the network saw them in training: (size, size, 3)."""
    if feed.data in ("digits", "mnist"):
        # Handwriting of any size and polarity: find the ink and scan it as the data was scanned.
        enlarged = enlarge_digits(scan_digit(picture)[None])[0]
        picture = np.repeat(enlarged[..., None], 3, axis=2)
    return resize_array(picture, feed.size, feed.size)


def run(args: argparse.Namespace) -> int:
    """Print one line per picture: its name, the class and the probability."""
    if args.top < 1:
        raise CommandError(f"--top must be positive, got {args.top}")
    model, feed = load_trained(args.weights)
    for path in args.pictures:
        picture = read_picture(path)
        with gate(str(path)):
            inputs = feed.inputs(prepare(picture, feed)[None])
            with fastconv.no_grad():
                probabilities = softmax(model(Tensor(inputs)).data)[0]
        order = np.argsort(-probabilities, kind="stable")[: args.top]
        named = ", ".join(f"{feed.classes[i]} ({100 * probabilities[i]:.1f} %)" for i in order)
        print(f"{path}: {named}")
    return 0
