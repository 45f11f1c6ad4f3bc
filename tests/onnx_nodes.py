"""The ONNX standard's operators in terms of ours.

One function a row of `NODES`, given the node's attributes and its inputs; it raises `Inexpressible`
where PyTorch's vocabulary has no such thing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import fastconv.nn.functional as F

NODES: dict[str, Callable[..., Any]] = {}


class Inexpressible(Exception):
    """PyTorch's functions, and so ours, do not have this."""


def node(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return lambda function: NODES.setdefault(name, function)


def ranked(name: str, x: Any) -> Any:
    return getattr(F, f"{name}{x.ndim - 2}d")


def crops(pairs: Any) -> list[int]:
    """Arguments of `F.pad` that cut so many elements from the front and the back of each axis."""
    return [-n for pair in reversed(pairs) for n in pair]


class Geometry:
    """Strides, dilations and pads, each one number (or one pair) per axis of the picture."""

    def __init__(self, a: dict[str, Any], x: Any, kernel: Any) -> None:
        rank = x.ndim - 2
        self.kernel = tuple(kernel)
        self.stride = tuple(a.get("strides", [1] * rank))
        self.dilation = tuple(a.get("dilations", [1] * rank))
        self.reach = tuple(d * (k - 1) + 1 for d, k in zip(self.dilation, kernel, strict=True))
        self.auto = a.get("auto_pad", b"NOTSET").decode().lower()
        ends = a.get("pads", [0] * 2 * rank)
        self.pads: Any = tuple(zip(ends[:rank], ends[rank:], strict=True))

    def spread(self, x: Any) -> tuple[tuple[int, int], ...]:
        """The pads, with SAME_UPPER and SAME_LOWER in numbers: as many outputs as n / stride."""
        if not self.auto.startswith("same"):
            return self.pads
        total = [
            max((-(-n // s) - 1) * s + e - n, 0)
            for n, s, e in zip(x.shape[2:], self.stride, self.reach, strict=True)
        ]
        return self.halves(total)

    def halves(self, total: Any) -> tuple[tuple[int, int], ...]:
        if self.auto == "same_upper":
            return tuple((t // 2, t - t // 2) for t in total)
        return tuple((t - t // 2, t // 2) for t in total)


# ---- convolution ---------------------------------------------------------------------------------


@node("Conv")
def conv(a: dict[str, Any], x: Any, w: Any, b: Any = None) -> Any:
    g = Geometry(a, x, w.shape[2:])
    padding = g.pads if g.auto == "notset" else g.auto
    return ranked("conv", x)(x, w, b, g.stride, padding, g.dilation, a.get("group", 1))


@node("ConvInteger")
def conv_integer(a: dict[str, Any], x: Any, w: Any, x_zero: Any = 0, w_zero: Any = 0) -> Any:
    """The zero points multiplied out: sum (x - x0)(w - w0), padding being x0."""
    g = Geometry(a, x, w.shape[2:])
    x0 = int(x_zero)
    w0 = np.reshape(w_zero, (-1, 1, 1)).astype(np.int32)
    x = F.pad(x, [n for pair in reversed(g.pads) for n in pair], value=x0)

    def sums(x: Any, w: Any) -> Any:
        return F.conv2d(x, w, None, g.stride, 0, g.dilation, a.get("group", 1), out_dtype=np.int32)

    ones, taps = np.ones_like(x), np.ones_like(w)
    return sums(x, w) - x0 * sums(ones, w) - w0 * sums(x, taps) + x0 * w0 * sums(ones, taps)


@node("ConvTranspose")
def conv_transpose(a: dict[str, Any], x: Any, w: Any, b: Any = None) -> Any:
    g = Geometry(a, x, w.shape[2:])
    more = tuple(a.get("output_padding", [0] * len(g.kernel)))
    whole = [(n - 1) * s + e for n, s, e in zip(x.shape[2:], g.stride, g.reach, strict=True)]
    pads, target = g.pads, a.get("output_shape")
    if target is None and g.auto.startswith("same"):
        target = [n * s for n, s in zip(x.shape[2:], g.stride, strict=True)]
    if target is not None:
        more = tuple(max(t - n, 0) for t, n in zip(target, whole, strict=True))
        pads = g.halves([max(n - t, 0) for t, n in zip(target, whole, strict=True)])
    y = ranked("conv_transpose", x)(x, w, b, g.stride, 0, more, a.get("group", 1), g.dilation)
    return F.pad(y, crops(pads))


@node("Col2Im")
def col2im(a: dict[str, Any], x: Any, shape: Any, block: Any) -> Any:
    if len(block) != 2:
        raise Inexpressible("fold of other than two axes")
    g = Geometry(a, np.empty((1, 1, *shape), bool), block)
    whole = tuple(int(n) + sum(pair) for n, pair in zip(shape, g.pads, strict=True))
    return F.pad(F.fold(x, whole, g.kernel, g.dilation, 0, g.stride), crops(g.pads))


# ---- pooling -------------------------------------------------------------------------------------


@node("MaxPool")
def max_pool(a: dict[str, Any], x: Any) -> Any:
    g = Geometry(a, x, a["kernel_shape"])
    y, at = ranked("max_pool", x)(
        x, g.kernel, g.stride, g.spread(x), g.dilation, bool(a.get("ceil_mode")), True
    )
    if a.get("storage_order"):
        at = np.ravel_multi_index(np.unravel_index(at, x.shape[2:]), x.shape[2:], order="F")
    planes = np.arange(math.prod(x.shape[:2])).reshape(x.shape[:2] + (1,) * len(g.kernel))
    return y, at + planes * math.prod(x.shape[2:])  # ONNX counts through the whole array


@node("AveragePool")
def average_pool(a: dict[str, Any], x: Any) -> Any:
    g = Geometry(a, x, a["kernel_shape"])
    ceil, count = bool(a.get("ceil_mode")), bool(a.get("count_include_pad"))
    pool = ranked("avg_pool", x)
    return pool(x, g.kernel, g.stride, g.spread(x), ceil, count, dilation=g.dilation)


@node("LpPool")
def lp_pool(a: dict[str, Any], x: Any) -> Any:
    """PyTorch's has no padding or dilation, and no absolute values where p is odd."""
    g, p = Geometry(a, x, a["kernel_shape"]), a.get("p", 2)
    ceil, pads = bool(a.get("ceil_mode")), g.spread(x)
    if g.dilation == (1,) * len(g.kernel) and not ceil:
        padded = F.pad(F.abs(x), [n for pair in reversed(pads) for n in pair])
        return ranked("lp_pool", x)(padded, p, g.kernel, g.stride)
    powers = F.pow(F.abs(x), p)
    sums = ranked("avg_pool", x)(
        powers, g.kernel, g.stride, pads, ceil, True, 1, dilation=g.dilation
    )
    return F.pow(sums, 1 / p)


@node("MaxUnpool")
def max_unpool(a: dict[str, Any], x: Any, at: Any, shape: Any = None) -> Any:
    g = Geometry(a, x, a["kernel_shape"])
    size = [(n - 1) * s + k for n, s, k in zip(x.shape[2:], g.stride, g.kernel, strict=True)]
    y = ranked("max_unpool", x)(x, at % math.prod(size), g.kernel, g.stride)
    if shape is None:
        return y
    return F.pad(y, [v for n, m in zip(shape[:1:-1], size[::-1], strict=True) for v in (0, n - m)])


NODES["GlobalAveragePool"] = lambda a, x: ranked("adaptive_avg_pool", x)(x, 1)
NODES["GlobalMaxPool"] = lambda a, x: ranked("adaptive_max_pool", x)(x, 1)


# ---- padding and resizing ------------------------------------------------------------------------


@node("Pad")
def pad(a: dict[str, Any], x: Any, pads: Any, value: Any = None, axes: Any = None) -> Any:
    mode = a.get("mode", b"constant").decode()
    mode = {"edge": "replicate", "wrap": "circular"}.get(mode, mode)
    ends = [[0, 0] for _ in x.shape]
    for i, axis in enumerate(range(x.ndim) if axes is None else axes):
        ends[axis] = [int(pads[i]), int(pads[i + len(pads) // 2])]
    value = value.item() if value is not None and mode == "constant" else None
    while len(ends) > 1 and ends[0] == [0, 0] and mode != "constant":
        del ends[0]  # not to name axes that PyTorch can not reflect
    return F.pad(x, [n for pair in reversed(ends) for n in pair], mode, value)


@node("Upsample")
def upsample(a: dict[str, Any], x: Any, scales: Any) -> Any:
    return F.interpolate(x, None, tuple(float(s) for s in scales[2:]))


@node("Resize")
def resize(
    a: dict[str, Any], x: Any, roi: Any = None, scales: Any = None, sizes: Any = None
) -> Any:
    mode = a.get("mode", b"nearest").decode()
    place = a.get("coordinate_transformation_mode", b"half_pixel").decode()
    policy = a.get("keep_aspect_ratio_policy", b"stretch").decode()
    if a.get("exclude_outside") or policy != "stretch" or x.ndim != 4 or a.get("antialias"):
        raise Inexpressible("other rules for the edges or the aspect ratio")
    axes = a.get("axes", range(4))
    given = dict(zip(axes, sizes if sizes is not None else scales, strict=True))
    if any(given.get(i, n) not in (n, 1.0) for i, n in enumerate(x.shape[:2])):
        raise Inexpressible("resizing of batch or channels")
    size = None if sizes is None else tuple(int(given.get(i, x.shape[i])) for i in (2, 3))
    scale = None if scales is None else tuple(float(given.get(i, 1.0)) for i in (2, 3))
    picture = x.shape[2:]
    outputs = size or tuple(math.floor(n * s) for n, s in zip(picture, scale, strict=True))
    steps = [1 / s for s in scale] if scale else [n / o for n, o in zip(picture, size, strict=True)]
    if mode == "nearest":
        rule = a.get("nearest_mode", b"round_prefer_floor").decode()
        if (place, rule) == ("asymmetric", "floor"):
            return F.interpolate(x, size, scale, "nearest")
        # nearest-exact rounds halves up.
        ties = any(
            ((np.arange(o) + 0.5) * s % 1 == 0).any() for o, s in zip(outputs, steps, strict=True)
        )
        if place != "half_pixel" or rule not in ("round_prefer_floor", "round_prefer_ceil") or ties:
            raise Inexpressible(f"nearest by {rule} of {place}")
        return F.interpolate(x, size, scale, "nearest-exact")
    if mode == "cubic" and a.get("cubic_coeff_a", -0.75) != -0.75:
        raise Inexpressible("another sharpness of cubics")
    if place == "align_corners":
        if any(o * s != n for n, o, s in zip(picture, outputs, steps, strict=True)):
            raise Inexpressible("aligned corners of a fractional extent")
    elif place != "half_pixel" and (place != "pytorch_half_pixel" or 1 in outputs):
        raise Inexpressible(f"coordinates by {place}")
    mode = {"linear": "bilinear", "cubic": "bicubic"}[mode]
    return F.interpolate(x, size, scale, mode, align_corners=place == "align_corners")


@node("DepthToSpace")
def depth_to_space(a: dict[str, Any], x: Any) -> Any:
    b = a["blocksize"]
    if a.get("mode", b"DCR") == b"DCR":
        n, c, *picture = x.shape
        x = x.reshape(n, b * b, c // (b * b), *picture).swapaxes(1, 2).reshape(x.shape)
    return F.pixel_shuffle(x, b)


@node("SpaceToDepth")
def space_to_depth(a: dict[str, Any], x: Any) -> Any:
    b = a["blocksize"]
    y = F.pixel_unshuffle(x, b)
    if a.get("mode", b"DCR") == b"CRD":
        return y
    n, c, *picture = y.shape
    return y.reshape(n, c // (b * b), b * b, *picture).swapaxes(1, 2).reshape(y.shape)


# ---- normalisation -------------------------------------------------------------------------------


@node("BatchNormalization")
def batch_norm(a: dict[str, Any], x: Any, w: Any, b: Any, mean: Any, var: Any) -> Any:
    eps, momentum = a.get("epsilon", 1e-5), 1 - a.get("momentum", 0.9)
    if not a.get("training_mode"):
        return F.batch_norm(x, mean, var, w, b, eps=eps)
    new_mean, new_var = mean.copy(), var.copy()
    y = F.batch_norm(x, new_mean, new_var, w, b, True, momentum, eps)
    # ONNX keeps the variance of the batch as it is; PyTorch makes it an unbiased estimate.
    count, kept = x.size // x.shape[1], var * (1 - momentum)
    return y, new_mean, (kept + (new_var - kept) * ((count - 1) / count)).astype(var.dtype)


@node("LayerNormalization")
def layer_norm(a: dict[str, Any], x: Any, w: Any, b: Any = None) -> Any:
    shape = x.shape[a.get("axis", -1) :]
    b = None if b is None else b.reshape(shape)
    return (F.layer_norm(x, shape, w.reshape(shape), b, a.get("epsilon", 1e-5)),)


@node("RMSNormalization")
def rms_norm(a: dict[str, Any], x: Any, w: Any) -> Any:
    shape = x.shape[a.get("axis", -1) :]
    return F.rms_norm(x, shape, w.reshape(shape), a.get("epsilon", 1e-5))


@node("LRN")
def lrn(a: dict[str, Any], x: Any) -> Any:
    alpha, beta, k = a.get("alpha", 1e-4), a.get("beta", 0.75), a.get("bias", 1.0)
    return F.local_response_norm(x, a["size"], alpha, beta, k)


NODES |= {
    "GroupNormalization": lambda a, x, w, b: F.group_norm(
        x, a["num_groups"], w, b, a.get("epsilon", 1e-5)
    ),
    "InstanceNormalization": lambda a, x, w, b: F.instance_norm(
        x, weight=w, bias=b, eps=a.get("epsilon", 1e-5)
    ),
    "LpNormalization": lambda a, x: F.normalize(x, a.get("p", 2), a.get("axis", -1)),
    "MeanVarianceNormalization": lambda a, x: F.batch_norm(x, None, None, training=True, eps=1e-12),
}


# ---- activations and losses ----------------------------------------------------------------------

SAME = "abs ceil cos erf exp floor log mish neg reciprocal relu round sigmoid sign sin softplus"
for name in f"{SAME} softsign sqrt tan tanh".split():
    NODES[name.capitalize()] = lambda a, x, name=name: getattr(F, name)(x)
NODES |= {
    "HardSwish": lambda a, x: F.hardswish(x),
    "HardSigmoid": lambda a, x: F.hardsigmoid(
        (x * a.get("alpha", 0.2) + a.get("beta", 0.5)) * x.dtype.type(6) - 3
    ).astype(x.dtype),
    "LeakyRelu": lambda a, x: F.leaky_relu(x, a.get("alpha", 0.01)),
    "Elu": lambda a, x: F.elu(x, a.get("alpha", 1.0)),
    "Celu": lambda a, x: F.celu(x, a.get("alpha", 1.0)),
    "Selu": lambda a, x: F.elu(x, a["alpha"]) * x.dtype.type(a["gamma"]) if a else F.selu(x),
    "Gelu": lambda a, x: F.gelu(x, a.get("approximate", b"none").decode()),
    "PRelu": lambda a, x, slope: F.relu(x) - slope * F.relu(-x),  # any shape of slope
    "Swish": lambda a, x: F.silu(x * x.dtype.type(a.get("alpha", 1))) / a.get("alpha", 1),
    "ThresholdedRelu": lambda a, x: F.threshold(x, a.get("alpha", 1.0), 0.0),
    "Softmax": lambda a, x: F.softmax(x, a.get("axis", -1)),
    "LogSoftmax": lambda a, x: F.log_softmax(x, a.get("axis", -1)),
}


@node("Shrink")
def shrink(a: dict[str, Any], x: Any) -> Any:
    if a.get("bias", 0.0) == 0:
        return F.hardshrink(x, a["lambd"])
    if a["bias"] != a["lambd"]:
        raise Inexpressible("a bias of its own")
    return F.softshrink(x, a["lambd"])


@node("Clip")
def clip(a: dict[str, Any], x: Any, low: Any = None, high: Any = None) -> Any:
    if low is None and high is None:
        return x
    return F.clamp(x, None if low is None else low.item(), None if high is None else high.item())


@node("Dropout")
def dropout(a: dict[str, Any], x: Any, ratio: Any = 0.5, training: Any = False) -> Any:
    if training and ratio:
        raise Inexpressible("another generator of chance")
    return F.dropout(x, float(ratio), bool(training)), np.ones(x.shape, bool)


@node("OneHot")
def one_hot(a: dict[str, Any], classes: Any, depth: Any, values: Any) -> Any:
    depth = int(np.asarray(depth).item())
    outside = (classes < -depth) | (classes >= depth)
    hot = F.one_hot(np.where(outside, 0, classes % depth).astype(np.int64), depth)
    hot = np.moveaxis(hot * ~outside[..., None], -1, a.get("axis", -1))
    return F.where(hot.astype(bool), values[1], values[0])


def _reduction(a: dict[str, Any]) -> dict[str, Any]:
    kind = a.get("reduction", b"mean").decode()
    return {"ignore_index": a.get("ignore_index", -100), "reduction": kind}


@node("NegativeLogLikelihoodLoss")
def nll_loss(a: dict[str, Any], x: Any, target: Any, weight: Any = None) -> Any:
    return F.nll_loss(x, target, weight, **_reduction(a))


@node("SoftmaxCrossEntropyLoss")
def cross_entropy(a: dict[str, Any], x: Any, target: Any, weight: Any = None) -> Any:
    return F.cross_entropy(x, target, weight, **_reduction(a)), F.log_softmax(x, 1)


# ---- positions -----------------------------------------------------------------------------------


@node("GridSample")
def grid_sample(a: dict[str, Any], x: Any, grid: Any) -> Any:
    mode = a.get("mode", b"linear").decode()
    mode = {"linear": "bilinear", "cubic": "bicubic"}.get(mode, mode)
    padding, corners = a.get("padding_mode", b"zeros").decode(), bool(a.get("align_corners", 0))
    if x.ndim == 5 and mode == "bicubic":
        raise Inexpressible("cubic volumes")
    return F.grid_sample(x, grid, mode, padding, corners)


@node("AffineGrid")
def affine_grid(a: dict[str, Any], theta: Any, size: Any) -> Any:
    return F.affine_grid(theta, [int(n) for n in size], bool(a.get("align_corners", 0)))


# ---- products and sums ---------------------------------------------------------------------------


@node("Gemm")
def gemm(a: dict[str, Any], x: Any, w: Any, c: Any = 0) -> Any:
    x, w = (x.T if a.get("transA") else x), (w.T if a.get("transB") else w)
    alpha, beta = a.get("alpha", 1.0), a.get("beta", 1.0)
    return F.addmm(np.asarray(c, x.dtype), x, w, beta=beta, alpha=alpha)


def _reduce(function: Callable[..., Any]) -> Callable[..., Any]:
    def run(a: dict[str, Any], x: Any, axes: Any = None) -> Any:
        axes = a.get("axes", axes)
        if axes is None or len(axes) == 0:
            if a.get("noop_with_empty_axes"):
                raise Inexpressible("no axes that mean no reduction")
            axes = range(x.ndim)
        return function(x, tuple(int(i) for i in axes), bool(a.get("keepdims", 1)))

    return run


NODES |= {
    "MatMul": lambda a, x, y: F.matmul(x, y),
    "Einsum": lambda a, *x: F.einsum(a["equation"].decode(), *x),
    "Concat": lambda a, *x: F.cat(x, a["axis"]),
    "ReduceMean": _reduce(F.mean),
    "ReduceSum": _reduce(F.sum),
    "ReduceLogSumExp": _reduce(F.logsumexp),
    "ReduceL1": _reduce(lambda x, axes, keep: F.norm(x, 1, axes, keep)),
    "ReduceL2": _reduce(lambda x, axes, keep: F.norm(x, 2, axes, keep)),
}
