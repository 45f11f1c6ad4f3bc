"""Plans give what the plain call gives, for every algorithm, shape and thread, and refuse as it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import fastconv
from checks import DTYPES, assert_exact, bits, integers, normals, refuses
from directions import LINES, assert_right, geometry, operands, rows
from layouts import LAYOUTS, Guarded, is_channels_last
from problems import Problem

PLANS = {1: fastconv.Conv1dPlan, 2: fastconv.Conv2dPlan, 3: fastconv.Conv3dPlan}
ROWS = rows("forward", LINES, exact=False)


def planned(problem: Problem, w: Any, **options: Any) -> Any:
    return PLANS[problem.rank](w, None, *geometry(problem), **options)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("algorithm", "problem"), ROWS)
def test_a_plan_gives_the_right_result_again_and_again(
    algorithm: str, problem: Problem, dtype: str
) -> None:
    data = operands(problem, dtype)
    plan = planned(problem, data.w, algorithm=algorithm, input_shape=problem.input_shape)
    first = plan(data.x)
    assert first.dtype == dtype
    assert_right("forward", problem, data, algorithm, first)
    plan(np.full_like(data.x, np.nan))
    into = Guarded(problem.output_shape, dtype)
    assert plan(data.x, out=into.out) is into.out
    assert bits(into.check()) == bits(first)


def test_a_plan_serves_many_shapes() -> None:
    w = integers((6, 3, 3, 3))
    plan = fastconv.Conv2dPlan(w, padding=1, algorithm="im2col")
    for size in (*range(1, 30), *range(1, 30)):  # more than it remembers, then again
        x = integers((2, 3, size, size + 1), seed=size)
        assert_exact(plan(x), fastconv.conv2d(x, w, padding=1, algorithm="im2col"))
    assert_exact(plan(x[0]), fastconv.conv2d(x[0], w, padding=1, algorithm="im2col"))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_plan_takes_any_layout(layout: str) -> None:
    x, w = LAYOUTS[layout](integers((2, 4, 7, 8))), LAYOUTS[layout](integers((5, 4, 3, 3), seed=1))
    r = LAYOUTS[layout](integers((2, 5, 5, 6), seed=2))
    plan = fastconv.Conv2dPlan(w, activation="relu", algorithm="im2col")
    wanted = fastconv.conv2d(x, w, activation="relu", residual=r, algorithm="im2col")
    assert_exact(plan(x, residual=r), wanted)
    assert is_channels_last(plan(x)) or layout != "channels_last"


def test_later_changes_of_the_weight_do_not_reach_a_plan() -> None:
    x, w, b = integers((1, 3, 6, 6)), integers((4, 3, 3, 3)), integers((4,))
    for algorithm in ("im2col", "direct"):
        weight, bias = w.copy(), b.copy()
        plan = fastconv.Conv2dPlan(weight, bias, algorithm=algorithm)
        expected = fastconv.conv2d(x, w, b, algorithm=algorithm)
        weight[...] = bias[...] = np.nan
        assert_exact(plan(x), expected)


def test_a_plan_runs_in_many_threads_at_once() -> None:
    w = normals((16, 8, 3, 3))
    plan = fastconv.Conv2dPlan(w, padding=1)
    inputs = [normals((1, 8, 12 + i % 9, 14), seed=i) for i in range(60)]
    alone = [bits(plan(x)) for x in inputs]
    with ThreadPoolExecutor(6) as pool:
        assert [bits(y) for y in pool.map(plan, inputs)] == alone


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_a_plan_does_not_depend_on_the_threads(count: int) -> None:
    x, w = normals((3, 24, 30, 31)), normals((40, 24, 3, 3), seed=1)
    plan = fastconv.Conv2dPlan(w, padding=1)
    with fastconv.threads(1):
        alone = bits(plan(x))
    with fastconv.threads(count):
        assert bits(plan(x)) == alone
        assert bits(fastconv.Conv2dPlan(w, padding=1)(x)) == alone


def test_a_plan_refuses_as_the_call_does() -> None:
    x, w = integers((2, 4, 6, 7)), integers((6, 4, 3, 3))
    make = fastconv.Conv2dPlan
    for call, error, fragments in [
        (lambda: make(w, stride=0), ValueError, ["stride", 0]),
        (lambda: make(w, stride=1.5), TypeError, ["stride", "float"]),
        (lambda: make(w, groups=4), ValueError, ["groups", 4]),
        (lambda: make(w, integers((5,))), ValueError, ["bias", 6, "(5,)"]),
        (lambda: make(w.astype("i4")), TypeError, ["weight", "int32"]),
        (lambda: make(w, algorithm="fastest"), ValueError, ["algorithm", "fastest"]),
        (lambda: make(w, activation="tanhh"), ValueError, ["activation", "tanhh"]),
        (lambda: make(w, input_shape=(2, 3, 6, 7)), ValueError, ["input", 3, 4]),
        (lambda: make(w)(x[:, :3]), ValueError, ["input", 3, 4]),
        (lambda: make(w)(x.astype("f8")), TypeError, ["float32", "float64"]),
        (lambda: make(w)(x[..., :2]), ValueError, ["kernel", 3]),
    ]:
        with pytest.raises(error) as caught:
            call()
        assert str(caught.value).startswith(("conv2d: ", "Conv2dPlan: ")), caught.value
        assert all(str(f) in str(caught.value) for f in fragments), caught.value
    out = Guarded((2, 6, 4, 5), "f4")
    for changes in ({"residual": x}, {"residual": np.ones((2, 6, 4, 5))}):
        with pytest.raises((ValueError, TypeError), match="residual"):
            make(w)(x, out=out.out, **changes)
        assert out.untouched()


def test_info_and_explain_describe_the_choice() -> None:
    plan = fastconv.Conv2dPlan(
        np.ones((64, 64, 3, 3), "f4"), padding=1, input_shape=(1, 64, 28, 28)
    )
    assert plan.algorithm in fastconv._core.algorithms("forward")
    assert plan.flops == 2 * 64 * 64 * 9 * 28 * 28
    assert plan.workspace_bytes >= 0
    assert plan.info((1, 64, 9, 9))["output_shape"] == (1, 64, 9, 9)
    refuses(
        fastconv.Conv2dPlan(np.ones((1, 1, 1, 1))).info, ValueError, "Conv2dPlan", "input_shape"
    )
    text = str(fastconv.explain((1, 64, 28, 28), (64, 64, 3, 3), padding=1))
    assert all(name in text for name in ("im2col", "direct"))
