"""Half precision and small integers: computed wider, returned in their own type."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastconv
import fastconv.functional as F

HALVES: list[Any] = [np.float16]
try:
    import ml_dtypes

    HALVES.append(ml_dtypes.bfloat16)
except ImportError:  # bfloat16 needs it
    pass


def data(*shape: int, dtype: Any) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(dtype)


@pytest.mark.parametrize("dtype", HALVES)
def test_half_precision_is_float32_rounded_once(dtype: Any) -> None:
    x, w, b = (data(*s, dtype=dtype) for s in ((2, 3, 6, 5), (4, 3, 3, 3), (4,)))
    wide = [a.astype(np.float32) for a in (x, w, b)]
    y = F.conv2d(x, w, b, padding=1, activation="relu")
    assert y.dtype == dtype
    expected = F.conv2d(*wide, padding=1, activation="relu")
    np.testing.assert_array_equal(y, expected.astype(dtype))
    assert F.conv2d(x, w, b, out_dtype=np.float32).dtype == np.float32
    out = np.zeros_like(y)
    assert F.conv2d(x, w, b, padding=1, activation="relu", out=out) is out
    np.testing.assert_array_equal(out, y)
    for pool in (F.max_pool2d, F.avg_pool2d):
        pooled = pool(x, 2)
        assert pooled.dtype == dtype
        np.testing.assert_array_equal(pooled, pool(wide[0], 2).astype(dtype))
    values, where = F.max_pool2d(x, 2, return_indices=True)
    assert values.dtype == dtype
    assert where.dtype == np.int64


@pytest.mark.parametrize("dtype", HALVES)
def test_half_precision_on_the_tape(dtype: Any) -> None:
    x, w = (fastconv.tensor(data(*s, dtype=dtype)) for s in ((2, 3, 6, 5), (4, 3, 3, 3)))
    x.requires_grad_()
    w.requires_grad_()
    y = F.max_pool2d(F.avg_pool2d(F.conv2d(x, w, padding=1), 2, 1), 2)
    assert y.dtype == dtype
    y.sum().backward()
    assert x.grad.dtype == dtype
    assert w.grad.dtype == dtype
    assert w.grad.numpy().astype(np.float32).any()


@pytest.mark.parametrize("types", [(np.int8, np.int8), (np.uint8, np.uint8), (np.uint8, np.int8)])
def test_small_integers_do_not_wrap_round(types: tuple[Any, Any]) -> None:
    rng = np.random.default_rng(0)
    x, w = (
        rng.integers(np.iinfo(t).min, np.iinfo(t).max + 1, s).astype(t)
        for t, s in zip(types, ((2, 64, 5, 5), (3, 64, 3, 3)), strict=True)
    )
    y = F.conv2d(x, w)
    assert y.dtype == np.int32
    windows = np.lib.stride_tricks.sliding_window_view(x.astype(np.int64), (3, 3), (2, 3))
    np.testing.assert_array_equal(y, np.einsum("nchwrs,kcrs->nkhw", windows, w.astype(np.int64)))
    assert F.conv2d(x, w, out_dtype=np.float64).dtype == np.float64
    taped = F.conv2d(fastconv.tensor(x), fastconv.tensor(w))
    assert taped.dtype == np.int32
    np.testing.assert_array_equal(taped.numpy(), y)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32", "int64"])
def test_maxima_of_integers_stay_what_they_are(dtype: str) -> None:
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    if dtype == "int64":
        low, high = -(2**53), 2**53
    x = np.random.default_rng(0).integers(low, high, (2, 3, 7, 6), endpoint=True).astype(dtype)
    x[0, 0, 0, :2] = low, high
    y, where = F.max_pool2d(x, 3, 2, 1, return_indices=True)
    assert y.dtype == dtype
    found = np.take_along_axis(x.reshape(2, 3, 42), where.reshape(2, 3, -1), 2)
    np.testing.assert_array_equal(found, y.reshape(2, 3, -1))
    padded = np.pad(x, [(0, 0), (0, 0), (1, 1), (1, 1)], constant_values=np.iinfo(dtype).min)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (2, 3))[:, :, ::2, ::2]
    np.testing.assert_array_equal(y, windows.max((-1, -2)))
    taped = F.max_pool2d(fastconv.tensor(x), 3, 2, 1)
    np.testing.assert_array_equal(taped.numpy(), y)
    # A window wholly in padding gives the least there is.
    assert F.max_pool1d(np.ones((1, 1, 1), dtype), 2, 1, 1, 2)[0, 0, 0] == np.iinfo(dtype).min


def test_whole_numbers_through_activations_as_in_pytorch() -> None:
    x = np.array([-4, -1, 0, 1, 9])
    for kept in (F.relu, F.relu6, F.hardtanh):
        assert kept(x).dtype == x.dtype
    for made in (F.sigmoid, F.tanh, F.softsign, F.tanhshrink):
        assert made(x).dtype == np.float32


def test_other_types_are_refused_by_name() -> None:
    x, w = np.ones((1, 2, 4, 4), np.float32), np.ones((1, 2, 2, 2), np.float32)
    for dtype in (np.int32, np.bool_, np.complex64):
        with pytest.raises(TypeError, match=f"conv2d: .*{np.dtype(dtype).name}"):
            F.conv2d(x.astype(dtype), w.astype(dtype))
        with pytest.raises(TypeError, match=f"avg_pool2d: .*{np.dtype(dtype).name}"):
            F.avg_pool2d(x.astype(dtype), 2)
        with pytest.raises(TypeError, match=f"conv_transpose2d: .*{np.dtype(dtype).name}"):
            F.conv_transpose2d(x.astype(dtype), w[0, :, None].astype(dtype))
    with pytest.raises(TypeError, match="conv2d"):
        F.conv2d(x, w.astype(np.float16))
    for refused in (
        lambda v: F.gelu(v),
        lambda v: F.batch_norm(v, None, None, training=True),
        lambda v: F.group_norm(v, 1),
        lambda v: F.interpolate(v, 5, mode="bilinear"),
        lambda v: F.adaptive_avg_pool2d(v, 3),
        lambda v: F.mse_loss(v, v),
        lambda v: F.softmax(v, 1),
        lambda v: F.lp_pool2d(v, 2, 2),
    ):
        for operand in (x.astype(np.uint8), fastconv.tensor(x.astype(np.int64))):
            with pytest.raises(TypeError, match=r"must be of a floating-point type.*, got u?int"):
                refused(operand)
    with pytest.raises(TypeError):
        F.conv2d([1, 2], w)
    with pytest.raises(ValueError, match="conv2d: out must have shape"):
        F.conv2d(x.astype(np.float16), w.astype(np.float16), out=np.zeros(3, np.float16))


def test_paddings_of_other_libraries_in_layers() -> None:
    for padding in ("same_upper", "same_lower"):
        layer = fastconv.nn.Conv2d(2, 3, 4, stride=2, padding=padding)
        assert layer(fastconv.ones(1, 2, 7, 8)).shape == (1, 3, 4, 4)
    with pytest.raises(ValueError, match="padding_mode='zeros'"):
        fastconv.nn.Conv2d(2, 3, 3, padding="same_lower", padding_mode="reflect")


def test_bfloat16_has_a_name_where_its_package_is() -> None:
    if len(HALVES) == 1:
        with pytest.raises(AttributeError, match="ml_dtypes"):
            _ = fastconv.bfloat16
    else:
        assert fastconv.ones(2).to(fastconv.bfloat16).dtype == fastconv.bfloat16
