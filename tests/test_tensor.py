"""Tensors: methods and top-level functions, held to PyTorch where it is installed."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastconv
from gradients import like_torch, torch

Call = Callable[..., Any]

# Each row works on our tensors and on PyTorch's alike; `t` is the library.
METHODS: dict[str, tuple[Call, tuple[tuple[int, ...], ...]]] = {
    "add": (lambda t, x, y: x + y, ((3, 4), (4,))),
    "add alpha": (lambda t, x, y: t.add(x, y, alpha=2), ((3, 4), (3, 1))),
    "radd": (lambda t, x: 2 + x, ((3,),)),
    "sub": (lambda t, x, y: x - y, ((3, 1), (1, 4))),
    "rsub": (lambda t, x: 1.5 - x, ((3,),)),
    "mul": (lambda t, x, y: x * y, ((2, 3, 4), (3, 1))),
    "mul number": (lambda t, x: x * 3, ((2, 3),)),
    "div": (lambda t, x, y: x / (y * y + 1), ((3, 4), (4,))),
    "rdiv": (lambda t, x: 2 / (x * x + 1), ((3,),)),
    "pow": (lambda t, x: x**3, ((3, 4),)),
    "pow half": (lambda t, x: (x * x) ** 0.5, ((3, 4),)),
    "pow zero": (lambda t, x: x**0, ((3, 4),)),
    "pow tensor": (lambda t, x, y: (x * x + 0.1) ** y, ((3, 4), (4,))),
    "rpow": (lambda t, x: 2.0**x, ((3, 4),)),
    "neg": (lambda t, x: -x, ((3,),)),
    "abs": (lambda t, x: abs(x), ((3,),)),
    "matmul": (lambda t, x, y: x @ y, ((3, 4), (4, 5))),
    "matmul batch": (lambda t, x, y: x @ y, ((2, 1, 3, 4), (5, 4, 2))),
    "matmul vector": (lambda t, x, y: x @ y, ((2, 3, 4), (4,))),
    "vector matmul": (lambda t, x, y: x @ y, ((3,), (2, 3, 4))),
    "dot": (lambda t, x, y: x @ y, ((3,), (3,))),
    "bmm": (lambda t, x, y: t.bmm(x, y), ((2, 3, 4), (2, 4, 5))),
    "addmm": (lambda t, x, y, z: t.addmm(x, y, z, beta=0.5, alpha=2), ((5,), (3, 4), (4, 5))),
    "einsum": (lambda t, x, y: t.einsum("nij,jk->nk", x, y), ((2, 3, 4), (4, 5))),
    "outer": (lambda t, x, y: t.outer(x, y), ((3,), (4,))),
    "exp": (lambda t, x: x.exp(), ((3, 4),)),
    "log": (lambda t, x: (x * x + 1).log(), ((3, 4),)),
    "log2": (lambda t, x: (x * x + 1).log2(), ((3, 4),)),
    "log1p": (lambda t, x: (x * x).log1p(), ((3, 4),)),
    "sqrt": (lambda t, x: (x * x + 1).sqrt(), ((3, 4),)),
    "rsqrt": (lambda t, x: (x * x + 1).rsqrt(), ((3, 4),)),
    "square": (lambda t, x: x.square(), ((3, 4),)),
    "reciprocal": (lambda t, x: (x * x + 1).reciprocal(), ((3, 4),)),
    "sin": (lambda t, x: x.sin() + x.cos(), ((3, 4),)),
    "erf": (lambda t, x: x.erf(), ((3, 4),)),
    "sigmoid": (lambda t, x: x.sigmoid(), ((3, 4),)),
    "tanh": (lambda t, x: x.tanh(), ((3, 4),)),
    "relu": (lambda t, x: x.relu(), ((3, 4),)),
    "clamp": (lambda t, x: x.clamp(-0.5, 0.5), ((3, 4),)),
    "clamp min": (lambda t, x: x.clamp(min=0.1), ((3, 4),)),
    "floor": (lambda t, x: (x * 3).floor(), ((3, 4),)),
    "maximum": (lambda t, x, y: t.maximum(x, y), ((3, 4), (4,))),
    "where": (lambda t, x, y: t.where(x > 0, x, y), ((3, 4), (4,))),
    "masked_fill": (lambda t, x: x.masked_fill(x > 0.3, -1.0), ((3, 4),)),
    "lerp": (lambda t, x, y: t.lerp(x, y, 0.3), ((3, 4), (3, 4))),
    "sum": (lambda t, x: x.sum(), ((3, 4),)),
    "sum dim": (lambda t, x: x.sum(1), ((3, 4, 2),)),
    "sum dims": (lambda t, x: x.sum((0, -1), keepdim=True), ((3, 4, 2),)),
    "mean": (lambda t, x: x.mean([2, 3]), ((3, 4, 2, 5),)),
    "var": (lambda t, x: x.var(1), ((3, 4),)),
    "var biased": (lambda t, x: x.var(dim=(0, 2), unbiased=False, keepdim=True), ((3, 4, 2),)),
    "std": (lambda t, x: x.std(), ((3, 4),)),
    "prod": (lambda t, x: x.prod(1), ((3, 4),)),
    "max": (lambda t, x: x.max(), ((3, 4),)),
    "max dim": (lambda t, x: x.max(1).values, ((3, 4),)),
    "max dim keep": (lambda t, x: x.max(0, keepdim=True)[0], ((3, 4),)),
    "min dim": (lambda t, x: t.min(x, 1)[0], ((3, 4),)),
    "max two": (lambda t, x, y: t.max(x, y), ((3, 4), (3, 4))),
    "amax": (lambda t, x: x.amax((0, 1)), ((3, 4),)),
    "norm": (lambda t, x: x.norm(), ((3, 4),)),
    "norm dim": (lambda t, x: x.norm(p=1, dim=1), ((3, 4),)),
    "norm 3": (lambda t, x: t.norm(x, 3, 1, True), ((3, 4),)),
    "logsumexp": (lambda t, x: x.logsumexp(1), ((3, 4),)),
    "cumsum": (lambda t, x: x.cumsum(1), ((3, 4),)),
    "sort": (lambda t, x: x.sort(1, descending=True)[0], ((3, 4),)),
    "topk": (lambda t, x: x.topk(2, 1).values, ((3, 4),)),
    "diff": (lambda t, x: t.diff(x), ((3, 4),)),
    "view": (lambda t, x: x.view(-1, 6), ((3, 4),)),
    "reshape": (lambda t, x: x.transpose(0, 1).reshape(2, 6), ((3, 4),)),
    "flatten": (lambda t, x: t.flatten(x, 1), ((3, 4, 2),)),
    "unflatten": (lambda t, x: x.unflatten(1, (2, -1)), ((3, 4),)),
    "squeeze": (lambda t, x: x.squeeze(1), ((3, 1, 2),)),
    "unsqueeze": (lambda t, x: x.unsqueeze(-1), ((3, 2),)),
    "permute": (lambda t, x: x.permute(2, 0, 1), ((3, 4, 2),)),
    "T": (lambda t, x: x.t() + x.T, ((3, 4),)),
    "movedim": (lambda t, x: x.movedim(0, 2), ((3, 4, 2),)),
    "expand": (lambda t, x: x.expand(5, -1, 4), ((3, 1),)),
    "expand_as": (lambda t, x, y: x.expand_as(y) * y, ((3, 1), (3, 4))),
    "repeat": (lambda t, x: x.repeat(2, 1, 3), ((3, 2),)),
    "repeat_interleave": (lambda t, x: x.repeat_interleave(3, dim=1), ((3, 2),)),
    "flip": (lambda t, x: x.flip(0, 1), ((3, 2),)),
    "roll": (lambda t, x: t.roll(x, (1, -1), (0, 1)), ((3, 4),)),
    "cat": (lambda t, x, y: t.cat([x, y, x], 1), ((3, 4), (3, 2))),
    "stack": (lambda t, x, y: t.stack((x, y), dim=1), ((3, 4), (3, 4))),
    "split": (lambda t, x: x.split(2, 1)[1] * x.split([1, 2, 1], 1)[1], ((3, 4),)),
    "chunk": (lambda t, x: t.cat(x.chunk(2, 1)[::-1], 0), ((3, 4),)),
    "unbind": (lambda t, x: x.unbind(1)[2], ((3, 4),)),
    "iterate": (lambda t, x: sum(row * i for i, row in enumerate(x)), ((3, 4),)),
    "index": (lambda t, x: x[1:, None, ::2], ((3, 4),)),
    "index int": (lambda t, x: x[:, 0], ((3, 4),)),
    "index mask": (lambda t, x: x[x > 0], ((3, 4),)),
    "index list": (lambda t, x: x[[0, 2, 0]], ((3, 4),)),
    "index pairs": (lambda t, x: x[[0, 0, 2], [1, 1, 3]], ((3, 4),)),
    "index_select": (lambda t, x: x.index_select(1, t.tensor([3, 3, 0])), ((3, 4),)),
    "gather": (lambda t, x: x.gather(1, t.tensor([[0, 0], [3, 1]])), ((3, 4),)),
    "narrow": (lambda t, x: x.narrow(1, 1, 2), ((3, 4),)),
    "select": (lambda t, x: x.select(1, 1), ((3, 4),)),
    "triu": (lambda t, x: x.triu() + t.tril(x, -1) * 2, ((4, 4),)),
    "softmax": (lambda t, x: t.softmax(x, dim=1), ((3, 4),)),
    "clone": (lambda t, x: x.clone().add_(1), ((3, 4),)),
    "contiguous": (lambda t, x: x.t().contiguous(), ((3, 4),)),
    "type change": (lambda t, x: (x.double() * 2).to(x.dtype), ((3, 4),)),
    "in place": (lambda t, x: (x * 1).mul_(2).sub_(1).div_(3).clamp_(min=0.2), ((3, 4),)),
    "sum_to_size": (lambda t, x: x.sum_to_size(1, 4), ((3, 4),)),
    "argmax": (lambda t, x: x.argmax(1), ((3, 4),)),
    "argsort": (lambda t, x: x.argsort(dim=1), ((3, 4),)),
    "comparison": (lambda t, x, y: (x > y) & ~(x < 0.2), ((3, 4), (4,))),
    "equality": (lambda t, x: x == x, ((3, 4),)),
    "ones_like": (lambda t, x: t.ones_like(x) + t.zeros_like(x), ((3, 4),)),
    "any": (lambda t, x: (x > 0).any(1), ((3, 4),)),
    "all": (lambda t, x: (x > -9).all(), ((3, 4),)),
    "count": (lambda t, x: (x > 0).sum(), ((3, 4),)),
}


@pytest.mark.skipif(torch is None, reason="compares with PyTorch")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", METHODS)
def test_as_pytorch(name: str, dtype: Any) -> None:
    call, shapes = METHODS[name]
    rng = np.random.default_rng(11)
    inputs = [rng.normal(size=s).astype(dtype) for s in shapes]
    ours = [fastconv.tensor(a, requires_grad=True) for a in inputs]
    theirs = [torch.tensor(a, requires_grad=True) for a in inputs]
    y, expected = call(fastconv, *ours), call(torch, *theirs)
    assert y.dtype == np.dtype(str(expected.dtype).removeprefix("torch."))
    assert y.shape == tuple(expected.shape)
    tolerance = {"rtol": 1e-5, "atol": 1e-6} if dtype == np.float32 else {"rtol": 1e-12}
    np.testing.assert_allclose(y.detach().numpy(), expected.detach().numpy(), **tolerance)
    assert y.requires_grad == expected.requires_grad
    if y.requires_grad:
        g = rng.normal(size=y.shape).astype(dtype)
        y.backward(g)
        expected.backward(torch.tensor(g))
        for mine, peer in zip(ours, theirs, strict=True):
            assert mine.grad.dtype == dtype
            np.testing.assert_allclose(mine.grad.numpy(), peer.grad.numpy(), **tolerance)


def test_numbers_widen_nothing() -> None:
    x = fastconv.ones(2)
    for y in (x * 2.5, x + np.float64(1), x * fastconv.tensor(2), x / np.int64(3), 1 - x, x**2):
        assert y.dtype == fastconv.float32
    whole = fastconv.arange(3)
    assert whole.dtype == fastconv.int64
    assert (whole * 2).dtype == fastconv.int64
    assert (whole / 2).dtype == fastconv.float32
    assert (whole * 0.5).dtype == fastconv.float32
    assert (whole + x[0]).dtype == fastconv.float32
    assert (x * fastconv.tensor(2.0, dtype=fastconv.float64)).dtype == fastconv.float32


def test_arrays_and_tensors_mix_both_ways() -> None:
    x = fastconv.tensor([1.0, 2.0], requires_grad=True)
    array = np.array([3.0, 4.0], np.float32)
    for op in (operator.add, operator.sub, operator.mul, operator.truediv):
        for y in (op(array, x), op(x, array)):
            assert isinstance(y, fastconv.Tensor)
            assert y.requires_grad
            assert y.shape == (2,)
    assert isinstance(array @ x, fastconv.Tensor)
    assert isinstance(array < x, fastconv.Tensor)


def test_making_tensors() -> None:
    t = fastconv
    assert t.tensor([1.0, 2.0]).dtype == t.float32
    assert t.tensor([1, 2]).dtype == t.int64
    assert t.tensor([True]).dtype == t.bool
    assert t.tensor(np.ones(2)).dtype == t.float64
    assert t.tensor([1, 2], dtype=t.float16).dtype == t.float16
    assert t.zeros(2, 3).shape == t.ones((2, 3)).shape == t.empty([2, 3]).shape == (2, 3)
    assert t.full((2,), 7).dtype == t.int64
    assert t.full((2,), 7.0).dtype == t.float32
    np.testing.assert_array_equal(t.arange(1, 7, 2).numpy(), [1, 3, 5])
    assert t.arange(0, 1, 0.25).dtype == t.float32
    assert t.linspace(0, 1, 5).numpy()[2] == 0.5
    assert t.eye(3).numpy().trace() == 3
    assert t.randint(3, 9, (50,)).numpy().min() >= 3
    assert sorted(t.randperm(5).tolist()) == [0, 1, 2, 3, 4]
    assert t.rand(2, 3).dtype == t.randn(2, 3).dtype == t.float32
    assert t.Tensor(2, 3).shape == (2, 3)
    assert t.Tensor([1, 2]).tolist() == [1, 2]
    assert t.tensor([t.tensor(1.0), t.tensor(2.0)]).shape == (2,)
    with pytest.raises(TypeError, match="cannot make numbers"):
        t.tensor(["a", None])


def test_seed_makes_random_numbers_repeat() -> None:
    fastconv.manual_seed(3)
    first = fastconv.randn(4).numpy()
    fastconv.manual_seed(3)
    np.testing.assert_array_equal(first, fastconv.randn(4).numpy())


def test_memory_is_shared_where_it_should_be() -> None:
    array = np.zeros(3, np.float32)
    shared = fastconv.from_numpy(array)
    shared[0] = 5
    assert array[0] == 5
    assert fastconv.as_tensor(array)._array is array
    assert fastconv.tensor(array)._array is not array
    assert shared.numpy() is array
    assert np.asarray(shared) is array


def test_data_is_the_array_and_can_fill_itself() -> None:
    x = fastconv.ones(200, requires_grad=True)
    assert isinstance(x.data, np.ndarray)
    x.data.normal_(3, 0.1)
    assert abs(float(x._array.mean()) - 3) < 0.1
    x.data.zero_().add_(2).mul_(3)
    assert set(x.tolist()) == {6.0}
    x.data -= 1
    assert set(x.tolist()) == {5.0}
    assert type(x.data + 1) is np.ndarray
    x.data = np.zeros(2, np.float32)
    assert x.shape == (2,)


def test_numpy_of_a_tracked_tensor_raises() -> None:
    x = fastconv.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match=r"Use tensor.detach\(\).numpy\(\) instead"):
        x.numpy()
    assert x.numpy(force=True) is x._array
    assert x.detach().numpy() is x._array


def test_single_elements_as_python_numbers() -> None:
    x = fastconv.tensor([2.5])
    assert float(x) == x.item() == 2.5
    assert int(x) == 2
    assert bool(x)
    assert f"{fastconv.tensor(2.5):.2f}" == "2.50"
    assert [10, 20, 30][fastconv.tensor(1)] == 20
    for convert in (lambda v: v.item(), bool):
        with pytest.raises(RuntimeError):
            convert(fastconv.ones(2))
    with pytest.raises(TypeError, match="0-d"):
        len(fastconv.tensor(1.0))


def test_devices() -> None:
    x = fastconv.ones(2)
    assert x.to("cpu") is x
    assert x.to(fastconv.device("cpu")) is x
    assert x.cpu() is x
    assert x.device == fastconv.device("cpu")
    assert not fastconv.cuda.is_available()
    for call in (x.cuda, lambda: x.to("cuda"), lambda: fastconv.device("cuda:0")):
        with pytest.raises(RuntimeError, match="CPU only"):
            call()
    assert fastconv.zeros(2, device="cpu").shape == (2,)
    with pytest.raises(RuntimeError, match="CPU only"):
        fastconv.zeros(2, device="cuda")


def test_memory_formats() -> None:
    x = fastconv.randn(2, 3, 4, 5)
    last = x.to(memory_format=fastconv.channels_last)
    assert last.stride() == (60, 1, 15, 3)
    assert last.is_contiguous(memory_format=fastconv.channels_last)
    assert not last.is_contiguous()
    assert (last == x).all()
    assert x.contiguous() is x


def test_views_never_copy() -> None:
    x = fastconv.randn(3, 4)
    with pytest.raises(RuntimeError, match="view size is not compatible"):
        x.t().view(12)
    with pytest.raises(RuntimeError, match=r"shape .* is invalid for input of size 12"):
        x.view(5, -1)


def test_text() -> None:
    x = fastconv.tensor([1.0, 2.0], requires_grad=True)
    assert repr(x) == "tensor([1., 2.], requires_grad=True)"
    assert repr(x * 2) == "tensor([2., 4.], grad_fn=<MulBackward>)"
    assert repr(fastconv.tensor([1, 2])) == "tensor([1, 2])"
    assert repr(fastconv.tensor([1.0], dtype=fastconv.float64)) == "tensor([1.], dtype=float64)"


def test_comparison_with_anything() -> None:
    x = fastconv.ones(2)
    assert (x == None) is False  # noqa: E711
    assert (x != "a") is True
    assert x in {x}


def test_setting_elements() -> None:
    x = fastconv.zeros(3, 4)
    x[1] = 2
    x[:, 0] = fastconv.tensor([7.0, 8.0, 9.0])
    x[x == 0] = -1
    assert x.tolist() == [[7, -1, -1, -1], [8, 2, 2, 2], [9, -1, -1, -1]]


def test_functions_of_arrays_give_arrays() -> None:
    rng = np.random.default_rng(0)
    like_torch(
        lambda x, y: fastconv.cat([x, y.permute(1, 0)] if hasattr(y, "permute") else [x, y.T], 1),
        lambda x, y: torch.cat([x, y.T], 1),
        [rng.normal(size=(2, 3)), rng.normal(size=(4, 2))],
    )
    x = rng.normal(size=(2, 3)).astype(np.float32)
    for y in (
        fastconv.relu(x),
        fastconv.flatten(x),
        fastconv.softmax(x, 1),
        fastconv.stack([x, x]),
        fastconv.linear(x, x),
        fastconv.dropout(x, 0.5),
    ):
        assert type(y) is np.ndarray
        assert y.dtype == np.float32


def test_import_stays_light() -> None:
    import subprocess
    import sys

    code = (
        "import sys, fastconv; print([m for m in sys.modules if m.split('.')[0] in "
        "('torch', 'PIL', 'matplotlib', 'tqdm', 'safetensors', 'scipy') or "
        "m in ('fastconv.models', 'fastconv.data', 'fastconv.cli', 'fastconv.image')])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_clones_in_another_memory_format():
    x = fastconv.tensor(np.arange(120.0).reshape(2, 3, 4, 5))
    last = x.clone(memory_format=fastconv.channels_last)
    assert last.is_contiguous(memory_format=fastconv.channels_last)
    assert not last.is_contiguous()
    assert last.clone().is_contiguous(memory_format=fastconv.channels_last)
    assert last.clone(memory_format=fastconv.contiguous_format).is_contiguous()
    np.testing.assert_array_equal(last.numpy(), x.numpy())
    assert not np.shares_memory(last.clone().numpy(), last.numpy())
