"""What operators do beside giving a value: running statistics, chance, sizes."""

from __future__ import annotations

import numpy as np
import pytest

import fastconv
import fastconv.functional as F
from fastconv.functional import conv_padded


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


def test_dropout_keeps_the_mean_and_its_own_gradient() -> None:
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


def test_alpha_dropout_keeps_mean_and_variance() -> None:
    fastconv.manual_seed(0)
    x = np.random.default_rng(0).normal(size=(300, 40, 5)).astype(np.float32)
    for drop in (F.alpha_dropout, F.feature_alpha_dropout):
        y = drop(x, 0.2, training=True)
        assert y.dtype == np.float32
        assert abs(y.mean()) < 0.05
        assert abs(y.std() - 1) < 0.05
        values, counts = np.unique(y, return_counts=True)
        dropped = y == values[counts.argmax()]
        assert abs(dropped.mean() - 0.2) < 0.02
        if drop is F.feature_alpha_dropout:
            assert (dropped == dropped[..., :1]).all()
        assert drop(x, 0.2) is x


def test_rrelu_draws_slopes_while_training() -> None:
    fastconv.manual_seed(0)
    x = fastconv.tensor(np.full((50, 40), -2.0), requires_grad=True)
    y = F.rrelu(x, 0.1, 0.3, training=True)
    slopes = y.detach().numpy() / -2
    assert 0.1 <= slopes.min() < 0.12 < 0.28 < slopes.max() <= 0.3
    y.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), slopes)


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


@np.errstate(all="ignore")
@pytest.mark.parametrize("shape", [(2, 3, 5, 4), (1, 70, 31, 17), (3, 4, 2000), (2, 3, 2, 3, 9)])
def test_scaling_channels_is_ordinary_multiplication(shape: tuple[int, ...]) -> None:
    """Squeeze and excitation: one number a channel and image, by the compiled rows."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal(shape).astype(np.float32)
    x.flat[:5] = -0.0, 0.0, np.inf, -np.inf, np.nan
    s = rng.standard_normal((*shape[:2], *(1,) * (len(shape) - 2))).astype(np.float32)
    s.flat[1] = 0
    expected = x * s
    for y in (F.mul(x, s), F.mul(s, x), F.mul(fastconv.tensor(x), s).numpy()):
        np.testing.assert_array_equal(y, expected)
        np.testing.assert_array_equal(np.signbit(y), np.signbit(expected))
    wide = np.ascontiguousarray(np.swapaxes(x, 1, -1))  # these do not lie in rows
    for other in (s[:1], s[:, :1], x[..., :1], np.swapaxes(s, 1, -1)):
        for a in (x, wide, x[..., ::-1]):
            try:
                expected = a * other
            except ValueError:
                continue
            np.testing.assert_array_equal(F.mul(a, other), expected)
    with pytest.raises(ValueError, match="mul: other must have one number"):
        fastconv._core.scale_rows(x, s[:, :2])


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_padding_modes_a_few_pictures_at_a_time(
    mode: str, rank: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same as padding the whole batch first: values, gradients, memory format."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(5, 4, *(7, 6, 5)[:rank]))
    w, b = rng.normal(size=(6, 2, *[3] * rank)), rng.normal(size=6)
    sides = [1, 2, 2, 0, 1, 1][: 2 * rank]
    convolve = getattr(F, f"conv{rank}d")
    for at_once in (1, 3 * x[0].nbytes, 1 << 20):
        monkeypatch.setattr(conv_padded, "AT_ONCE", at_once)
        for batch in (x, np.moveaxis(np.moveaxis(x, 1, -1).copy(), -1, 1), x[0]):
            ours, plain = (
                [fastconv.tensor(v, requires_grad=True) for v in (batch, w, b)] for _ in range(2)
            )
            y = conv_padded.conv_padded(*ours, sides, mode, 2, 1, 2, "relu")
            expected = F.relu(
                convolve(F.pad(plain[0], sides, mode), *plain[1:], stride=2, groups=2)
            )
            assert y.numpy(force=True).strides == expected.numpy(force=True).strides
            np.testing.assert_allclose(y.numpy(force=True), expected.numpy(force=True), rtol=1e-12)
            g = rng.normal(size=y.shape)
            y.backward(g)
            expected.backward(g)
            for mine, theirs in zip(ours, plain, strict=True):
                np.testing.assert_allclose(mine.grad.numpy(), theirs.grad.numpy(), atol=1e-11)
    with pytest.raises(ValueError, match=f"conv{rank}d: Expected"):
        conv_padded.conv_padded(x[0, 0], w, b, sides, mode, 1, 1, 2)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rows", [1, 2, 17, 32, 33])
@pytest.mark.parametrize(("inputs", "outputs"), [(1, 1), (5, 3), (70, 33), (64, 32), (257, 10)])
def test_linear_of_few_and_many_rows(inputs: int, outputs: int, rows: int, dtype: type) -> None:
    """Whole numbers: exact in any order of summation, by whatever way it is computed."""
    rng = np.random.default_rng(0)
    x, w, b, g = (
        rng.integers(-8, 9, shape).astype(dtype)
        for shape in ((rows, inputs), (outputs, inputs), (outputs,), (rows, outputs))
    )
    np.testing.assert_array_equal(F.linear(x, w, b), x @ w.T + b)
    np.testing.assert_array_equal(F.linear(x, w), x @ w.T)
    np.testing.assert_array_equal(F.linear(x[::-1], w[:, ::-1], b), x[::-1] @ w[:, ::-1].T + b)
    grads = F.linear_backward(g, x, w)
    for got, expected in zip(grads, (g @ w, g.T @ x, g.sum(0)), strict=True):
        assert got.dtype == dtype
        np.testing.assert_array_equal(got, expected)
    some = F.linear_backward(g, x, w, need=(False, True, False))
    assert some.input is None
    assert some.bias is None
    np.testing.assert_array_equal(some.weight, g.T @ x)
    tensors = [fastconv.tensor(v).requires_grad_() for v in (x, w, b)]
    F.linear(*tensors).backward(fastconv.tensor(g))
    for tensor, expected in zip(tensors, (g @ w, g.T @ x, g.sum(0)), strict=True):
        np.testing.assert_array_equal(tensor.grad.numpy(), expected)


def test_the_compiled_linear_refuses() -> None:
    core, x, w = fastconv._core, np.ones((3, 4), np.float32), np.ones((2, 4), np.float32)
    for call in (
        lambda: core.linear(x, w[:, :3], None),
        lambda: core.linear(x[0], w, None),
        lambda: core.linear(x, w, w[0]),
        lambda: core.linear_backward(x, x, w, (True, True, True)),
    ):
        with pytest.raises(ValueError, match="linear"):
            call()
    for call in (
        lambda: core.linear(x, w.astype(np.float64), None),
        lambda: core.linear_backward(x[:, :2], x, w, None),
    ):
        with pytest.raises(TypeError, match="linear"):
            call()
    assert core.linear(x[:0], w, None).shape == (0, 2)


@pytest.mark.parametrize("count", [3, 20, 100])
@pytest.mark.parametrize("axis", [0, 1])
def test_log_softmax_of_large_scores_keeps_its_digits(axis: int, count: int) -> None:
    """The largest is subtracted first, not added to the logarithm of the sum."""
    x = np.float32(1000) - np.random.default_rng(0).random((count, count)).astype(np.float32)
    wide = x.astype(np.float64) - x.max(axis, keepdims=True)
    expected = wide - np.log(np.exp(wide).sum(axis, keepdims=True))
    np.testing.assert_allclose(F.log_softmax(x, axis), expected, rtol=1e-6)


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("reduction", ["sum", "none"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shape", [(70, 10), (3, 1200), (2, 5, 19, 20), (1, 3, 1, 2)])
def test_cross_entropy_goes_back_through_its_softmax(
    shape: tuple[int, ...], weighted: bool, smoothing: float, reduction: str, last: bool
) -> None:
    rng = np.random.default_rng(0)
    scores = rng.standard_normal(shape)
    if last:
        scores = np.moveaxis(np.ascontiguousarray(np.moveaxis(scores, 1, -1)), -1, 1)
    target = rng.integers(0, shape[1], (shape[0], *shape[2:]))
    target[rng.random(target.shape) < 0.3] = -100
    weight = rng.random(shape[1]) + 0.5 if weighted else np.ones(shape[1])
    x = fastconv.tensor(scores, requires_grad=True)
    loss = F.cross_entropy(
        x, target, weight if weighted else None, reduction=reduction, label_smoothing=smoothing
    )
    g = rng.standard_normal(loss.shape)
    loss.backward(g)
    # The loss of each is sum(wanted * -log(p)), and p changes by p * (one - sum(p)).
    of_class = weight.reshape(-1, *[1] * (len(shape) - 2))
    wanted = (np.moveaxis(np.eye(shape[1])[target.clip(0)], -1, 1) * (1 - smoothing)) * of_class
    wanted += smoothing / shape[1] * of_class
    sent = np.expand_dims(np.where(target == -100, 0, g), 1)
    p = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    expected = sent * (p * wanted.sum(1, keepdims=True) - wanted)
    np.testing.assert_allclose(x.grad.numpy(), expected, rtol=1e-9, atol=1e-13)


def test_cross_entropy_of_ignored_targets_sends_nothing_back() -> None:
    for smoothing in (0.0, 0.1):
        x = fastconv.tensor(np.ones((2, 3)), requires_grad=True)
        loss = F.cross_entropy(x, np.array([-100, -100]), label_smoothing=smoothing)
        assert np.isnan(loss.item())
        loss.backward()
        np.testing.assert_array_equal(x.grad.numpy(), 0)


def test_what_reduction_was_called_before() -> None:
    """PyTorch's older code says size_average=False and reduce=False."""
    x, t = np.random.default_rng(0).normal(size=(4, 3)), np.array([0, 2, 1, 1])
    for loss, target in (
        (F.cross_entropy, t),
        (F.mse_loss, x + 1),
        (F.soft_margin_loss, np.sign(x)),
    ):
        each = loss(x, target, reduction="none")
        np.testing.assert_array_equal(loss(x, target, reduce=False), each)
        np.testing.assert_allclose(loss(x, target, size_average=False), each.sum())
        np.testing.assert_allclose(loss(x, target, size_average=True), each.mean())
    with pytest.raises(TypeError, match="weight must be float32 like input, got float64"):
        F.cross_entropy(x.astype(np.float32), t, np.ones(3))


def test_not_a_number_in_gradients() -> None:
    """As in PyTorch: neither side of a maximum loses to NaN, and the sign of NaN is 0."""
    nan = fastconv.tensor([np.nan, 2.0, np.nan], requires_grad=True)
    other = fastconv.tensor([1.0, np.nan, np.nan], requires_grad=True)
    for extremum in (F.maximum, F.minimum):
        grads = fastconv.autograd.grad(extremum(nan, other).sum(), (nan, other))
        for g in grads:
            np.testing.assert_array_equal(g.numpy(), 1)
    np.testing.assert_array_equal(F.sign(np.array([np.nan, -3.0])), [0, -1])
    (g,) = fastconv.autograd.grad(F.abs(nan).sum(), nan)
    np.testing.assert_array_equal(g.numpy(), [0, 1, 0])


def test_nuclear_norm() -> None:
    x = np.random.default_rng(0).normal(size=(3, 4, 2))
    expected = np.linalg.svd(x, compute_uv=False).sum(-1)
    np.testing.assert_allclose(F.norm(x, "nuc", (1, 2)), expected)
    np.testing.assert_allclose(F.norm(x[0], "nuc", keepdim=True), [[expected[0]]])
    turned = np.moveaxis(x, 0, 1)
    np.testing.assert_allclose(F.norm(turned, "nuc", (0, 2), True), expected[None, :, None])
    leaf = fastconv.tensor(turned, requires_grad=True)
    F.norm(leaf, "nuc", (2, 0)).sum().backward()
    step = np.zeros_like(turned)
    step[1, 2, 0] = 1e-6
    ends = [F.norm(turned + sign * step, "nuc", (0, 2)).sum() for sign in (1, -1)]
    np.testing.assert_allclose(leaf.grad.numpy()[1, 2, 0], (ends[0] - ends[1]) / 2e-6, rtol=1e-6)
    with pytest.raises(ValueError, match="norm: p='nuc' needs two axes"):
        F.norm(x, "nuc")


@pytest.mark.parametrize("count", [3, 50])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_slope_of_gelu_levels_off(dtype: str, count: int) -> None:
    x = np.resize(np.array([np.inf, -np.inf, np.nan], dtype), count)
    slope = F.gelu_backward(np.ones_like(x), x)
    np.testing.assert_allclose(slope, np.resize([1, 0, np.nan], count), atol=1e-40)
