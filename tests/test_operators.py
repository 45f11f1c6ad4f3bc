"""Every operator, by its row in the table: value, gradient, memory layouts, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastconv
import fastconv.nn.functional as F
from checks import DTYPES
from layouts import LAYOUTS, is_channels_last
from operators import TABLE, Bad, Call, Drawn, Row

try:
    import torch
except ImportError:  # then only that comparison is left out
    torch = None  # type: ignore[assignment]

#: Random, or no operator: these have tests of their own.
ELSEWHERE = {
    "ConvGrads", "channels_last_layout", "conv_output_size", "multinomial", "setitem",
    "alpha_dropout", "dropout", "dropout1d", "dropout2d", "dropout3d",
    "feature_alpha_dropout", "feature_dropout",
}  # fmt: skip
TOLERANCE = {"float32": 2e-5, "float64": 1e-9}
#: Layouts in which an array can hold any values.
ODD = ["fortran", "channels_last", "reversed", "inside", "unaligned", "byte_strided", "read_only"]

rows = pytest.mark.parametrize("row", TABLE, ids=str)
with_gradient = pytest.mark.parametrize("row", [r for r in TABLE if r.gradient], ids=str)


def flat(result: Any) -> list[Any]:
    return [v for r in result for v in flat(r)] if isinstance(result, (tuple, list)) else [result]


def as_array(value: Any) -> np.ndarray:
    return np.asarray(value.detach() if hasattr(value, "detach") else value)


def floats(value: Any) -> bool:
    return value.dtype.kind == "f" or value.dtype.name == "bfloat16"


def mapped(function: Any, value: Any) -> Any:
    """`function` of every array in the arguments."""
    if isinstance(value, np.ndarray):
        return function(value)
    if isinstance(value, (list, tuple)):
        return type(value)(mapped(function, v) for v in value)
    return {k: mapped(function, v) for k, v in value.items()} if isinstance(value, dict) else value


def drawn(one: Call, args: Any, kwargs: Any) -> list[np.ndarray]:
    """Those arrays among the arguments whose gradient is asked for."""
    described = [*flat(list(one.args)), *flat(list(one.kwargs.values()))]
    given = [*flat(list(args)), *flat(list(kwargs.values()))]
    return [v for d, v in zip(described, given, strict=True) if isinstance(d, Drawn) and d.gradient]


def on_tape(one: Call, row: Row, args: Any, kwargs: Any, make: Any, function: Any) -> Any:
    """Results of `function` on tensors, and those tensors whose gradient is asked for."""
    wanted = {id(v) for v in drawn(one, args, kwargs)} if row.gradient else set()
    leaves = []

    def tensor(value: np.ndarray) -> Any:
        t = make(value)
        if id(value) in wanted:
            t.requires_grad_()
            leaves.append(t)
        return t

    return flat(function(*mapped(tensor, args), **mapped(tensor, kwargs))), leaves


def seeds(results: Any) -> list[np.ndarray | None]:
    rng = np.random.default_rng(7)
    values = [as_array(r) for r in results]
    return [np.asarray(rng.normal(size=v.shape)) if floats(v) else None for v in values]


def gradients(row: Row, one: Call, args: Any, kwargs: Any) -> list[np.ndarray]:
    """The tape's, of all results contracted with fixed random numbers."""
    function = getattr(F, row.name)
    results, leaves = on_tape(one, row, args, kwargs, fastconv.tensor, function)
    for result, seed in zip(results, seeds(results), strict=True):
        if seed is not None and result.requires_grad:
            result.backward(seed.astype(result.dtype), retain_graph=True)
    return [np.zeros(t.shape) if t.grad is None else t.grad.numpy() for t in leaves]


# The table itself ---------------------------------------------------------------------------------


def test_every_public_function_has_a_row() -> None:
    covered = set(ELSEWHERE)
    for row in TABLE:
        covered |= {row.name, f"{row.name}_", f"{row.name}_backward", *row.covers}
    missing = [n for n in F.__all__ if n not in covered]
    assert not missing, f"no row for {missing}"


def test_no_name_stands_twice() -> None:
    names = [row.name for row in TABLE]
    assert sorted(set(names)) == sorted(names)
    for row in TABLE:
        for other in row.covers:
            same = getattr(F, other) is getattr(F, row.name)
            assert same or row.backward is not None or other.endswith("_backward"), other


# Values -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@rows
def test_value(row: Row, dtype: str) -> None:
    """As NumPy has it, on arrays and on tensors; the arguments stay as they were."""
    function, tolerance = getattr(F, row.name), TOLERANCE[dtype]
    for one in row.calls:
        args, kwargs = one.arrays(dtype)
        kept = one.arrays(dtype)
        results = flat(function(*args, **kwargs))
        with np.errstate(all="ignore"):
            wide = one.arrays("float64") if dtype == "float64" else mapped_wide(kept)
            expected = flat(row.truth(*wide[0], **wide[1]))
        for got, truth in zip(results, expected, strict=True):
            assert isinstance(got, (np.ndarray, np.generic))
            truth = np.asarray(truth)
            assert got.shape == truth.shape
            if truth.dtype.kind == "f" and row.name != "cast":
                assert got.dtype == dtype
            np.testing.assert_allclose(got, truth, rtol=tolerance, atol=tolerance)
        for tensor, got in zip(
            on_tape(one, row, args, kwargs, fastconv.tensor, function)[0], results, strict=True
        ):
            assert isinstance(tensor, fastconv.Tensor)
            assert tensor.dtype == got.dtype
            np.testing.assert_array_equal(as_array(tensor), got)
        for now, before in zip(flat(args), flat(kept[0]), strict=True):
            if isinstance(now, np.ndarray):
                np.testing.assert_array_equal(now, before)


def mapped_wide(arguments: Any) -> Any:
    return mapped(lambda v: v.astype(np.float64) if floats(v) else v, tuple(arguments))


@pytest.mark.filterwarnings("ignore::UserWarning")  # PyTorch's, of names grown old
@pytest.mark.skipif(torch is None, reason="needs PyTorch")
@pytest.mark.parametrize("dtype", DTYPES)
@rows
def test_as_pytorch(row: Row, dtype: str) -> None:
    """Values, types and gradients."""
    if row.peer is False:
        return
    peer = row.peer or getattr(torch.nn.functional, row.name, None) or getattr(torch, row.name)
    tolerance = 1e-7 if dtype == "float64" else 5e-5  # PyTorch has float32 constants in float64
    for one in row.calls:
        if not one.peer:
            continue
        args, kwargs = one.arrays(dtype)
        results, leaves = on_tape(one, row, args, kwargs, fastconv.tensor, getattr(F, row.name))
        expected, peers = on_tape(one, row, args, kwargs, torch.tensor, peer)
        for got, truth in zip(results, expected, strict=True):
            assert got.dtype.name == str(truth.dtype).removeprefix("torch.")
            np.testing.assert_allclose(
                as_array(got), as_array(truth), rtol=tolerance, atol=tolerance
            )
            assert got.requires_grad == truth.requires_grad
        for result, truth, seed in zip(results, expected, seeds(results), strict=True):
            if seed is not None and truth.requires_grad:
                result.backward(seed.astype(dtype), retain_graph=True)
                truth.backward(torch.tensor(seed.astype(dtype)), retain_graph=True)
        for ours, theirs in zip(leaves, peers, strict=True):
            if theirs.grad is not None:
                assert ours.grad.dtype == dtype
                np.testing.assert_allclose(
                    as_array(ours.grad), as_array(theirs.grad), rtol=tolerance, atol=tolerance
                )


# Gradients ----------------------------------------------------------------------------------------


@with_gradient
def test_gradient(row: Row) -> None:
    """Central differences in float64, element by element."""
    function, step = getattr(F, row.name), 1e-6
    for one in row.calls:
        args, kwargs = one.arrays(np.float64)
        got = gradients(row, one, args, kwargs)
        arrays = drawn(one, args, kwargs)
        weights = seeds(flat(function(*args, **kwargs)))

        def contracted(args: Any = args, kwargs: Any = kwargs, weights: Any = weights) -> float:
            results = flat(function(*args, **kwargs))
            return sum(
                (np.asarray(r) * w).sum()
                for r, w in zip(results, weights, strict=True)
                if w is not None
            )

        for array, gradient in zip(arrays, got, strict=True):
            numeric = np.zeros(array.shape)
            for place in np.ndindex(*array.shape):
                middle = array[place]
                array[place] = middle + step
                above = contracted()
                array[place] = middle - step
                numeric[place] = (above - contracted()) / (2 * step)
                array[place] = middle
            np.testing.assert_allclose(gradient, numeric, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
@with_gradient
def test_gradient_as_a_plain_function(row: Row, dtype: str) -> None:
    """Array in, array out, and the same as the tape's; `grad_output` in any layout."""
    plain = getattr(F, f"{row.name}_backward", None)
    if plain is None and row.backward is None:
        return
    for one in row.calls:
        if one.kwargs.get("activation") or not drawn(one, *one.arrays(dtype)):
            continue
        args, kwargs = one.arrays(dtype)
        y = flat(getattr(F, row.name)(*args, **kwargs))[0]
        seed = seeds([y])[0].astype(dtype)
        expected = gradients(row, one, args, kwargs)
        for layout in ("c_order", "reversed", "fortran"):
            g = LAYOUTS[layout](seed)
            if row.backward is not None:
                got = row.backward(g, y, *args, **kwargs)
            else:
                got = plain(g, *args, **kwargs)
            for ours, tape in zip([v for v in flat(got) if v is not None], expected, strict=False):
                assert isinstance(ours, np.ndarray)
                assert ours.dtype == dtype
                tolerance = 10 * TOLERANCE[dtype]
                np.testing.assert_allclose(ours, tape, rtol=tolerance, atol=tolerance)


# Memory -------------------------------------------------------------------------------------------


@rows
def test_layouts(row: Row) -> None:
    """Any strides, alignment and protection give what plain memory gives, gradients too."""
    if not row.layouts:
        return
    function = getattr(F, row.name)
    for one in row.calls[:3]:
        args, kwargs = one.arrays("float32")
        expected = flat(function(*args, **kwargs))
        slopes = gradients(row, one, args, kwargs) if row.gradient else []
        for name in ODD:
            odd = [mapped(LAYOUTS[name], v) for v in (args, kwargs)]
            results = flat(function(*odd[0], **odd[1]))
            for got, truth in zip(results, expected, strict=True):
                np.testing.assert_allclose(got, truth, rtol=1e-5, atol=1e-5, err_msg=name)
            if row.gradient and name in ("fortran", "channels_last"):
                for got, truth in zip(gradients(row, one, *odd), slopes, strict=True):
                    np.testing.assert_allclose(got, truth, rtol=1e-4, atol=1e-5, err_msg=name)


#: Operators on images, of which channels-last memory stays channels-last, as in PyTorch.
IMAGES = {
    "conv2d",
    "conv_transpose2d",
    "max_pool2d",
    "avg_pool2d",
    "adaptive_avg_pool2d",
    "adaptive_max_pool2d",
    "lp_pool2d",
    "max_unpool2d",
    "interpolate",
    "upsample",
    "batch_norm",
    "group_norm",
    "instance_norm",
    "local_response_norm",
    "pixel_shuffle",
    "pixel_unshuffle",
    "channel_shuffle",
    "pad",
}


@pytest.mark.parametrize("row", [r for r in TABLE if r.name in IMAGES], ids=str)
def test_channels_last_stays_channels_last(row: Row) -> None:
    for one in row.calls:
        args, kwargs = one.arrays("float32")
        if args[0].ndim != 4 or not args[0].size:
            continue
        expected = flat(getattr(F, row.name)(*args, **kwargs))[0]
        args[0] = LAYOUTS["channels_last"](args[0])
        if args[0].flags.c_contiguous:  # one channel is both
            continue
        y = flat(getattr(F, row.name)(*args, **kwargs))[0]
        assert is_channels_last(y)
        np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)


HALVES = ["float16"]
try:
    import ml_dtypes

    HALVES.append(ml_dtypes.bfloat16.__name__)
except ImportError:  # bfloat16 needs it
    pass


@pytest.mark.parametrize("dtype", HALVES, ids=str)
@rows
def test_half_precision(row: Row, dtype: Any) -> None:
    """Computed in float32 and rounded once; the same type comes back, from the tape too."""
    if not row.half:
        return
    function, ulp = getattr(F, row.name), 2.0**-10 if dtype == "float16" else 2.0**-7
    for one in row.calls[:3]:
        args, kwargs = one.arrays(dtype)
        wide = mapped(lambda v: v.astype("float32") if v.dtype == dtype else v, (args, kwargs))
        results = flat(function(*args, **kwargs))
        expected = flat(function(*wide[0], **wide[1]))
        for got, truth in zip(results, expected, strict=True):
            if truth.dtype != np.float32:
                continue
            assert got.dtype == dtype
            np.testing.assert_allclose(got.astype("float32"), truth, rtol=ulp, atol=ulp)
        if row.gradient:
            for got, truth in zip(
                gradients(row, one, args, kwargs), gradients(row, one, *wide), strict=True
            ):
                if got.size and np.abs(truth).max() < 1e3:
                    scale = max(1.0, float(np.abs(truth).max()))
                    error = np.abs(got.astype("float32") - truth).max()
                    assert error <= 16 * ulp * scale


# Refusals -----------------------------------------------------------------------------------------


def _refusals() -> list[Any]:
    return [
        pytest.param(row, one, id=f"{row.name}-{i}")
        for row in TABLE
        for i, one in enumerate(row.bad)
    ]


@pytest.mark.parametrize(("row", "one"), _refusals())
def test_refused(row: Row, one: Bad) -> None:
    """In our words: the operator's name, then the argument and what was expected."""
    args, kwargs = one.call.arrays("float64")
    for make in (lambda v: v, fastconv.tensor):
        with pytest.raises(one.error) as caught:
            getattr(F, row.name)(*mapped(make, args), **mapped(make, kwargs))
        message = str(caught.value)
        assert message.startswith(f"{row.name}: "), message
        assert one.fragment in message, message
        if "array or a Tensor" in message or any(isinstance(v, list) for v in args):
            break  # lists hold no arrays to make tensors of


@pytest.mark.parametrize("name", [n for n in F.__all__ if n.endswith("_") and n[0] != "_"])
def test_in_place(name: str) -> None:
    """The trailing underscore writes into the argument, of arrays as of tensors."""
    x = np.linspace(-3, 3, 12).reshape(3, 4)
    more = (0.5, 7.0) if name == "threshold_" else ()
    expected = getattr(F, name[:-1])(x, *more)
    mine, tensor = x.copy(), fastconv.tensor(x.copy())
    assert getattr(F, name)(mine, *more) is mine
    assert getattr(F, name)(tensor, *more) is tensor
    np.testing.assert_array_equal(mine, expected)
    np.testing.assert_array_equal(tensor.numpy(), expected)
