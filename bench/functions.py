"""The operators that are bound by memory beside PyTorch: one list of calls, forward and backward.

    python bench/functions.py                                   everything, one thread
    python bench/functions.py --family pads resize --direction backward
    python bench/functions.py --layout last --dtype float64 --match gelu

Both libraries have the same functions under the same names, so a row is a label, a function of
``nn.functional``, the shapes of its inputs and its options.  Forward goes from NumPy arrays to
NumPy arrays, without a tape; backward is ``autograd.grad`` on a tape that is kept, from NumPy
gradient to NumPy gradients.  Results and gradients are compared before anything is timed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import peers
import report
from page import machine
from report import Row
from timing import SETTLE_SECONDS, WARM_SECONDS, Call, measure

# Of the largest value; the tests hold the real bounds. PyTorch has constants that are floats.
TOLERANCE = {"float32": 3e-5, "float64": 1e-7}
RANDOM = np.random.default_rng(0)
Maker = Callable[[], np.ndarray]


@dataclass(frozen=True)
class Operator:
    """A call: floating-point inputs by their shapes, or a function that makes another array."""

    name: str
    inputs: tuple[tuple[int, ...] | Maker, ...]
    options: dict[str, Any] = field(default_factory=dict)

    def arrays(self, dtype: str, last: bool) -> list[np.ndarray]:
        """Standard normal numbers, or what the makers give."""
        made = [
            i() if callable(i) else RANDOM.standard_normal(i).astype(dtype) for i in self.inputs
        ]
        made = [a.astype(dtype) if a.dtype.kind == "f" else a for a in made]
        if last:
            made = [np.moveaxis(np.moveaxis(a, 1, -1).copy(), -1, 1) if a.ndim == 4 else a
                    for a in made]  # fmt: skip
        return made

    def __str__(self) -> str:
        shapes = ["x".join(map(str, i)) for i in self.inputs if not callable(i)]
        return " ".join([self.name, *shapes, *(f"{k}={v}" for k, v in self.options.items())])


def op(name: str, *inputs: tuple[int, ...] | Maker, **options: Any) -> Operator:
    return Operator(name, inputs, options)


def classes(count: int, *shape: int) -> Maker:
    """Class numbers below ``count``."""
    return lambda: RANDOM.integers(0, count, shape)


def between(low: float, high: float, *shape: int) -> Maker:
    """Numbers of an interval."""
    return lambda: RANDOM.uniform(low, high, shape)


def places(*shape: int) -> Maker:
    """Where the largest values of 2x2 windows of planes of twice these extents were."""
    h, w = shape[-2:]

    def make() -> np.ndarray:
        corner = np.arange(h)[:, None] * 4 * w + np.arange(w) * 2
        row, column = RANDOM.integers(0, 2, (2, *shape))
        return corner + row * 2 * w + column

    return make


MAP, DEEP, SMALL = (1, 64, 56, 56), (8, 256, 14, 14), (1, 512, 7, 7)
WIDE = (8, 64, 56, 56)
ROWS = (64, 197, 384)

OPERATORS: dict[str, dict[str, Operator]] = {
    "pools": {
        "max 2x2": op("max_pool2d", MAP, kernel_size=2),
        "max 3x3 s2": op("max_pool2d", WIDE, kernel_size=3, stride=2, padding=1),
        "max 3x3 s1 14px": op("max_pool2d", DEEP, kernel_size=3, stride=1, padding=1),
        "max 5x5 s1 20px": op("max_pool2d", (1, 128, 20, 20), kernel_size=5, stride=1, padding=2),
        "max 3x3 s2 7px": op("max_pool2d", SMALL, kernel_size=3, stride=2, padding=1),
        "avg 2x2": op("avg_pool2d", MAP, kernel_size=2),
        "avg 3x3 s1 14px": op("avg_pool2d", DEEP, kernel_size=3, stride=1, padding=1),
        "avg 3x3 s2 7px": op("avg_pool2d", SMALL, kernel_size=3, stride=2, padding=1),
        "adaptive avg 1": op("adaptive_avg_pool2d", (8, 512, 7, 7), output_size=1),
        "adaptive avg 7 of 15": op("adaptive_avg_pool2d", (4, 256, 15, 15), output_size=7),
        "adaptive avg 5 of 56": op("adaptive_avg_pool2d", MAP, output_size=5),
        "adaptive max 1": op("adaptive_max_pool2d", (8, 512, 7, 7), output_size=1),
        "adaptive max 7 of 14": op("adaptive_max_pool2d", DEEP, output_size=7),
        "adaptive max 7 of 15": op("adaptive_max_pool2d", (4, 256, 15, 15), output_size=7),
        "adaptive max 5 of 56": op("adaptive_max_pool2d", MAP, output_size=5),
        "lp 2 of 2x2": op("lp_pool2d", MAP, norm_type=2, kernel_size=2),
        "lp 3 of 3x3 s2": op(
            "lp_pool2d", between(0, 1, *MAP), norm_type=3, kernel_size=3, stride=2
        ),
        "unpool 2x2": op("max_unpool2d", (1, 64, 28, 28), places(1, 64, 28, 28), kernel_size=2),
    },
    "resize": {
        "nearest x2": op("interpolate", MAP, scale_factor=2.0),
        "nearest 14 to 56": op("interpolate", (8, 128, 14, 14), size=56),
        "nearest 56 to 41": op("interpolate", MAP, size=41),
        "nearest-exact x2": op("interpolate", MAP, scale_factor=2.0, mode="nearest-exact"),
        "linear x2": op("interpolate", (4, 64, 1000), scale_factor=2.0, mode="linear"),
        "bilinear x2": op("interpolate", MAP, scale_factor=2.0, mode="bilinear"),
        "bilinear x2 batch": op("interpolate", (8, 64, 28, 28), scale_factor=2.0, mode="bilinear"),
        "bilinear aligned 7 to 28": op(
            "interpolate", (4, 128, 7, 7), size=28, mode="bilinear", align_corners=True
        ),
        "bilinear 56 to 33": op("interpolate", MAP, size=33, mode="bilinear"),
        "bicubic x2": op("interpolate", (1, 3, 224, 224), scale_factor=2.0, mode="bicubic"),
        "bicubic 56 to 70": op("interpolate", MAP, size=70, mode="bicubic"),
        "trilinear x2": op("interpolate", (1, 16, 8, 28, 28), scale_factor=2.0, mode="trilinear"),
        "area 56 to 14": op("interpolate", MAP, size=14, mode="area"),
        "area 56 to 20": op("interpolate", MAP, size=20, mode="area"),
    },
    "pads": {
        "constant 1": op("pad", MAP, pad=(1, 1, 1, 1)),
        "constant 3 batch": op("pad", WIDE, pad=(3, 3, 3, 3)),
        "constant crop": op("pad", MAP, pad=(-2, -1, 3, -4)),
        "constant channels": op("pad", MAP, pad=(0, 0, 0, 0, 8, 8)),
        "reflect 1": op("pad", MAP, pad=(1, 1, 1, 1), mode="reflect"),
        "reflect 3": op("pad", (1, 3, 224, 224), pad=(3, 3, 3, 3), mode="reflect"),
        "replicate 1": op("pad", MAP, pad=(1, 1, 1, 1), mode="replicate"),
        "replicate 2 batch": op("pad", WIDE, pad=(2, 2, 2, 2), mode="replicate"),
        "circular 1": op("pad", MAP, pad=(1, 1, 1, 1), mode="circular"),
        "circular 7px": op("pad", SMALL, pad=(1, 1, 1, 1), mode="circular"),
        "replicate 3-d": op("pad", (1, 16, 8, 28, 28), pad=(1,) * 6, mode="replicate"),
    },
    "norms": {
        "batch": op("batch_norm", WIDE, (64,), between(0.5, 2, 64), (64,), (64,)),
        "batch training": op(
            "batch_norm", WIDE, (64,), between(0.5, 2, 64), (64,), (64,), training=True
        ),
        "batch training 7px": op(
            "batch_norm", (8, 512, 7, 7), (512,), between(0.5, 2, 512), (512,), (512,),
            training=True,
        ),
        "instance": op("instance_norm", WIDE),
        "group 8": op("group_norm", MAP, num_groups=8),
        "group 32": op("group_norm", DEEP, num_groups=32),
        "layer 384": op("layer_norm", ROWS, normalized_shape=(384,)),
        "rms 384": op("rms_norm", ROWS, normalized_shape=(384,)),
        "local response 5": op("local_response_norm", MAP, size=5),
        "local response 5 alexnet": op("local_response_norm", (8, 96, 27, 27), size=5),
        "normalize": op("normalize", (64, 2048)),
        "normalize channels": op("normalize", MAP),
        "softmax classes": op("softmax", (64, 1000), dim=1),
        "softmax channels": op("softmax", (2, 21, 128, 128), dim=1),
        "log softmax classes": op("log_softmax", (64, 1000), dim=1),
        "log softmax channels": op("log_softmax", (2, 21, 128, 128), dim=1),
    },
    "activations": {
        name: op(name, MAP)
        for name in (
            "relu", "relu6", "leaky_relu", "elu", "celu", "selu", "gelu", "silu", "mish", "sigmoid",
            "logsigmoid", "hardsigmoid", "hardswish", "hardtanh", "tanh", "softplus", "softsign",
            "tanhshrink", "softshrink", "hardshrink",
        )
    }
    | {
        "relu batch": op("relu", WIDE),
        "gelu batch": op("gelu", WIDE),
        "gelu tanh": op("gelu", MAP, approximate="tanh"),
        "prelu one": op("prelu", MAP, (1,)),
        "prelu channels": op("prelu", MAP, (64,)),
        "threshold": op("threshold", MAP, threshold=0.1, value=0.5),
        "glu channels": op("glu", MAP, dim=1),
    },
    "losses": {
        "cross entropy 1000": op("cross_entropy", (64, 1000), classes(1000, 64)),
        "cross entropy pixels": op("cross_entropy", (2, 21, 128, 128), classes(21, 2, 128, 128)),
        "cross entropy smooth": op(
            "cross_entropy", (64, 1000), classes(1000, 64), label_smoothing=0.1
        ),
        "nll": op("nll_loss", (64, 1000), classes(1000, 64)),
        "mse": op("mse_loss", MAP, MAP),
        "l1": op("l1_loss", MAP, MAP),
        "smooth l1": op("smooth_l1_loss", MAP, MAP),
        "huber": op("huber_loss", MAP, MAP),
        "bce": op("binary_cross_entropy", between(0.01, 0.99, *MAP), between(0, 1, *MAP)),
        "bce logits": op("binary_cross_entropy_with_logits", MAP, between(0, 1, *MAP)),
        "kl": op("kl_div", (64, 1000), between(0.01, 1, 64, 1000), reduction="batchmean"),
    },
    "rearrangements": {
        "pixel shuffle 2": op("pixel_shuffle", (1, 256, 28, 28), upscale_factor=2),
        "pixel unshuffle 2": op("pixel_unshuffle", MAP, downscale_factor=2),
        "channel shuffle 4": op("channel_shuffle", MAP, groups=4),
        "unfold 3x3": op("unfold", MAP, kernel_size=3, padding=1),
        "fold 3x3": op("fold", (1, 576, 784), output_size=(28, 28), kernel_size=3, padding=1),
    },
}  # fmt: skip


def calls_of(library: Any, wrap: Callable[[np.ndarray], Any], operator: Operator,
             arrays: list[np.ndarray], direction: str) -> Call:  # fmt: skip
    """The call in one library, whose functions and ``autograd.grad`` ours are named after."""
    function = getattr(library.nn.functional, operator.name)
    if direction == "forward":
        forward: Call = lambda: np.asarray(function(*map(wrap, arrays), **operator.options))  # noqa: E731
        return forward
    tensors = [wrap(a) for a in arrays]
    if operator.name == "batch_norm":  # the second and third are buffers, not to be changed
        tensors[1:3] = [wrap(a.copy()) for a in arrays[1:3]]
    wanted = tensors[:1]
    if operator.name in ("batch_norm", "prelu"):
        wanted = [tensors[0], *tensors[3:]] if operator.name == "batch_norm" else tensors
    for tensor in wanted:
        tensor.requires_grad_()
    y = function(*tensors, **operator.options)
    g = wrap(np.random.default_rng(1).standard_normal(tuple(y.shape)).astype(arrays[0].dtype))
    if y.ndim == 4 and arrays[0].ndim == 4 and not arrays[0].flags.c_contiguous:
        g = wrap(np.moveaxis(np.moveaxis(np.asarray(g), 1, -1).copy(), -1, 1))

    def backward() -> tuple[np.ndarray, ...]:
        grads = library.autograd.grad(y, wanted, g, retain_graph=True)
        return tuple(np.asarray(grad) for grad in grads)

    return backward


def contestants(operator: Operator, direction: str, dtype: str, last: bool,
                wanted: list[str]) -> dict[str, Call]:  # fmt: skip
    """The operator in each library, results compared."""
    arrays = operator.arrays(dtype, last)
    calls: dict[str, Call] = {}
    if "fastconv" in wanted:
        import fastconv
        import fastconv.nn.functional

        wrap = np.asarray if direction == "forward" else fastconv.tensor
        calls["fastconv"] = calls_of(fastconv, wrap, operator, arrays, direction)
    if "torch" in wanted:
        import torch

        call = calls_of(torch, torch.from_numpy, operator, arrays, direction)
        calls["torch"] = torch.inference_mode()(call) if direction == "forward" else call
    results = [np.atleast_1d(c()) if direction == "forward" else c() for c in calls.values()]
    if len(results) > 1:
        error = peers.largest_error(*results)
        if not error <= TOLERANCE[dtype]:
            raise SystemExit(f"{operator}, {direction}: fastconv differs from torch by {error:.1e}")
    return calls


def chosen(args: argparse.Namespace) -> Iterator[tuple[str, str, str, Operator]]:
    """The rows asked for, as (direction, family, label, operator)."""
    for direction in ("forward", "backward") if args.direction == "both" else (args.direction,):
        for family in args.family or OPERATORS:
            for label, operator in OPERATORS[family].items():
                if args.match is None or args.match in f"{label} {operator}":
                    yield direction, family, label, operator


def arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--family", nargs="+", choices=list(OPERATORS))
    parser.add_argument("--match", help="only rows whose label or call contains this")
    parser.add_argument("--direction", default="both", choices=["forward", "backward", "both"])
    parser.add_argument("--layout", default="first", choices=["first", "last"],
                        help="channels first or last in memory")  # fmt: skip
    parser.add_argument("--dtype", default="float32", choices=["float32", "float64"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=11, help="most turns per contestant")
    parser.add_argument("--seconds", type=float, default=0.12, help="time for each row")
    parser.add_argument("--json", type=Path, help="add the rows to this file")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    args = arguments(argv)
    wanted = list(peers.available(["fastconv", "torch"], args.threads))
    warm = WARM_SECONDS if args.threads > 1 else SETTLE_SECONDS / 4
    rows = []
    for direction, family, label, operator in chosen(args):
        calls = contestants(operator, direction, args.dtype, args.layout == "last", wanted)
        seconds = measure(calls, args.rounds, args.seconds, warm)
        detail = str(operator) + (" channels-last" if args.layout == "last" else "")
        detail += " f64" if args.dtype == "float64" else ""
        rows.append(Row(direction, args.threads, "operators", family, label, detail, seconds))
        times = "  ".join(f"{name} {s * 1e3:.4g}" for name, s in seconds.items())
        ratio = rows[-1].ratio("fastconv")
        shown = f"{ratio:5.2f}x" if ratio else ""
        print(f"{direction:9}{family:15}{label:26}{shown:8}{times} ms", flush=True)
    for title, group in report.sections(rows).items():
        print("\n" + title + "\n" + report.as_text(report.family_table(group)))
    if args.json:
        report.save(args.json, machine(), rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
