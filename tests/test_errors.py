"""Convolution refuses bad input in words: the function, the argument, what came.

Each refusal is also a promise that nothing was written: every case runs with an `out=` that must
stay as it was.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest

import fastconv
from checks import HUGE, answer_or_refusal, integers, refuses
from layouts import Guarded

X, W, B = integers((2, 4, 6, 7)), integers((6, 4, 3, 3), seed=1), integers((6,), seed=2)
DY = integers((2, 6, 4, 5), seed=3)
FOREIGN = np.dtype("f4").newbyteorder()


def shaped(*shape: int) -> Any:
    return np.ones(shape, np.float32)


# What is wrong, and the fragments the message must have.  `input`, `weight` and `bias` replace X, W
# and B; everything else is passed on.
VALUES: dict[str, tuple[dict[str, Any], list[object]]] = {
    "stride zero": ({"stride": 0}, ["stride", 0]),
    "stride negative": ({"stride": (1, -2)}, ["stride", -2]),
    "stride too long": ({"stride": (1, 1, 1)}, ["stride", 2, 3]),
    "stride empty": ({"stride": ()}, ["stride", 2]),
    "dilation zero": ({"dilation": 0}, ["dilation", 0]),
    "dilation negative": ({"dilation": (-3, 1)}, ["dilation", -3]),
    "dilation too long": ({"dilation": [1, 1, 1]}, ["dilation", 2, 3]),
    "padding negative": ({"padding": -1}, ["padding", -1]),
    "padding pair negative": ({"padding": ((0, 0), (1, -4))}, ["padding", -4]),
    "padding too long": ({"padding": (1, 1, 1)}, ["padding", 2]),
    "padding pair too long": ({"padding": ((0, 0, 0), (1, 1, 1))}, ["padding"]),
    "padding word": ({"padding": "reflect"}, ["padding", "reflect", "same", "valid"]),
    "padding word in capitals": ({"padding": "SAME"}, ["padding", "SAME"]),
    "same with stride": ({"padding": "same", "stride": 2}, ["same", "stride", 2]),
    "groups zero": ({"groups": 0}, ["groups", 0]),
    "groups negative": ({"groups": -2}, ["groups", -2]),
    "groups do not divide outputs": (
        {"groups": 4, "weight": shaped(6, 1, 3, 3)},
        ["weight", "groups=4", 6],
    ),
    "channels": ({"weight": shaped(6, 3, 3, 3)}, ["weight", "input", 3, 4, "groups=1"]),
    "channels per group": ({"groups": 2}, ["weight", "input", 4, "groups=2"]),
    "kernel larger than input": ({"weight": shaped(6, 4, 7, 3)}, ["input", "kernel", 7, 6]),
    "dilated kernel larger than input": ({"dilation": 4}, ["kernel", "dilation", 4, "(6, 7)"]),
    "kernel of size zero": ({"weight": shaped(6, 4, 0, 3)}, ["weight", 0]),
    "no output channels": ({"weight": shaped(0, 4, 3, 3)}, ["weight", 0]),
    "no pixels": ({"input": shaped(2, 4, 0, 7)}, ["input", 0]),
    "no pixels although padded": ({"input": shaped(2, 4, 6, 0), "padding": 3}, ["input", 0]),
    "input of rank 2": ({"input": shaped(6, 7)}, ["input", "(6, 7)"]),
    "input of rank 5": ({"input": shaped(1, 2, 4, 6, 7)}, ["input", "(1, 2, 4, 6, 7)"]),
    "input of rank 0": ({"input": np.float32(1)[...]}, ["input", "()"]),
    "weight of rank 3": ({"weight": shaped(6, 4, 3)}, ["weight", "(6, 4, 3)"]),
    "weight of rank 5": ({"weight": shaped(6, 4, 3, 3, 1)}, ["weight", "(6, 4, 3, 3, 1)"]),
    "bias too short": ({"bias": shaped(3)}, ["bias", 6, "(3,)"]),
    "bias of one": ({"bias": shaped(1)}, ["bias", 6, "(1,)"]),
    "bias scalar": ({"bias": np.float32(1)[...]}, ["bias", 6, "()"]),
    "bias of rank 2": ({"bias": shaped(6, 1)}, ["bias", 6, "(6, 1)"]),
    "residual shape": ({"residual": shaped(2, 6, 5, 4)}, ["residual", "(2, 6, 4, 5)"]),
    "residual broadcast": ({"residual": shaped(1, 6, 4, 5)}, ["residual", "(2, 6, 4, 5)"]),
    "activation unknown": ({"activation": "tanhh"}, ["activation", "tanhh", "relu"]),
    "algorithm unknown": ({"algorithm": "fastest"}, ["algorithm", "fastest", "im2col"]),
}

TYPES: dict[str, tuple[dict[str, Any], list[object]]] = {
    "stride float": ({"stride": 1.0}, ["stride", "float"]),
    "stride bool": ({"stride": True}, ["stride", "bool"]),
    "stride NumPy bool": ({"stride": np.True_}, ["stride", "bool"]),
    "stride NumPy float": ({"stride": (np.float64(1), 1)}, ["stride", "float"]),
    "stride None": ({"stride": None}, ["stride", "None"]),
    "stride string": ({"stride": "1"}, ["stride", "str"]),
    "dilation float": ({"dilation": (1, 1.5)}, ["dilation", "float"]),
    "dilation bool": ({"dilation": (True, 1)}, ["dilation", "bool"]),
    "padding float": ({"padding": 1.0}, ["padding", "float"]),
    "padding bool": ({"padding": False}, ["padding", "bool"]),
    "padding mixed": ({"padding": (1, (1, 1))}, ["padding", "tuple"]),
    "padding None": ({"padding": None}, ["padding", "None"]),
    "padding pair of floats": ({"padding": ((0.0, 1), (1, 1))}, ["padding", "float"]),
    "groups float": ({"groups": 1.0}, ["groups", "float"]),
    "groups bool": ({"groups": True}, ["groups", "bool"]),
    "input None": ({"input": None}, ["input", "None"]),
    "input a list": ({"input": X.tolist()}, ["input", "list"]),
    "weight a number": ({"weight": 3.0}, ["weight", "float"]),
    "bias a list": ({"bias": [0.0] * 6}, ["bias", "list"]),
    "weight float64": ({"weight": W.astype("f8")}, ["weight", "float64", "float32"]),
    "input float64": ({"input": X.astype("f8")}, ["float64", "float32"]),
    "bias float64": ({"bias": B.astype("f8")}, ["bias", "float64", "float32"]),
    "residual float64": ({"residual": DY.astype("f8")}, ["residual", "float64", "float32"]),
    "input int64": ({"input": X.astype("i8")}, ["input", "int64"]),
    "input uint8": ({"input": X.astype("u1")}, ["input", "uint8"]),
    "input bool": ({"input": X > 0}, ["input", "bool"]),
    "input complex": ({"input": X.astype("c8")}, ["input", "complex64"]),
    "input long double": ({"input": X.astype("g")}, ["input", np.dtype("g").name]),
    "input of objects": ({"input": X.astype(object)}, ["input", "object"]),
    "input of strings": ({"input": X.astype("U3")}, ["input"]),
    "input in foreign byte order": ({"input": X.astype(FOREIGN)}, ["input", "byte order"]),
    "activation a number": ({"activation": 1}, ["activation", "int"]),
    "algorithm None": ({"algorithm": None}, ["algorithm", "None"]),
}


def forward(changes: dict[str, Any], out: Any) -> Any:
    operands = {"input": X, "weight": W, "bias": B, **changes}
    return lambda: fastconv.conv2d(
        operands.pop("input"), operands.pop("weight"), operands.pop("bias"), **operands, out=out
    )


@pytest.mark.parametrize("case", VALUES)
def test_values(case: str) -> None:
    changes, fragments = VALUES[case]
    out = Guarded(DY.shape, "f4")
    refuses(forward(changes, out.out), ValueError, "conv2d", *fragments)
    assert out.untouched()


@pytest.mark.parametrize("case", TYPES)
def test_types(case: str) -> None:
    changes, fragments = TYPES[case]
    out = Guarded(DY.shape, "f4")
    refuses(forward(changes, out.out), TypeError, "conv2d", *fragments)
    assert out.untouched()


# Every number, however large, is an answer or a refusal, never a crash or a wrapped size ----------


@pytest.mark.parametrize("value", HUGE)
@pytest.mark.parametrize("name", ["stride", "padding", "dilation", "groups"])
def test_huge_numbers(name: str, value: int) -> None:
    """A huge stride has an answer (one output); of the others none has."""
    for given in (value,) if name == "groups" else (value, (value, 1), (1, value)):
        if name == "padding" and 0 < value < 2**40:
            continue  # some machine may have the memory
        y = answer_or_refusal(partial(fastconv.conv2d, X, W, **{name: given}), "conv2d")
        assert (y is None) == (name != "stride" or not 0 < value < 2**63)
        assert y is None or 1 in y.shape[2:]


@pytest.mark.parametrize("value", HUGE)
def test_huge_numbers_in_backward(value: int) -> None:
    for how in ((value, 0, 1, 1), (1, value, 1, 1), (1, 0, value, 1), (1, 0, 1, value)):
        for call in (
            partial(fastconv.conv2d_backward, DY, X, W, *how),
            partial(fastconv.conv2d_input, X.shape, W, DY, *how),
            partial(fastconv.conv2d_weight, X, W.shape, DY, *how),
        ):
            assert answer_or_refusal(call, call.func.__name__) is None
    for call in (
        partial(fastconv.conv2d_input, (2, 4, value, 7), W, DY),
        partial(fastconv.conv2d_weight, X, (6, 4, value, 3), DY),
    ):
        assert answer_or_refusal(call, call.func.__name__) is None


# The output ---------------------------------------------------------------------------------------


def test_out_of_the_wrong_kind() -> None:
    for bad, error, fragment in [
        (np.empty((2, 6, 4, 4), "f4"), ValueError, "(2, 6, 4, 4)"),
        (np.empty((6, 4, 5), "f4"), ValueError, "(6, 4, 5)"),
        (np.empty(DY.shape, "f8"), TypeError, "float64"),
        (np.empty(DY.shape, FOREIGN), TypeError, FOREIGN),
        ([[0.0]], TypeError, "list"),
    ]:
        refuses(forward({}, bad), error, "conv2d", "out", fragment)
    frozen = np.empty(DY.shape, "f4")
    frozen.setflags(write=False)
    refuses(forward({}, frozen), ValueError, "conv2d", "out", "writ")


@pytest.mark.parametrize("name", ["input", "weight", "bias", "residual"])
def test_out_may_not_overlap_an_input(name: str) -> None:
    buffer = np.ones(4000, np.float32)
    shapes = {"input": X.shape, "weight": W.shape, "bias": B.shape, "residual": DY.shape}
    operands = {"input": X, "weight": W, "bias": B, "residual": DY}
    size = int(np.prod(shapes[name]))
    operands[name] = buffer[1000 : 1000 + size].reshape(shapes[name])
    for start in (1000 - DY.size + 1, 1000, 1000 + size - 1):  # by one element, or wholly
        out = buffer[start : start + DY.size].reshape(DY.shape)
        refuses(forward(operands, out), ValueError, "conv2d", "out", "overlap")
        assert (buffer == 1).all()
    for start in (1000 - DY.size, 1000 + size):  # side by side is no overlap
        out = buffer[start : start + DY.size].reshape(DY.shape)
        assert forward(operands, out)() is out
        buffer[:] = 1


def test_interleaved_arrays_do_not_overlap_element_by_element() -> None:
    """Either answer is sound (overlapping byte ranges); a wrong result is not."""
    both = np.ones((2, *DY.shape), np.float32).transpose(1, 2, 3, 4, 0)
    residual, out = both[..., 0], both[..., 1]
    y = answer_or_refusal(partial(fastconv.conv2d, X, W, B, residual=residual, out=out), "conv2d")
    if y is None:
        assert (both == 1).all()
    else:
        np.testing.assert_array_equal(y, fastconv.conv2d(X, W, B) + 1)


# Gradients ----------------------------------------------------------------------------------------


def test_backward_refuses_a_grad_output_of_another_shape() -> None:
    for shape in [(2, 6, 4, 4), (1, 6, 4, 5), (2, 5, 4, 5), (6, 4, 5), (2, 6, 4)]:
        bad = shaped(*shape)
        for call in (
            partial(fastconv.conv2d_backward, bad, X, W),
            partial(fastconv.conv2d_input, X.shape, W, bad),
            partial(fastconv.conv2d_weight, X, W.shape, bad),
        ):
            refuses(call, ValueError, call.func.__name__, "grad_output", shape)


def test_backward_refuses_other_dtypes() -> None:
    wide = DY.astype("f8")
    for call in (
        partial(fastconv.conv2d_backward, wide, X, W),
        partial(fastconv.conv2d_input, X.shape, W, wide),
        partial(fastconv.conv2d_weight, X, W.shape, wide),
    ):
        refuses(call, TypeError, call.func.__name__, "float64", "float32")
    refuses(lambda: fastconv.conv2d_bias(DY.astype("i4")), TypeError, "conv2d_bias", "int32")


def test_backward_refuses_bad_shapes_given_as_numbers() -> None:
    refuses(lambda: fastconv.conv2d_input((2, 4, 6), W, DY), ValueError, "conv2d_input", "input")
    refuses(lambda: fastconv.conv2d_input((2, 3, 6, 7), W, DY), ValueError, "conv2d_input", 3, 4)
    refuses(lambda: fastconv.conv2d_weight(X, (6, 4, 3), DY), ValueError, "conv2d_weight", "weight")
    refuses(lambda: fastconv.conv2d_weight(X, (6, 3, 3, 3), DY), ValueError, "conv2d_weight", 3, 4)
    refuses(lambda: fastconv.conv2d_input((2, 4, 6.0, 7), W, DY), TypeError, "conv2d_input")


@pytest.mark.parametrize("rank", [1, 3])
def test_other_ranks_name_themselves(rank: int) -> None:
    name = f"conv{rank}d"
    conv = getattr(fastconv, name)
    refuses(lambda: conv(X, W), ValueError, name)
    x, w = shaped(1, 2, *(4,) * rank), shaped(2, 2, *(3,) * rank)
    refuses(lambda: conv(x, w, stride=(1,) * (rank + 1)), ValueError, name, "stride", rank)


def test_conv_output_size_refuses() -> None:
    for arguments, argument in [
        ((5, 0), "kernel"),
        ((5, 3, 0), "stride"),
        ((5, 3, 1, -1), "padding"),
    ]:
        call = partial(fastconv.conv_output_size, *arguments)
        refuses(call, ValueError, "conv_output_size", argument)
    refuses(lambda: fastconv.conv_output_size(5, 7), ValueError, "conv_output_size")
    refuses(lambda: fastconv.conv_output_size(5.0, 3), TypeError, "conv_output_size", "size")
