"""The tape: sums, freeing, modes, hooks, in-place changes."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref
from typing import Any

import numpy as np
import pytest

import fastconv
from fastconv import autograd
from fastconv import functional as F
from gradients import finite_differences


def leaf(*values: float) -> fastconv.Tensor:
    return fastconv.tensor(np.array(values), requires_grad=True)


def test_a_tensor_used_twice_sums_its_gradients():
    x = leaf(2.0, 3.0)
    y = x * x + x
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [5.0, 7.0])


def test_gradients_add_up_over_passes():
    x = leaf(1.0, 2.0)
    for _ in range(3):
        (x * 2).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [6.0, 6.0])


def test_diamond_runs_each_step_once():
    calls = []
    x = leaf(1.0)
    a = autograd.record("A", x._array * 2, (x,), lambda g: (calls.append(1), (g * 2,))[1])
    (a * a + a).sum().backward()
    assert calls == [1]
    np.testing.assert_array_equal(x.grad.numpy(), [2 * (2 * 2 + 1)])


def test_gradients_of_two_leaves_do_not_share_memory():
    x, y = leaf(1.0), leaf(1.0)
    (x + y).backward(np.array([3.0]))
    x.grad.mul_(10)
    assert y.grad.item() == 3.0


def test_the_given_gradient_is_not_kept():
    x = leaf(1.0, 2.0)
    seed = np.array([1.0, 1.0])
    x.reshape(2).backward(seed)
    x.grad.zero_()
    np.testing.assert_array_equal(seed, [1.0, 1.0])


def test_second_backward_raises_unless_the_graph_is_kept():
    x = leaf(2.0)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.item() == 8.0
    with pytest.raises(RuntimeError, match="Trying to backward through the graph a second time"):
        y.backward()


def test_backward_needs_a_scalar_or_a_gradient():
    x = leaf(1.0, 2.0)
    with pytest.raises(
        RuntimeError, match="grad can be implicitly created only for scalar outputs"
    ):
        (x * 2).backward()
    with pytest.raises(RuntimeError, match="gradient has shape"):
        (x * 2).backward(np.ones(3))
    with pytest.raises(RuntimeError, match="does not require grad"):
        fastconv.ones(1).backward()


def test_arrays_are_freed_as_the_pass_goes():
    alive = []

    class Watched(np.ndarray):
        pass

    def step(x: fastconv.Tensor) -> fastconv.Tensor:
        kept = np.ones(4).view(Watched)
        ref = weakref.ref(kept)
        alive.append(ref)

        def backward(g: np.ndarray, kept: np.ndarray = kept) -> tuple[np.ndarray]:
            counts.append(sum(r() is not None for r in alive))
            return (g * kept.view(np.ndarray),)

        return autograd.record("Step", x._array, (x,), backward)

    counts: list[int] = []
    x = leaf(1.0, 1.0, 1.0, 1.0)
    y = x
    for _ in range(4):
        y = step(y)
    y.sum().backward()
    assert counts == [4, 3, 2, 1]
    assert all(r() is None for r in alive)


def test_a_graph_that_is_dropped_needs_no_garbage_collector():
    gc.disable()
    try:
        x = leaf(1.0)
        node = weakref.ref((x * x)._array)
        assert node() is None
    finally:
        gc.enable()


def test_an_intermediate_tensor_is_not_kept_when_its_values_are_not_needed():
    x = leaf(1.0)
    middle = x + 1
    array = weakref.ref(middle._array)
    y = middle + 1
    del middle
    assert array() is None
    y.backward()


def test_a_deep_graph_does_not_overflow_the_stack():
    x = leaf(1.0)
    y = x
    for _ in range(20_000):
        y = y + 0.0
    y.backward()
    assert x.grad.item() == 1.0
    y = x
    for _ in range(20_000):
        y = y + 0.0
    del y


def test_modes():
    x = leaf(1.0)
    with fastconv.no_grad():
        assert not fastconv.is_grad_enabled()
        assert not (x * 2).requires_grad
        with fastconv.enable_grad():
            assert (x * 2).requires_grad
        assert not fastconv.is_grad_enabled()
    with fastconv.inference_mode():
        assert not (x * 2).requires_grad
    with fastconv.inference_mode(False):
        assert (x * 2).requires_grad
    with fastconv.set_grad_enabled(False):
        assert not (x * 2).requires_grad
    fastconv.set_grad_enabled(False)
    assert not fastconv.is_grad_enabled()
    fastconv.set_grad_enabled(True)

    @fastconv.no_grad()
    def called() -> bool:
        return (x * 2).requires_grad

    @fastconv.no_grad
    def bare() -> bool:
        return (x * 2).requires_grad

    @fastconv.inference_mode()
    def inferred() -> bool:
        return (x * 2).requires_grad

    assert not called()
    assert not bare()
    assert not inferred()
    assert (x * 2).requires_grad
    with pytest.raises(ZeroDivisionError), fastconv.no_grad():
        raise ZeroDivisionError
    assert fastconv.is_grad_enabled()


def test_detach_shares_memory_and_cuts_the_tape():
    x = leaf(1.0, 2.0)
    y = (x * 2).detach()
    assert not y.requires_grad
    z = x.detach()
    z[0] = 5.0
    assert x._array[0] == 5.0


def test_integers_cannot_require_gradients():
    with pytest.raises(RuntimeError, match="only Tensors of floating point dtype"):
        fastconv.tensor([1, 2], requires_grad=True)


def test_hooks_and_retain_grad():
    x = leaf(1.0, 2.0)
    y = x * 3
    y.retain_grad()
    seen = []
    y.register_hook(lambda g: seen.append(g.numpy().copy()))
    handle = x.register_hook(lambda g: g * 10)
    (y * y).sum().backward()
    np.testing.assert_array_equal(seen[0], [6.0, 12.0])
    np.testing.assert_array_equal(y.grad.numpy(), [6.0, 12.0])
    np.testing.assert_array_equal(x.grad.numpy(), [180.0, 360.0])
    handle.remove()
    x.grad = None
    (x * 2).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [2.0, 2.0])


def test_a_leaf_hook_sees_the_whole_sum_once():
    x = leaf(1.0)
    seen = []
    x.register_hook(lambda g: seen.append(g.item()))
    (x * 2 + x * 3).backward()
    assert seen == [5.0]


def test_grad_function():
    x, y = leaf(2.0), leaf(3.0)
    z = x * y
    (gx,) = autograd.grad(z.sum(), x, retain_graph=True)
    assert gx.item() == 3.0
    assert x.grad is None
    gz, gy = autograd.grad((z * z).sum(), [z, y])
    assert gz.item() == 12.0
    assert gy.item() == 24.0
    with pytest.raises(RuntimeError, match="not used"):
        autograd.grad((x * 2).sum(), y)
    assert autograd.grad((x * 2).sum(), y, allow_unused=True) == (None,)


class Swish(autograd.Function):
    """As memory-saving model code writes it."""

    @staticmethod
    def forward(ctx, i):
        result = i * i.sigmoid()
        ctx.save_for_backward(i)
        return result

    @staticmethod
    def backward(ctx, grad_output):
        (i,) = ctx.saved_tensors
        s = i.sigmoid()
        return grad_output * (s * (1 + i * (1 - s)))


class Both(autograd.Function):
    @staticmethod
    def forward(ctx, x, y, scale):
        ctx.scale = scale
        return x + y, (x - y) * scale

    @staticmethod
    def backward(ctx, g, h):
        h = 0 if h is None else h * ctx.scale
        return g + h, g - h, None


def test_functions_of_ones_own():
    x = fastconv.tensor(np.array([0.3, -1.2]), requires_grad=True)
    y = fastconv.tensor(np.array([0.3, -1.2]), requires_grad=True)
    Swish.apply(x).sum().backward()
    F.silu(y).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), y.grad.numpy())
    p, q = leaf(2.0), leaf(3.0)
    total, difference = Both.apply(p, q, 10)
    (total * 2 + difference).backward()
    assert (p.grad.item(), q.grad.item()) == (12.0, -8.0)
    assert Both.apply(p, q, 1)[0].grad_fn.name == "Both"
    with pytest.raises(NotImplementedError):
        autograd.Function.apply(p)


# ---- in place ------------------------------------------------------------------------------------


def test_in_place_operators_give_right_gradients():
    finite_differences(_in_place_chain, [np.array([0.3, -0.7, 1.1])])


def _in_place_chain(x):
    y = x * 2
    z = y * y
    y += z  # y was saved by y * y: must not disturb it
    y *= 3
    y[1] = 4.0
    y = F.relu(y, inplace=True) if isinstance(y, fastconv.Tensor) else np.maximum(y, 0)
    return y + z


def test_in_place_without_recording_changes_the_memory_that_views_see():
    x = fastconv.zeros(2, 3)
    view = x.view(6)
    x += 1
    np.testing.assert_array_equal(view.numpy(), np.ones(6))
    view[0] = 7
    assert x[0, 0].item() == 7


def test_in_place_on_a_leaf_raises():
    x = leaf(1.0)
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad"):
        x += 1
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad"):
        x[0] = 1
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad"):
        x.zero_()
    with fastconv.no_grad():
        x += 1
    assert x.item() == 2.0


def test_in_place_that_would_leave_a_view_behind_raises():
    x = leaf(1.0, 2.0)
    y = x * 2
    view = y[:1]
    with pytest.raises(RuntimeError, match="looks into the same memory"):
        y += 1
    del view
    y += 1
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [2.0, 2.0])


def test_overwriting_a_saved_value_is_noticed():
    x, w = leaf(1.0), leaf(2.0)
    y = x * w
    with fastconv.no_grad():
        w.mul_(5)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()
    y = x.exp()
    y.detach().zero_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()


def test_overwriting_a_value_that_was_not_saved_is_fine():
    x = leaf(1.0)
    y = x + 1
    with fastconv.no_grad():
        x.mul_(5)
    y.backward()
    assert x.grad.item() == 1.0


def test_filling_a_computed_tensor_cuts_its_history():
    x = leaf(1.0, 2.0)
    y = x * 2
    y.zero_()
    z = y + x
    z.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [1.0, 1.0])


def test_setting_elements_of_a_buffer_to_computed_ones():
    x = leaf(1.0, 2.0)
    buffer = fastconv.zeros(3, dtype=fastconv.float64)
    buffer[1:] = x * 3
    buffer.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [3.0, 3.0])


# ---- copies --------------------------------------------------------------------------------------


def test_copies_and_pickles_of_leaves():
    x = leaf(1.0, 2.0)
    (x * 2).sum().backward()
    for other in (copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        assert other.requires_grad
        np.testing.assert_array_equal(other.detach().numpy(), x.detach().numpy())
        assert other._array is not x._array
    with pytest.raises(RuntimeError, match="graph leaves"):
        copy.deepcopy(x * 2)


def test_a_number_used_many_times_sums_its_gradients():
    """NumPy makes numbers of sums of arrays without axes."""
    x = fastconv.tensor(np.array(3.0), requires_grad=True)
    (x * x + x + x * x).backward()
    assert x.grad.item() == 13.0
    (slope,) = autograd.grad(x * x + x + x * x, x)
    assert slope.item() == 13.0


def test_gradients_of_gradients_are_refused():
    x = leaf(2.0)
    with pytest.raises(NotImplementedError, match="backward: create_graph"):
        (x * x).sum().backward(create_graph=True)
    with pytest.raises(NotImplementedError, match="grad: create_graph"):
        autograd.grad((x * x).sum(), x, create_graph=True)


def test_nan_is_found_where_it_comes_from() -> None:
    def back() -> Any:
        x = fastconv.tensor([0.0, 1.0], requires_grad=True)
        (fastconv.sqrt(x) * fastconv.tensor([0.0, 1.0])).sum().backward()
        return x.grad

    assert np.isnan(back().numpy()[0])
    with fastconv.autograd.detect_anomaly(), pytest.raises(RuntimeError, match="'Sqrt' returned"):
        back()
    with fastconv.autograd.set_detect_anomaly(True, check_nan=False):
        back()
    fastconv.autograd.set_detect_anomaly(False)
    back()
