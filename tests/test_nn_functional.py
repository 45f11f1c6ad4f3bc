"""Operators on arrays and tensors: one row each, held to PyTorch and to central differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastconv.functional as F
from gradients import finite_differences, like_torch, torch

Row = tuple[str, Callable[..., Any], tuple[tuple[int, ...], ...]]


def row(name: str, call: Callable[..., Any], *shapes: tuple[int, ...]) -> Any:
    """`call` gets the functions (ours or PyTorch's), then inputs of `shapes`."""
    return pytest.param(call, shapes, id=name)


ROWS = [
    # activations
    row("relu", lambda F, x: F.relu(x), (3, 4)),
    row("relu6", lambda F, x: F.relu6(x * 5), (3, 4)),
    row("leaky_relu", lambda F, x: F.leaky_relu(x, 0.2), (3, 4)),
    row("prelu", lambda F, x, w: F.prelu(x, w), (2, 3, 4), (3,)),
    row("prelu one", lambda F, x, w: F.prelu(x, w), (2, 3, 4), (1,)),
    row("elu", lambda F, x: F.elu(x, 1.3), (3, 4)),
    row("celu", lambda F, x: F.celu(x, 1.3), (3, 4)),
    row("selu", lambda F, x: F.selu(x), (3, 4)),
    row("gelu", lambda F, x: F.gelu(x), (3, 4)),
    row("gelu tanh", lambda F, x: F.gelu(x, approximate="tanh"), (3, 4)),
    row("silu", lambda F, x: F.silu(x), (3, 4)),
    row("mish", lambda F, x: F.mish(x), (3, 4)),
    row("sigmoid", lambda F, x: F.sigmoid(x), (3, 4)),
    row("logsigmoid", lambda F, x: F.logsigmoid(x), (3, 4)),
    row("hardsigmoid", lambda F, x: F.hardsigmoid(x * 3), (3, 4)),
    row("hardswish", lambda F, x: F.hardswish(x * 3), (3, 4)),
    row("hardtanh", lambda F, x: F.hardtanh(x, -0.5, 0.7), (3, 4)),
    row("tanh", lambda F, x: F.tanh(x), (3, 4)),
    row("tanhshrink", lambda F, x: F.tanhshrink(x), (3, 4)),
    row("softplus", lambda F, x: F.softplus(x, 2, 1), (3, 4)),
    row("softsign", lambda F, x: F.softsign(x), (3, 4)),
    row("softshrink", lambda F, x: F.softshrink(x, 0.3), (3, 4)),
    row("hardshrink", lambda F, x: F.hardshrink(x, 0.3), (3, 4)),
    row("threshold", lambda F, x: F.threshold(x, 0.1, 20.0), (3, 4)),
    row("glu", lambda F, x: F.glu(x, 1), (3, 4)),
    row("softmax", lambda F, x: F.softmax(x, 1), (3, 4, 2)),
    row("softmin", lambda F, x: F.softmin(x, 1), (3, 4, 2)),
    row("log_softmax", lambda F, x: F.log_softmax(x, -1), (3, 4, 2)),
    # linear
    row("linear", lambda F, x, w, b: F.linear(x, w, b), (2, 3, 4), (5, 4), (5,)),
    row("linear one row", lambda F, x, w, b: F.linear(x, w, b), (4,), (5, 4), (5,)),
    row(
        "bilinear",
        lambda F, x, y, w, b: F.bilinear(x, y, w, b),
        (3, 4), (3, 2), (5, 4, 2), (5,),
    ),
    # norms
    row(
        "batch_norm",
        lambda F, x, w, b: F.batch_norm(x, None, None, w, b, True),
        (4, 3, 2, 5), (3,), (3,),
    ),
    row("batch_norm plain", lambda F, x: F.batch_norm(x, None, None, training=True), (4, 3)),
    row("group_norm", lambda F, x, w, b: F.group_norm(x, 2, w, b), (3, 4, 5), (4,), (4,)),
    row(
        "instance_norm",
        lambda F, x, w, b: F.instance_norm(x, weight=w, bias=b),
        (3, 4, 5, 2), (4,), (4,),
    ),
    row(
        "layer_norm",
        lambda F, x, w, b: F.layer_norm(x, (4, 5), w, b),
        (3, 4, 5), (4, 5), (4, 5),
    ),
    row("rms_norm", lambda F, x, w: F.rms_norm(x, (5,), w), (3, 4, 5), (5,)),
    row("local_response_norm", lambda F, x: F.local_response_norm(x, 3, 0.5, 0.7, 1.2), (2, 6, 3)),
    row("local_response_norm even", lambda F, x: F.local_response_norm(x, 4, 0.5), (2, 6, 3, 2)),
    row("normalize", lambda F, x: F.normalize(x, dim=1), (3, 4, 2)),
    # convolution and its transpose
    row("conv1d", lambda F, x, w, b: F.conv1d(x, w, b, 2, 1), (2, 3, 9), (4, 3, 3), (4,)),
    row(
        "conv2d",
        lambda F, x, w, b: F.conv2d(x, w, b, (2, 1), (1, 2), 1, 2),
        (2, 4, 7, 6), (6, 2, 3, 2), (6,),
    ),
    row("conv2d same", lambda F, x, w: F.conv2d(x, w, padding="same"), (3, 5, 6), (2, 3, 3, 3)),
    row("conv3d", lambda F, x, w: F.conv3d(x, w, dilation=2), (1, 2, 5, 5, 6), (3, 2, 2, 3, 2)),
    row(
        "conv_transpose1d",
        lambda F, x, w, b: F.conv_transpose1d(x, w, b, 3, 1, 2),
        (2, 3, 5), (3, 4, 4), (4,),
    ),
    row(
        "conv_transpose2d",
        lambda F, x, w, b: F.conv_transpose2d(x, w, b, 2, 1, 1, 2),
        (2, 4, 5, 4), (4, 3, 3, 3), (6,),
    ),
    row(
        "conv_transpose2d beyond",
        lambda F, x, w, b: F.conv_transpose2d(x, w, b, 1, 0, (2, 1), 1, 3),
        (2, 3, 4, 5), (3, 2, 2, 2), (2,),
    ),
    row(
        "conv_transpose3d",
        lambda F, x, w: F.conv_transpose3d(x, w, None, 2, (0, 1, 1)),
        (1, 2, 3, 3, 2), (2, 3, 2, 3, 3),
    ),
    # pools
    row("max_pool1d", lambda F, x: F.max_pool1d(x, 3, 2, 1), (2, 3, 9)),
    row("max_pool2d", lambda F, x: F.max_pool2d(x, 3, 2, 1, 1, True), (2, 3, 8, 7)),
    row("max_pool3d", lambda F, x: F.max_pool3d(x, 2), (2, 3, 4, 5, 4)),
    row("avg_pool1d", lambda F, x: F.avg_pool1d(x, 3, 2, 1), (2, 3, 9)),
    row("avg_pool2d", lambda F, x: F.avg_pool2d(x, 3, 2, 1, True, False), (2, 3, 8, 7)),
    row("avg_pool2d divisor", lambda F, x: F.avg_pool2d(x, (2, 3), divisor_override=5), (3, 8, 7)),
    row("avg_pool3d", lambda F, x: F.avg_pool3d(x, 2), (2, 3, 4, 5, 4)),
    row("adaptive_avg_pool1d", lambda F, x: F.adaptive_avg_pool1d(x, 4), (2, 3, 10)),
    row("adaptive_avg_pool2d", lambda F, x: F.adaptive_avg_pool2d(x, (3, None)), (2, 3, 7, 4)),
    row("adaptive_avg_pool2d larger", lambda F, x: F.adaptive_avg_pool2d(x, 9), (2, 3, 7, 4)),
    row("adaptive_avg_pool2d global", lambda F, x: F.adaptive_avg_pool2d(x, 1), (2, 3, 7, 4)),
    row("adaptive_avg_pool3d", lambda F, x: F.adaptive_avg_pool3d(x, 2), (1, 3, 5, 4, 4)),
    row("adaptive_max_pool1d", lambda F, x: F.adaptive_max_pool1d(x, 4), (2, 3, 10)),
    row("adaptive_max_pool2d", lambda F, x: F.adaptive_max_pool2d(x, (3, 5)), (2, 3, 7, 4)),
    row("adaptive_max_pool3d", lambda F, x: F.adaptive_max_pool3d(x, 2), (1, 3, 5, 4, 4)),
    row("lp_pool1d", lambda F, x: F.lp_pool1d(x * x + 1, 3, 2), (2, 3, 9)),
    row("lp_pool2d", lambda F, x: F.lp_pool2d(x, 2, 3, 2), (2, 3, 8, 7)),
    # resizing
    row("interpolate nearest", lambda F, x: F.interpolate(x, scale_factor=2), (2, 3, 4, 5)),
    row("interpolate nearest size", lambda F, x: F.interpolate(x, (7, 3)), (2, 3, 4, 5)),
    row(
        "interpolate nearest-exact",
        lambda F, x: F.interpolate(x, (7, 3), mode="nearest-exact"),
        (2, 3, 4, 5),
    ),
    row("interpolate linear", lambda F, x: F.interpolate(x, 7, mode="linear"), (2, 3, 5)),
    row(
        "interpolate bilinear",
        lambda F, x: F.interpolate(x, scale_factor=1.7, mode="bilinear"),
        (2, 3, 4, 5),
    ),
    row(
        "interpolate bilinear corners",
        lambda F, x: F.interpolate(x, (6, 2), mode="bilinear", align_corners=True),
        (2, 3, 4, 5),
    ),
    row(
        "interpolate bicubic",
        lambda F, x: F.interpolate(x, (6, 9), mode="bicubic"),
        (2, 3, 4, 5),
    ),
    row(
        "interpolate bicubic corners",
        lambda F, x: F.interpolate(x, (6, 3), mode="bicubic", align_corners=True),
        (2, 3, 4, 5),
    ),
    row(
        "interpolate trilinear",
        lambda F, x: F.interpolate(x, (3, 6, 5), mode="trilinear"),
        (1, 2, 4, 3, 5),
    ),
    row("interpolate area", lambda F, x: F.interpolate(x, (3, 2), mode="area"), (2, 3, 4, 5)),
    row(
        "interpolate recomputed",
        lambda F, x: F.interpolate(
            x, scale_factor=1.7, mode="bilinear", recompute_scale_factor=True
        ),
        (2, 3, 4, 5),
    ),
    row("pad", lambda F, x: F.pad(x, (1, 2, 0, 3), value=0.5), (2, 3, 4)),
    row("pad negative", lambda F, x: F.pad(x, (-1, 2, 1, -2)), (2, 3, 4)),
    row("pad reflect", lambda F, x: F.pad(x, (2, 1, 3, 0), mode="reflect"), (2, 3, 4, 5)),
    row("pad replicate", lambda F, x: F.pad(x, (6, 1, 2, 5), mode="replicate"), (2, 3, 4, 5)),
    row("pad circular", lambda F, x: F.pad(x, (2, 5, 3, 0), mode="circular"), (2, 3, 4, 5)),
    row("unfold", lambda F, x: F.unfold(x, (2, 3), 2, 1, (1, 2)), (2, 3, 6, 7)),
    row("fold", lambda F, x: F.fold(x, (5, 6), (2, 3), 1, 1, 2), (2, 12, 9)),
    row("pixel_shuffle", lambda F, x: F.pixel_shuffle(x, 2), (2, 8, 3, 4)),
    row("pixel_unshuffle", lambda F, x: F.pixel_unshuffle(x, 2), (2, 3, 4, 6)),
    row("channel_shuffle", lambda F, x: F.channel_shuffle(x, 3), (2, 6, 3, 4)),
    # losses
    row("mse_loss", lambda F, x, y: F.mse_loss(x, y), (3, 4), (3, 4)),
    row("l1_loss", lambda F, x, y: F.l1_loss(x, y, reduction="sum"), (3, 4), (3, 4)),
    row("smooth_l1_loss", lambda F, x, y: F.smooth_l1_loss(x, y, beta=0.7), (3, 4), (3, 4)),
    row("huber_loss", lambda F, x, y: F.huber_loss(x, y, delta=0.7), (3, 4), (3, 4)),
    row("bce", lambda F, x, y: F.binary_cross_entropy(F.sigmoid(x), F.sigmoid(y)), (3, 4), (3, 4)),
    row(
        "bce_with_logits",
        lambda F, x, y: F.binary_cross_entropy_with_logits(x, y),
        (3, 4), (3, 4),
    ),
    row(
        "kl_div",
        lambda F, x, y: F.kl_div(x, y, reduction="batchmean", log_target=True),
        (3, 4), (3, 4),
    ),
    row("cosine_similarity", lambda F, x, y: F.cosine_similarity(x, y), (3, 4), (3, 4)),
    row(
        "cross_entropy soft",
        lambda F, x, y: F.cross_entropy(x, F.softmax(y, 1), label_smoothing=0.2),
        (3, 4, 2), (3, 4, 2),
    ),
]  # fmt: skip


def samples(shapes: tuple[tuple[int, ...], ...], dtype: Any) -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    return [rng.normal(size=s).astype(dtype) for s in shapes]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("call", "shapes"), ROWS)
def test_as_pytorch(call: Callable[..., Any], shapes: Any, dtype: Any) -> None:
    tight = dtype == np.float64
    like_torch(
        lambda *x: call(F, *x),
        lambda *x: call(torch.nn.functional, *x),
        samples(shapes, dtype),
        rtol=1e-7 if tight else 2e-4,  # some of PyTorch's constants are float32 in float64 too
        atol=1e-8 if tight else 2e-5,
    )


@pytest.mark.parametrize(("call", "shapes"), ROWS)
def test_gradients(call: Callable[..., Any], shapes: Any) -> None:
    finite_differences(lambda *x: call(F, *x), samples(shapes, np.float64), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("shape", [(5,), (6, 5), (4, 5, 3)])
def test_cross_entropy(
    shape: tuple[int, ...], reduction: str, smoothing: float, weighted: bool
) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=shape)
    t = np.asarray(rng.integers(0, 5, (*shape[:1], *shape[2:]) if len(shape) > 1 else ()))
    if t.ndim:
        t.flat[1] = 2 if reduction == "none" else -100
    w = rng.uniform(0.5, 2, 5) if weighted else None

    def ours(x: Any, t: Any) -> Any:
        return F.cross_entropy(x, t, w, reduction=reduction, label_smoothing=smoothing)

    def theirs(x: Any, t: Any) -> Any:
        weight = None if w is None else torch.tensor(w)
        return torch.nn.functional.cross_entropy(
            x, t, weight, reduction=reduction, label_smoothing=smoothing
        )

    like_torch(ours, theirs, [x, t], rtol=1e-9, atol=1e-12)


def test_weights_of_binary_cross_entropy() -> None:
    rng = np.random.default_rng(0)
    x, t, w, p = rng.normal(size=(3, 4)), rng.random((3, 4)), rng.random((3, 4)), rng.random(4)
    chance = 1 / (1 + np.exp(-x))
    expected = -w * (p * t * np.log(chance) + (1 - t) * np.log(1 - chance))
    got = F.binary_cross_entropy_with_logits(x, t, w, reduction="none", pos_weight=p)
    np.testing.assert_allclose(got, expected)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_unpooling_puts_values_back(rank: int) -> None:
    rng = np.random.default_rng(0)
    x = rng.permutation(2 * 3 * 7**rank).reshape(2, 3, *(7,) * rank).astype(np.float64)
    pool, unpool = getattr(F, f"max_pool{rank}d"), getattr(F, f"max_unpool{rank}d")
    y, where = pool(x, 2, return_indices=True)
    back = unpool(y, where, 2, output_size=x.shape)
    assert back.shape == x.shape
    assert np.array_equal(np.unique(back), np.unique(np.append(y, 0)))
    finite_differences(lambda v: unpool(v, where, 2, output_size=x.shape), [y / y.size])
    with pytest.raises(ValueError, match="Found an invalid max index"):
        unpool(y, where + 10**6, 2)
    with pytest.raises(TypeError, match="int64"):
        unpool(y, where.astype(np.int32), 2)
    with pytest.raises(ValueError, match="invalid output_size"):
        unpool(y, where, 2, output_size=(20,) * rank)


def test_running_statistics_move_as_in_pytorch() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(2, 3, (5, 4, 3, 2)).astype(np.float32)
    mean, var = np.zeros(4, np.float32), np.ones(4, np.float32)
    F.batch_norm(x, mean, var, training=True, momentum=0.3)
    np.testing.assert_allclose(mean, 0.3 * x.mean((0, 2, 3)), rtol=1e-5)
    np.testing.assert_allclose(var, 0.7 + 0.3 * x.var((0, 2, 3), ddof=1), rtol=1e-5)
    y = F.batch_norm(x, mean, var)
    np.testing.assert_allclose(
        y, (x - mean[:, None, None]) / np.sqrt(var[:, None, None] + 1e-5), rtol=1e-4, atol=1e-5
    )


def test_batch_norm_of_nothing_leaves_the_statistics() -> None:
    mean, var = np.full(3, 2.0), np.full(3, 5.0)
    y = F.batch_norm(np.zeros((0, 3, 4)), mean, var, training=True)
    assert y.shape == (0, 3, 4)
    assert mean[0] == 2.0
    assert var[0] == 5.0


BAD = [
    ("batch_norm", lambda x: F.batch_norm(x[0, :, :1], x, x, training=True), "running_mean must"),
    ("batch_norm one", lambda x: F.batch_norm(x[:1, :, 0, 0], None, None, training=True), "more"),
    ("batch_norm eval", lambda x: F.batch_norm(x, None, None), "must be given when not training"),
    ("batch_norm weight", lambda x: F.batch_norm(x, x[0, 0, 0], None), "running_mean must"),
    ("group_norm", lambda x: F.group_norm(x, 2), "divisible by num_groups"),
    ("layer_norm", lambda x: F.layer_norm(x, (3,)), "Given normalized_shape"),
    ("linear", lambda x: F.linear(x, np.zeros((2, 3), np.float32)), "linear: weight"),
    ("pad", lambda x: F.pad(x, (1,)), "even number"),
    ("pad reflect", lambda x: F.pad(x, (4, 0), mode="reflect"), "should be less"),
    ("pad circular", lambda x: F.pad(x, (5, 0), mode="circular"), "wrapping around"),
    ("pad mode", lambda x: F.pad(x, (1, 1), mode="mirror"), "mode must be"),
    ("interpolate none", lambda x: F.interpolate(x), "either size or scale_factor"),
    ("interpolate both", lambda x: F.interpolate(x, 3, 2), "only one of size or scale_factor"),
    ("interpolate mode", lambda x: F.interpolate(x, 3, mode="linear"), "needs 3 axes"),
    ("interpolate corners", lambda x: F.interpolate(x, 3, align_corners=True), "align_corners"),
    ("unfold", lambda x: F.unfold(x, 9), "sliding blocks"),
    ("fold", lambda x: F.fold(x[0], (3, 4), 2), "sliding"),
    ("pixel_shuffle", lambda x: F.pixel_shuffle(x, 2), "divisible"),
    ("dropout", lambda x: F.dropout(x, 1.5), "between 0 and 1"),
    ("nll target", lambda x: F.nll_loss(x[:, :, 0, 0], np.array([0, 9])), "out of bounds"),
    ("nll dtype", lambda x: F.nll_loss(x[:, :, 0, 0], np.array([0.0, 1.0])), "integers"),
    ("cross_entropy", lambda x: F.cross_entropy(x, np.array([1, 2])), "target must have shape"),
    ("bce", lambda x: F.binary_cross_entropy(x - 5, x), "between 0 and 1"),
    ("reduction", lambda x: F.mse_loss(x, x, reduction="max"), "reduction must be"),
    ("conv_transpose", lambda x: F.conv_transpose2d(x[0], x), "expected input to"),
    ("adaptive", lambda x: F.adaptive_avg_pool2d(x, -1), "none negative"),
    ("glu", lambda x: F.glu(x, 1), "even"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "message"), [b[1:] for b in BAD], ids=[b[0] for b in BAD])
def test_bad_input(call: Callable[..., Any], message: str) -> None:
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 4)).astype(np.float32)
    with pytest.raises((ValueError, TypeError, IndexError), match=message):
        call(x)


def test_transposed_convolution_rejects_as_documented() -> None:
    x, w = np.zeros((1, 4, 5, 5)), np.zeros((4, 2, 3, 3))
    for kwargs, message in (
        ({"output_padding": 1}, "output padding must be smaller"),
        ({"output_padding": -1}, "negative output_padding"),
        ({"stride": 0}, "non-positive stride"),
        ({"padding": -1}, "negative padding"),
        ({"dilation": 0}, "dilation should be greater than zero"),
        ({"groups": 3}, "groups=3"),
        ({"padding": 6}, "Output size is too small"),
        ({"bias": np.zeros(5)}, "bias of size"),
        ({"out": np.zeros(3)}, "out must be"),
    ):
        with pytest.raises(ValueError, match=message):
            F.conv_transpose2d(x, w, **kwargs)
    with pytest.raises(TypeError, match="one dtype"):
        F.conv_transpose2d(x, w.astype(np.float32))


def test_dropout_keeps_the_mean_and_its_own_gradient() -> None:
    import fastconv

    fastconv.manual_seed(0)
    x = fastconv.ones(200, 50, requires_grad=True)
    y = F.dropout(x, 0.25)
    assert abs(y.mean().item() - 1) < 0.03
    assert set(np.unique(y.detach().numpy())) == {np.float32(0), np.float32(1 / 0.75)}
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), y.detach().numpy())
    whole = F.dropout2d(np.ones((50, 20, 3, 3), np.float32), 0.5)
    assert (whole == whole[:, :, :1, :1]).all()
    assert F.dropout(x, 0.5, training=False) is x


def test_gradients_are_plain_functions_too() -> None:
    rng = np.random.default_rng(0)
    x, w, g = rng.normal(size=(2, 3, 6, 6)), rng.normal(size=(4, 3, 3, 3)), None
    y = F.conv2d(x, w)
    g = rng.normal(size=y.shape)
    grads = F.conv2d_backward(g, x, w)
    np.testing.assert_allclose(grads.input, F.conv2d_input(x.shape, w, g))
    np.testing.assert_allclose(grads.weight, F.conv2d_weight(x, w.shape, g))
    np.testing.assert_allclose(grads.bias, F.conv2d_bias(g))
    assert F.conv2d_backward(g, x, w, need=(False, True, False))[::2] == (None, None)
    up = F.conv_transpose2d(y, w)
    back = F.conv_transpose2d_backward(rng.normal(size=up.shape), y, w)
    assert back.input.shape == y.shape
    assert back.weight.shape == w.shape
    pooled, where = F.max_pool2d(x, 2, return_indices=True)
    assert F.max_pool2d_backward(pooled, x, where, 2).sum() == pytest.approx(pooled.sum())
    assert F.avg_pool2d_backward(pooled, x, 2).sum() == pytest.approx(pooled.sum())


def test_output_size() -> None:
    assert F.conv_output_size(28, 8) == 21
    assert F.conv_output_size((32, 30), 5, 2, padding=(2, 0)) == (16, 13)
    assert F.conv_output_size((7, 8), 3, padding="same", dilation=2) == (7, 8)
    assert F.conv_output_size(7, 3, padding="valid") == 5
    assert F.conv_output_size((7, 7), 2, padding=((0, 1), (2, 0))) == (7, 8)
    with pytest.raises(ValueError, match="kernel reaches over 9"):
        F.conv_output_size(7, 9)
    with pytest.raises(ValueError, match="not supported for strided"):
        F.conv_output_size(7, 3, 2, padding="same")
