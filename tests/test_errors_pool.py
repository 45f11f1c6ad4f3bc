"""Pooling refuses bad input in words, and writes nothing when it does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastconv
from checks import HUGE, answer_or_refusal, integers, refuses
from layouts import Guarded

X = integers((2, 3, 6, 7))


def shaped(*shape: int) -> Any:
    return np.ones(shape, np.float32)


# Cases for both pools: arguments over (X, kernel_size=2), and fragments of the message.
VALUES: dict[str, tuple[dict[str, Any], list[object]]] = {
    "kernel zero": ({"kernel_size": 0}, ["kernel_size", 0]),
    "kernel negative": ({"kernel_size": (2, -1)}, ["kernel_size", -1]),
    "kernel too long": ({"kernel_size": (2, 2, 2)}, ["kernel_size", 2, 3]),
    "stride zero": ({"stride": 0}, ["stride", 0]),
    "stride negative": ({"stride": -1}, ["stride", -1]),
    "stride too long": ({"stride": (1, 1, 1)}, ["stride", 2, 3]),
    "dilation zero": ({"dilation": 0}, ["dilation", 0]),
    "padding negative": ({"padding": -1}, ["padding", -1]),
    "padding above half": ({"kernel_size": 3, "padding": 2}, ["padding", 2, 3]),
    "padding of the kernel's size": ({"padding": ((0, 0), (2, 0))}, ["padding", 2]),
    "padding too long": ({"padding": (1, 1, 1)}, ["padding"]),
    "output too small": ({"kernel_size": 7}, ["input", 7, 6]),
    "output too small, dilated": ({"kernel_size": 3, "dilation": 3}, ["input", 7, 6]),
    "no channels": ({"input": shaped(2, 0, 6, 7)}, ["input", "(2, 0, 6, 7)"]),
    "no pixels": ({"input": shaped(2, 3, 0, 7)}, ["input", "(2, 3, 0, 7)"]),
    "input of rank 2": ({"input": shaped(6, 7)}, ["input", "(6, 7)"]),
    "input of rank 5": ({"input": shaped(1, 2, 3, 6, 7)}, ["input", "(1, 2, 3, 6, 7)"]),
}
TYPES: dict[str, tuple[dict[str, Any], list[object]]] = {
    "kernel float": ({"kernel_size": 2.0}, ["kernel_size", "float"]),
    "kernel bool": ({"kernel_size": True}, ["kernel_size", "bool"]),
    "kernel None": ({"kernel_size": None}, ["kernel_size", "None"]),
    "stride float": ({"stride": (1.0, 1)}, ["stride", "float"]),
    "padding bool": ({"padding": True}, ["padding", "bool"]),
    "dilation string": ({"dilation": "1"}, ["dilation", "str"]),
    "ceil_mode a string": ({"ceil_mode": "yes"}, ["ceil_mode", "str"]),
    "input complex": ({"input": X.astype("c8")}, ["input", "complex64"]),
    "input bool": ({"input": X > 0}, ["input", "bool"]),
    "input of objects": ({"input": X.astype(object)}, ["input", "object"]),
    "input in foreign byte order": (
        {"input": X.astype(X.dtype.newbyteorder())},
        ["input", "byte order"],
    ),
    "input a list": ({"input": X.tolist()}, ["input", "list"]),
}
POOLS = {"max_pool2d": fastconv.max_pool2d, "avg_pool2d": fastconv.avg_pool2d}


def call(name: str, changes: dict[str, Any], out: Any = None) -> Any:
    arguments = {"input": X, "kernel_size": 2, **changes}
    return lambda: POOLS[name](arguments.pop("input"), **arguments, out=out)


@pytest.mark.parametrize("name", POOLS)
@pytest.mark.parametrize("case", VALUES)
def test_values(case: str, name: str) -> None:
    changes, fragments = VALUES[case]
    out = Guarded((2, 3, 3, 3), "f4")
    refuses(call(name, changes, out.out), ValueError, name, *fragments)
    assert out.untouched()


@pytest.mark.parametrize("name", POOLS)
@pytest.mark.parametrize("case", TYPES)
def test_types(case: str, name: str) -> None:
    changes, fragments = TYPES[case]
    out = Guarded((2, 3, 3, 3), "f4")
    refuses(call(name, changes, out.out), TypeError, name, *fragments)
    assert out.untouched()


def test_divisor_override() -> None:
    for bad, error, fragment in [
        (0, ValueError, "zero"),
        (1.5, TypeError, "float"),
        (True, TypeError, "bool"),
    ]:
        refuses(
            call("avg_pool2d", {"divisor_override": bad}),
            error,
            "avg_pool2d",
            "divisor_override",
            fragment,
        )


@pytest.mark.parametrize("value", HUGE)
@pytest.mark.parametrize("argument", ["kernel_size", "stride", "padding", "dilation"])
@pytest.mark.parametrize("name", POOLS)
def test_huge_numbers(name: str, argument: str, value: int) -> None:
    """A huge stride has an answer (one output); of the others none has, unless rounded up."""
    for given in (value, (value, 1), (1, value)):
        y = answer_or_refusal(call(name, {argument: given}), name)
        if value < 2**62:  # beyond, sums of sizes overflow, and either answer is right
            assert (y is None) == (argument != "stride" or value < 0)
        assert y is None or 1 in y.shape[2:]
        answer_or_refusal(call(name, {argument: given, "ceil_mode": True}), name)


@pytest.mark.parametrize("name", POOLS)
def test_out(name: str) -> None:
    refuses(call(name, {}, np.empty((2, 3, 3, 4), "f4")), ValueError, name, "out", "(2, 3, 3, 4)")
    refuses(call(name, {}, np.empty((2, 3, 3, 3), "f8")), TypeError, name, "out", "float64")
    frozen = np.empty((2, 3, 3, 3), "f4")
    frozen.setflags(write=False)
    refuses(call(name, {}, frozen), ValueError, name, "out", "writ")
    inside = X.copy()
    kept = inside.copy()
    refuses(call(name, {"input": inside}, inside[:, :, :3, :3]), ValueError, name, "out", "input")
    np.testing.assert_array_equal(inside, kept)


def test_gradients_refuse() -> None:
    y, where = fastconv.max_pool2d(X, 2, return_indices=True)
    name = "max_pool2d_backward"

    def refused(error: type[Exception], *fragments: object, **changes: Any) -> None:
        given = {"grad_output": y, "input": X, "indices": where, "kernel_size": 2, **changes}
        refuses(lambda: fastconv.max_pool2d_backward(**given), error, name, *fragments)

    refused(ValueError, "grad_output", "(2, 3, 3, 2)", grad_output=y[..., :2])
    refused(ValueError, "indices", "(2, 3, 3, 2)", indices=where[..., :2])
    refused(TypeError, "indices", "int32", indices=where.astype("i4"))
    refused(TypeError, "indices", "float64", indices=where.astype("f8"))
    refused(TypeError, "float32", "float64", grad_output=y.astype("f8"))
    refused(ValueError, "kernel_size", kernel_size=0)

    mean = fastconv.avg_pool2d(X, 2)
    refuses(
        lambda: fastconv.avg_pool2d_backward(mean[..., :2], X, 2),
        ValueError,
        "avg_pool2d_backward",
        "grad_output",
        "(2, 3, 3, 2)",
    )
    refuses(
        lambda: fastconv.avg_pool2d_backward(mean.astype("f8"), X, 2),
        TypeError,
        "avg_pool2d_backward",
        "float64",
    )
