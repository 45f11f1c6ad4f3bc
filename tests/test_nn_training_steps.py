"""Batch norm and the ReLU behind it as one step of the tape: the same as the two by themselves."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import fastconv
import fastconv.nn as nn
import fastconv.nn.functional as F
from fastconv import _core
from fastconv.nn.rows import Pair, pairs_of

rng = np.random.default_rng(0)

SHAPES = [
    (4, 6, 5, 7), (1, 6, 9, 9), (16, 6, 2, 2), (3, 6, 40, 33), (2, 6, 1, 1), (1200, 6, 1, 3),
    (8, 700, 2, 2),
]  # fmt: skip
NORMS: dict[str, Any] = {
    "plain": nn.BatchNorm2d,
    "no weight": lambda c: nn.BatchNorm2d(c, affine=False),
    "no bias": lambda c: nn.BatchNorm2d(c, bias=False),
    "untracked": lambda c: nn.BatchNorm2d(c, track_running_stats=False),
    "average": lambda c: nn.BatchNorm2d(c, momentum=None, eps=0.1),
}
CLAMPS = {"relu": nn.ReLU, "relu in place": lambda: nn.ReLU(inplace=True), "relu6": nn.ReLU6}


def normals(shape: tuple[int, ...], dtype: Any = np.float32) -> np.ndarray:
    return (2 * rng.standard_normal(shape) + 0.5).astype(dtype)


def step(layers: Any, x: np.ndarray, grad: np.ndarray) -> list[np.ndarray]:
    """The result and all gradients and statistics of one step through `layers`."""
    start = fastconv.tensor(x).requires_grad_()
    y = start
    for layer in layers:
        y = layer(y)
    y.backward(fastconv.tensor(grad))
    norm = layers[0][0] if isinstance(layers[0], nn.Sequential) else layers[0]
    found = [y, start.grad, norm.running_mean, norm.running_var, norm.num_batches_tracked]
    found += [p.grad for p in norm.parameters()]
    return [np.array(v.detach()) for v in found if v is not None]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("clamp", CLAMPS)
@pytest.mark.parametrize("kind", NORMS)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_pair_is_the_same_as_both(
    shape: tuple[int, ...], kind: str, clamp: str, dtype: Any
) -> None:
    norm, act = NORMS[kind](shape[1]).to(dtype), CLAMPS[clamp]()
    for p in norm.parameters():
        nn.init.normal_(p)
    both, pair = [copy.deepcopy(norm), act], nn.Sequential(norm, act)
    assert [type(s) for s in pairs_of(pair)] == [Pair]
    tolerance = 2e-4 if dtype == np.float32 else 1e-10
    for _ in range(2):
        x, grad = normals(shape, dtype), normals(shape, dtype)
        for a, b in zip(step([pair], x, grad), step(both, x, grad), strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)
        norm.zero_grad()
        both[0].zero_grad()


def test_gradients_by_differences() -> None:
    x, w, b = normals((3, 2, 4, 5), np.float64), normals((2,), np.float64), np.array([0.3, -0.2])
    grad = normals(x.shape, np.float64)

    def loss(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> float:
        y = F.batch_norm(x, None, None, w, b, True, activation="relu6")
        return float((np.asarray(y) * grad).sum())

    tensors = [fastconv.tensor(v).requires_grad_() for v in (x, w, b)]
    F.batch_norm(tensors[0], None, None, *tensors[1:], True, activation="relu6").backward(grad)
    for i, tensor in enumerate(tensors):
        expected = np.zeros(tensor.shape)
        for at in np.ndindex(*tensor.shape):
            high, low = ([np.array(v) for v in (x, w, b)] for _ in range(2))
            high[i][at] += 1e-6
            low[i][at] -= 1e-6
            expected[at] = (loss(*high) - loss(*low)) / 2e-6
        np.testing.assert_allclose(tensor.grad.numpy(), expected, rtol=1e-5, atol=1e-6)


def test_what_is_not_a_pair() -> None:
    class OwnReLU(nn.ReLU):
        def forward(self, input: Any) -> Any:
            return input * 3

    x = fastconv.tensor(normals((2, 3, 4, 4)))
    listened = nn.ReLU()
    seen: list[Any] = []
    listened.register_forward_hook(lambda m, args, out: seen.append(args))
    for first, second in (
        (nn.BatchNorm2d(3), OwnReLU()),
        (nn.BatchNorm2d(3), listened),
        (nn.BatchNorm2d(3), nn.SiLU()),
        (nn.BatchNorm2d(3).freeze(), nn.ReLU()),
        (nn.GroupNorm(1, 3), nn.ReLU()),
    ):
        model = nn.Sequential(first, second)
        assert [type(s) for s in pairs_of(model)] == [type(first), type(second)]
        other = copy.deepcopy(model)
        np.testing.assert_allclose(
            model(x).detach().numpy(), other[1](other[0](x)).detach().numpy(), rtol=1e-5, atol=1e-6
        )
    assert len(seen) == 1 + 1  # the copy's hooks are copies


def test_pairs_follow_changes() -> None:
    model = nn.Sequential(nn.BatchNorm2d(3), nn.ReLU())
    x = fastconv.tensor(normals((2, 3, 4, 4)))
    assert (model(x).detach().numpy() >= 0).all()
    model[1] = nn.Identity()
    assert (model(x).detach().numpy() < 0).any()
    model[1] = nn.ReLU6()
    assert (model(x).detach().numpy() >= 0).all()
    before = model[0].running_mean.numpy().copy()
    model[0].freeze()
    model(x)
    np.testing.assert_array_equal(model[0].running_mean.numpy(), before)


def test_other_layouts_and_ranks() -> None:
    for norm, shape in (
        (nn.BatchNorm1d(6), (5, 6)),
        (nn.BatchNorm1d(6), (5, 6, 11)),
        (nn.BatchNorm3d(6), (2, 6, 3, 4, 5)),
    ):
        x, grad = normals(shape), normals(shape)
        both = [copy.deepcopy(norm), nn.ReLU()]
        pair = nn.Sequential(norm, nn.ReLU())
        for a, b in zip(step([pair], x, grad), step(both, x, grad), strict=True):
            np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-4)
    last = fastconv.tensor(normals((2, 6, 5, 4))).contiguous(memory_format=fastconv.channels_last)
    y = nn.Sequential(nn.BatchNorm2d(6), nn.ReLU())(last)
    assert y.is_contiguous(memory_format=fastconv.channels_last)
    assert (y.detach().numpy() >= 0).all()


def test_refusals() -> None:
    x = normals((2, 3, 4, 4))
    with pytest.raises(ValueError, match="batch_norm: activation must be None, 'relu' or 'relu6'"):
        F.batch_norm(x, None, None, training=True, activation="silu")
    with pytest.raises(ValueError, match="Expected more than 1 value per channel"):
        nn.Sequential(nn.BatchNorm2d(3), nn.ReLU())(fastconv.tensor(x[:1, :, :1, :1]))
    with pytest.raises(ValueError, match="expected 4D input"):
        nn.Sequential(nn.BatchNorm2d(3), nn.ReLU())(fastconv.tensor(x[0]))
    with pytest.raises(ValueError, match="batch_norm: weight must have shape"):
        F.batch_norm(x, None, None, x[0, 0, 0], training=True, activation="relu")
    three = np.zeros(3, np.float32)
    for bad in (
        (x[:1, :, :1, :1], None, None, None, None),
        (x, three[:2], None, None, None),
        (x, None, None, three, None),
        (x, None, None, three[::-1], three),
        (x[0, 0, 0], None, None, None, None),
    ):
        with pytest.raises(ValueError, match="batch_norm"):
            _core.batch_norm(*bad, 0.1, 1e-5, None)
    for activation in ("gelu", "nothing"):
        with pytest.raises(ValueError, match="activation must be"):
            _core.batch_norm(x, None, None, None, None, 0.1, 1e-5, activation)


def test_changed_operands_are_noticed() -> None:
    norm = nn.BatchNorm2d(3)
    x = fastconv.tensor(normals((2, 3, 4, 4)))
    y = nn.Sequential(norm, nn.ReLU())(x)
    with fastconv.no_grad():
        norm.bias.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


@pytest.mark.parametrize("count", [1, 2])
def test_threads_change_nothing(count: int) -> None:
    x, grad = normals((8, 16, 64, 64)), normals((8, 16, 64, 64))
    w, b = normals((16,)), normals((16,))
    with fastconv.threads(count):
        y, mean, var = _core.batch_norm(x, w, b, None, None, 0.1, 1e-5, "relu")
        back = _core.batch_norm_backward(grad, x, w, b, mean, var, 1e-5, "relu", True)
    with fastconv.threads(3 - count):
        again = _core.batch_norm(x, w, b, None, None, 0.1, 1e-5, "relu")
        back_again = _core.batch_norm_backward(grad, x, w, b, mean, var, 1e-5, "relu", True)
    for a, c in zip((y, mean, var, *back), (*again, *back_again), strict=True):
        np.testing.assert_array_equal(a, c)


# ---- convolutions and pools ------------------------------------------------------------------


def one_by_one(layers: list[nn.Module], x: Any) -> Any:
    for layer in layers:
        x = layer(x)
    return x


POOLED: dict[str, tuple[list[Any], list[Any]]] = {
    "conv relu": ([nn.Conv2d(3, 4, 3), nn.ReLU()], [Pair]),
    "conv relu in place": ([nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True)], [Pair]),
    "conv relu6": ([nn.Conv2d(3, 4, 3), nn.ReLU6()], [nn.Conv2d, nn.ReLU6]),
    "conv relu pool": (
        [nn.Conv2d(3, 4, 3), nn.ReLU(True), nn.MaxPool2d(2)],
        [nn.Conv2d, nn.MaxPool2d, nn.ReLU],
    ),
    "overlapping": (
        [nn.Conv2d(3, 4, 3), nn.ReLU6(), nn.MaxPool2d(3, 2, 1, ceil_mode=True)],
        [nn.Conv2d, nn.MaxPool2d, nn.ReLU6],
    ),
    "with holes": ([nn.ReLU(), nn.MaxPool2d(2, dilation=2)], [nn.ReLU, nn.MaxPool2d]),
    "average": ([nn.ReLU(), nn.AvgPool2d(2)], [nn.ReLU, nn.AvgPool2d]),
    "norm relu pool": (
        [nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2), nn.ReLU()],
        [nn.BatchNorm2d, nn.MaxPool2d, nn.ReLU, nn.ReLU],
    ),
    "reflecting": ([nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect"), nn.ReLU()], [Pair]),
    "in place at the start": (
        [nn.Identity(), nn.ReLU(inplace=True), nn.MaxPool2d(2)],
        [nn.Identity, nn.ReLU, nn.MaxPool2d],
    ),
}


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("name", POOLED)
def test_convolutions_and_pools(name: str, whole: bool) -> None:
    """Whole numbers bring ties, and zeros at the bends of the rectifiers."""
    layers, kinds = POOLED[name]
    model = nn.Sequential(*copy.deepcopy(layers))
    assert [type(s) for s in pairs_of(model)] == kinds
    shape = (2, 3, 11, 9)
    x = rng.integers(-3, 8, shape).astype(np.float32) if whole else normals(shape)
    if whole:
        for p in model.parameters():
            nn.init.constant_(p, 1)
    starts = [fastconv.tensor(x).requires_grad_() for _ in range(2)]
    other = copy.deepcopy(list(model))
    results = [model(starts[0] + 0), one_by_one(other, starts[1] + 0)]
    grad = normals(tuple(results[0].shape))
    for y in results:
        y.backward(fastconv.tensor(grad))
    got, expected = (
        [y, start.grad, *[p.grad for p in net.parameters()]]
        for y, start, net in zip(results, starts, (model, nn.Sequential(*other)), strict=True)
    )
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=2e-5, atol=2e-5)


def test_an_activation_in_place_still_changes_its_input() -> None:
    x = fastconv.tensor(normals((1, 2, 4, 4)))
    expected = np.maximum(x.numpy(), 0)
    nn.Sequential(nn.Identity(), nn.ReLU(inplace=True), nn.MaxPool2d(2))(x)
    np.testing.assert_array_equal(x.numpy(), expected)


def test_nan_goes_through_pools_and_rectifiers_alike() -> None:
    x = normals((1, 2, 4, 4))
    x[0, 0, 1, 2] = np.nan
    layers = [nn.Conv2d(2, 2, 1), nn.ReLU(), nn.MaxPool2d(2)]
    got = nn.Sequential(*layers)(fastconv.tensor(x)).detach().numpy()
    np.testing.assert_array_equal(got, one_by_one(layers, fastconv.tensor(x)).detach().numpy())
    assert np.isnan(got).any()


def test_a_changed_result_is_noticed() -> None:
    y = nn.Sequential(nn.Conv2d(2, 2, 1), nn.ReLU())(fastconv.tensor(normals((1, 2, 4, 4))))
    with fastconv.no_grad():
        y.zero_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()
