"""The ``fastconv`` command: train, predict, filter, info, explain, bench."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from .errors import CommandError

__all__ = ["main"]


def _parser() -> argparse.ArgumentParser:
    # Imported here, so that importing the package's parts costs nothing.
    from . import bench, explain, filter, info, predict, train

    parser = argparse.ArgumentParser(
        prog="fastconv", description="Train and use convolutional networks; filter pictures."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    for module in (train, predict, filter, info, explain, bench):
        module.add_parser(commands)
    return parser


def _terminate(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns 0, or 2 for bad input, 130 when interrupted."""
    args = _parser().parse_args(argv)
    try:
        before = signal.signal(signal.SIGTERM, _terminate)
    except ValueError:  # not in the main thread
        before = None
    try:
        code = int(args.run(args))
        sys.stdout.flush()  # what the interpreter would do too late for us to notice
        return code
    except CommandError as error:
        print(f"fastconv {args.command}: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"fastconv {args.command}: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output has gone, as in `fastconv info | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)
