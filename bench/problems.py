"""One language for convolution and pooling problems, shared by benchmarks and tests.

A problem is a line of words::

    n1c64h56w56 k64r3s3 p1 s1 d1 g1          a 2-D convolution
    n1c64w1000 k64s3 p1                      1-D: only a width
    n1c16d8h28w28 k32t3r3s3 p1               3-D: depth, height, width
    max n1c64h112w112 r3s3 s2 p1 ceil        a pool starts with "max" or "avg"

The first word is the input: ``n`` batch, ``c`` channels, then the extents ``d`` ``h`` ``w``.  The
second is the filter: ``k`` output channels, then the extents ``t`` (depth) ``r`` (height) ``s``
(width); a pool has no ``k``.  The others come in any order, and the defaults may be left out:

========  =============  ===================================================================
word      default        meaning
========  =============  ===================================================================
``p1``    0              zero padding; ``p1x2`` per axis; ``p0:1x2:2`` before:after per axis
``s2``    1              stride; ``s2x1`` per axis.  A pool's default is its kernel
``d2``    1              dilation; ``d2x1`` per axis
``g4``    1              groups
``nobias``               the convolution adds no bias
``ceil``                 a pool rounds its output size up
``nopad``                an average pool does not count padding
``f64``   f32            element type
========  =============  ===================================================================

``parse(text)`` reads a line and ``str(problem)`` writes its shortest form; ``#`` starts a comment.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import prod
from typing import Literal, NamedTuple

import numpy as np

Axes = tuple[int, ...]
Pads = tuple[tuple[int, int], ...]

_INPUT = re.compile(r"n(\d+)c(\d+)(?:d(\d+))?(?:h(\d+))?w(\d+)")
_FILTER = re.compile(r"(?:k(\d+))?(?:t(\d+))?(?:r(\d+))?s(\d+)")
_OPTION = re.compile(r"([psdg])([\d:x]+)")
_FLAGS = {"nobias", "ceil", "nopad", "f64", "f32"}


class Data(NamedTuple):
    """The arrays of one problem; a pool has no weight and no bias."""

    input: np.ndarray  # (N, C, *input extents)
    weight: np.ndarray | None  # (K, C / groups, *kernel extents)
    bias: np.ndarray | None  # (K,)
    grad_output: np.ndarray  # (N, K, *output extents)


@dataclass(frozen=True)
class Problem:
    """A convolution (``op="conv"``) or a pool (``op="max"`` or ``"avg"``) of rank 1, 2 or 3."""

    op: Literal["conv", "max", "avg"]
    batch: int
    channels: int
    size: Axes  # input extents: (W), (H, W) or (D, H, W)
    filters: int  # output channels
    kernel: Axes
    padding: Pads
    stride: Axes
    dilation: Axes
    groups: int = 1
    bias: bool = True
    ceil: bool = False
    count_include_pad: bool = True
    dtype: str = "float32"

    @property
    def rank(self) -> int:
        return len(self.size)

    @property
    def output_size(self) -> Axes:
        """Extents of the output; a window of a ``ceil`` pool never starts in the end padding."""
        out = []
        for size, kernel, pad, stride, dilation in zip(
            self.size, self.kernel, self.padding, self.stride, self.dilation, strict=True
        ):
            span = size + sum(pad) - dilation * (kernel - 1) - 1
            count = (-(-span // stride) if self.ceil else span // stride) + 1
            if self.ceil and (count - 1) * stride >= size + pad[0]:
                count -= 1
            out.append(count)
        return tuple(out)

    @property
    def input_shape(self) -> Axes:
        return (self.batch, self.channels, *self.size)

    @property
    def weight_shape(self) -> Axes:
        return (self.filters, self.channels // self.groups, *self.kernel)

    @property
    def output_shape(self) -> Axes:
        return (self.batch, self.filters, *self.output_size)

    @property
    def symmetric(self) -> bool:
        """Whether every axis is padded alike on both sides."""
        return all(before == after for before, after in self.padding)

    @property
    def pads(self) -> int | Axes | Pads:
        """The padding as fastconv takes it: one int per axis, or pairs where the sides differ."""
        return tuple(before for before, _ in self.padding) if self.symmetric else self.padding

    @property
    def flops(self) -> int:
        """Operations of one pass of direct convolution (a multiply and an add are two)."""
        taps = prod(self.kernel)
        if self.op == "conv":
            taps *= 2 * (self.channels // self.groups)
        return prod(self.output_shape) * taps

    @property
    def bytes(self) -> int:
        """Bytes that the forward pass must read and write at least once."""
        elements = prod(self.input_shape) + prod(self.output_shape)
        if self.op == "conv":
            elements += prod(self.weight_shape) + self.filters * self.bias
        return elements * np.dtype(self.dtype).itemsize

    def data(self, kind: Literal["normal", "integer"] = "normal", seed: int = 0) -> Data:
        """Make the arrays: standard normal (weights scaled to keep the output near 1), or integers
        small enough for every sum to be exact in any order."""
        rng = np.random.default_rng(seed)

        def make(shape: Axes, scale: float = 1.0) -> np.ndarray:
            if kind == "integer":
                return rng.integers(-3, 4, shape).astype(self.dtype)
            return (rng.standard_normal(shape, np.float32) * np.float32(scale)).astype(self.dtype)

        x, grad = make(self.input_shape), make(self.output_shape)
        if self.op != "conv":
            return Data(x, None, None, grad)
        weight = make(self.weight_shape, prod(self.weight_shape[1:]) ** -0.5)
        return Data(x, weight, make((self.filters,)) if self.bias else None, grad)

    def __str__(self) -> str:
        extents = zip(("d", "h", "w")[-self.rank :], self.size, strict=True)
        words = [f"n{self.batch}c{self.channels}" + "".join(f"{a}{v}" for a, v in extents)]
        taps = zip(("t", "r", "s")[-self.rank :], self.kernel, strict=True)
        filters = f"k{self.filters}" if self.op == "conv" else ""
        words.append(filters + "".join(f"{a}{v}" for a, v in taps))
        default_stride = 1 if self.op == "conv" else self.kernel
        words += _word("p", self.padding, 0) + _word("s", self.stride, default_stride)
        words += _word("d", self.dilation, 1) + _word("g", (self.groups,), 1)
        flags = {
            "nobias": not self.bias and self.op == "conv",
            "ceil": self.ceil,
            "nopad": not self.count_include_pad,
            "f64": self.dtype == "float64",
        }
        words += [flag for flag, on in flags.items() if on]
        return " ".join(words if self.op == "conv" else [self.op, *words])


def parse(text: str) -> Problem:
    """Read one problem.  ``ValueError`` names the word that is not understood."""
    words = text.split("#")[0].split()
    op = words.pop(0) if words and words[0] in ("max", "avg") else "conv"
    head = _INPUT.fullmatch(words[0]) if words else None
    taps = _FILTER.fullmatch(words[1]) if len(words) > 1 else None
    if head is None or taps is None or (taps[1] is None) == (op == "conv"):
        raise ValueError(f"problem {text!r}: expected e.g. 'n1c64h56w56 k64r3s3 p1'")
    batch, channels = int(head[1]), int(head[2])
    size = tuple(int(v) for v in head.groups()[2:] if v is not None)
    kernel = tuple(int(v) for v in taps.groups()[1:] if v is not None)
    if len(size) != len(kernel):
        raise ValueError(f"problem {text!r}: {len(size)} input axes, {len(kernel)} kernel axes")

    options = {"p": "0", "d": "1", "g": "1"}
    options["s"] = "1" if op == "conv" else "x".join(map(str, kernel))
    flags = set()
    for word in words[2:]:
        match = _OPTION.fullmatch(word)
        if match:
            options[match[1]] = match[2]
        elif word in _FLAGS:
            flags.add(word)
        else:
            raise ValueError(f"problem {text!r}: unknown word {word!r}")
    pads = [tuple(int(v) for v in axis.split(":")) for axis in options["p"].split("x")]
    problem = Problem(
        op=op,  # type: ignore[arg-type]
        batch=batch,
        channels=channels,
        size=size,
        filters=int(taps[1]) if taps[1] else channels,
        kernel=kernel,
        padding=tuple((axis[0], axis[-1]) for axis in _per_axis(pads, len(size), text)),
        stride=tuple(_per_axis(list(map(int, options["s"].split("x"))), len(size), text)),
        dilation=tuple(_per_axis(list(map(int, options["d"].split("x"))), len(size), text)),
        groups=int(options["g"]),
        bias="nobias" not in flags and op == "conv",
        ceil="ceil" in flags,
        count_include_pad="nopad" not in flags,
        dtype="float64" if "f64" in flags else "float32",
    )
    if channels % problem.groups or problem.filters % problem.groups:
        raise ValueError(f"problem {text!r}: channels are not divisible by the groups")
    if min(problem.output_size) < 1:
        raise ValueError(f"problem {text!r}: empty output {problem.output_size}")
    return problem


def _per_axis(values: list, rank: int, text: str) -> list:
    if len(values) not in (1, rank):
        raise ValueError(f"problem {text!r}: {len(values)} values for {rank} axes")
    return values * rank if len(values) == 1 else values


def _word(letter: str, values: tuple, default: object) -> list[str]:
    """The word for one option, in its shortest form; no word for the default."""
    pairs = [v if isinstance(v, tuple) else (v, v) for v in values]
    parts = [f"{a}" if a == b else f"{a}:{b}" for a, b in pairs]
    if values == default or set(parts) == {str(default)}:
        return []
    return [letter + (parts[0] if len(set(parts)) == 1 else "x".join(parts))]
