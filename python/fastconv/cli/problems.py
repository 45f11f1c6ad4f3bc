"""Convolutions as one line of text: ``n1c64h56w56 k64r3s3 p1 s2 d1 g1``.

The first word is the input: batch ``n``, channels ``c``, extents ``d`` ``h`` ``w``; the second the
filter: output channels ``k``, extents ``t`` ``r`` ``s``.  Padding ``p``, stride ``s``, dilation
``d`` and groups ``g`` follow in any order: one number, or one per axis (``p1x2``).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

__all__ = ["Problem", "parse_problem"]

_INPUT = re.compile(r"n(\d+)c(\d+)(?:d(\d+))?(?:h(\d+))?w(\d+)")
_FILTER = re.compile(r"k(\d+)(?:t(\d+))?(?:r(\d+))?s(\d+)")
_OPTION = re.compile(r"([psdg])(\d+(?:x\d+)*)")
_MOST = 2**31  # elements of an array


@dataclass(frozen=True)
class Problem:
    """The shapes and the geometry of a convolution, as ``fastconv.conv2d`` takes them."""

    text: str
    input_shape: tuple[int, ...]
    weight_shape: tuple[int, ...]
    padding: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int

    @property
    def rank(self) -> int:
        return len(self.padding)


def parse_problem(text: str) -> Problem:
    """Read a problem.

    Raises
    ------
    ValueError
        If the text is none; the message shows one.
    """
    words = text.split()
    wrong = ValueError(
        f"{text!r} is no convolution; one is written like 'n1c64h56w56 k64r3s3 p1 s1 d1 g1'"
    )
    if len(words) < 2:
        raise wrong
    given, filters = _INPUT.fullmatch(words[0]), _FILTER.fullmatch(words[1])
    if given is None or filters is None:
        raise wrong
    size = [int(n) for n in given.groups()[2:] if n is not None]
    kernel = [int(n) for n in filters.groups()[1:] if n is not None]
    rank = len(size)
    options: dict[str, tuple[int, ...]] = {"p": (0,), "s": (1,), "d": (1,), "g": (1,)}
    for word in words[2:]:
        match = _OPTION.fullmatch(word)
        if match is None:
            raise wrong
        options[match[1]] = tuple(int(n) for n in match[2].split("x"))
    axes = {name: n * rank if len(n) == 1 else n for name, n in options.items()}
    groups = options["g"][0]
    if len(kernel) != rank or any(len(axes[name]) != rank for name in "psd") or not groups:
        raise wrong
    batch, channels, outputs = int(given[1]), int(given[2]), int(filters[1])
    problem = Problem(
        " ".join(words),
        (batch, channels, *size),
        (outputs, channels // groups, *kernel),
        axes["p"],
        axes["s"],
        axes["d"],
        groups,
    )
    if max(math.prod(problem.input_shape), math.prod(problem.weight_shape)) > _MOST:
        raise ValueError(f"{text!r} is too large")
    return problem
