"""A convolution, the batch norm behind it and its ReLU as one step of the tape."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import fastconv
import fastconv.nn as nn
import fastconv.nn.functional as F
from fastconv.nn.rows import Pair, Trio, pairs_of

rng = np.random.default_rng(0)


def normals(shape: tuple[int, ...], dtype: Any = np.float32) -> np.ndarray:
    return (2 * rng.standard_normal(shape) + 0.5).astype(dtype)


def one_by_one(layers: list[nn.Module], x: Any) -> Any:
    for layer in layers:
        x = layer(x)
    return x


TRIOS: dict[str, Any] = {
    "plain": lambda: [nn.Conv2d(4, 6, 3, 2, 1, bias=False), nn.BatchNorm2d(6)],
    "relu": lambda: [nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6), nn.ReLU(inplace=True)],
    "relu6": lambda: [nn.Conv2d(4, 8, 3, groups=4), nn.BatchNorm2d(8, momentum=None), nn.ReLU6()],
    "untracked": lambda: [
        nn.Conv2d(4, 6, 1), nn.BatchNorm2d(6, affine=False, track_running_stats=False), nn.ReLU(),
    ],
    "other activation": lambda: [nn.Conv2d(4, 6, 1), nn.BatchNorm2d(6), nn.SiLU()],
    "reflected": lambda: [
        nn.Conv2d(4, 6, 3, padding=1, padding_mode="reflect"), nn.BatchNorm2d(6), nn.ReLU(),
    ],
    "frozen norm": lambda: [nn.Conv2d(4, 6, 1), nn.BatchNorm2d(6).freeze(), nn.ReLU()],
    "frozen convolution": lambda: [
        nn.Conv2d(4, 6, 1).requires_grad_(False), nn.BatchNorm2d(6), nn.ReLU(),
    ],
}  # fmt: skip


def learned(call: Any, layers: list[Any], x: np.ndarray, wanted: bool) -> list[np.ndarray]:
    """The result, all gradients and all buffers after two steps, the second with both graphs."""
    start = fastconv.tensor(x).requires_grad_(wanted)
    y = call(start)
    y.square().sum().backward(retain_graph=True)
    (y * call(start)).sum().backward()
    found = [y, start.grad]
    for layer in layers:
        found += [p.grad for p in layer.parameters()] + [*layer.buffers()]
    return [np.array(v.detach()) for v in found if v is not None]


@pytest.mark.parametrize("wanted", [False, True])
@pytest.mark.parametrize("shape", [(3, 4, 7, 6), (1, 4, 7, 6)])
@pytest.mark.parametrize("name", TRIOS)
def test_a_trio_is_the_same_as_its_layers(name: str, shape: tuple[int, ...], wanted: bool) -> None:
    layers = TRIOS[name]()
    twins = copy.deepcopy(layers)
    x = normals(shape)
    nested = nn.Sequential(nn.Sequential(*twins[:2]), nn.Sequential(*twins[2:]))
    got = learned(nested, twins, x, wanted)
    expected = learned(lambda v: one_by_one(layers, v), layers, x, wanted)
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_array_equal(a, b)


def test_what_is_a_trio() -> None:
    model = nn.Sequential(
        nn.Sequential(nn.Conv2d(4, 6, 1), nn.BatchNorm2d(6)), nn.ReLU(), nn.Conv2d(6, 4, 1),
        nn.BatchNorm1d(4),
    )  # fmt: skip
    assert [type(s) for s in pairs_of(model)] == [Trio, nn.Conv2d, nn.BatchNorm1d]
    seen: list[Any] = []
    handle = model[0][0].register_forward_hook(lambda m, args, out: seen.append(out))
    assert [type(s) for s in pairs_of(model)][:2] == [nn.Conv2d, Pair]
    handle.remove()
    handle = model[0].register_forward_hook(lambda m, args, out: seen.append(out))
    assert [type(s) for s in pairs_of(model)][:2] == [nn.Sequential, nn.ReLU]
    model[0](fastconv.tensor(normals((2, 4, 3, 3))))
    assert len(seen) == 1
    handle.remove()
    model[0][1].eval()
    assert [type(s) for s in pairs_of(model)][:3] == [nn.Conv2d, nn.BatchNorm2d, nn.ReLU]


def test_trios_complain_as_their_layers_do() -> None:
    model = nn.Sequential(nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6), nn.ReLU())
    with pytest.raises(ValueError, match="conv2d: weight has 4 input channels"):
        model(fastconv.tensor(normals((2, 3, 7, 6))))
    assert model[1].num_batches_tracked.item() == 0
    with pytest.raises(ValueError, match="expected 4D"):
        model(fastconv.tensor(normals((4, 7, 6))))
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        model(fastconv.tensor(normals((1, 4, 3, 3))))
    wrong = nn.Sequential(nn.Conv2d(4, 5, 3), nn.BatchNorm2d(6))
    with pytest.raises(ValueError, match="batch_norm"):
        wrong(fastconv.tensor(normals((2, 4, 7, 6))))
    y = model(fastconv.tensor(normals((2, 4, 7, 6))))
    model[0].weight.data.mul_(2)
    with fastconv.no_grad():
        model[0].weight.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()
    y = model(fastconv.tensor(normals((2, 4, 7, 6))))
    y.sum().backward()
    with pytest.raises(RuntimeError, match="second time"):
        y.sum().backward()


def test_trios_keep_other_layouts() -> None:
    model = nn.Sequential(nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6), nn.ReLU())
    x = fastconv.tensor(normals((2, 4, 7, 6)))
    expected = model(x).detach().numpy()
    y = model(x.contiguous(memory_format=fastconv.channels_last))
    assert y.is_contiguous(memory_format=fastconv.channels_last)
    np.testing.assert_allclose(y.detach().numpy(), expected, rtol=1e-4, atol=1e-5)
    model.double()
    y = model(x.double())
    np.testing.assert_allclose(y.detach().numpy(), expected, rtol=1e-4, atol=1e-5)


# ---- a ReLU in place behind a batch norm, called one after the other -----------------------------


class Block(nn.Module):
    """As models spell it: layers in attributes, one ReLU for all."""

    def __init__(self, between: Any = None, inplace: bool = True) -> None:
        super().__init__()
        self.conv, self.bn = nn.Conv2d(4, 5, 3), nn.BatchNorm2d(5)
        self.relu, self.between = nn.ReLU(inplace=inplace), between
        nn.init.normal_(self.bn.weight)
        nn.init.normal_(self.bn.bias)

    def forward(self, x: Any) -> Any:
        y = self.bn(self.conv(x))
        other = None if self.between is None else self.between(y)
        y = self.relu(y)
        return y if other is None else y * 2 + other.square()


def _changed(y: Any) -> None:
    with fastconv.no_grad():
        y.add_(0.5)


BETWEEN: dict[str, Any] = {
    "nothing": None,
    "read before": lambda y: y * 3,
    "activated before": lambda y: F.relu(y) + y.sigmoid(),
    "changed": _changed,
    "looked at": lambda y: np.asarray(y).sum() and None,
    "a view": lambda y: y[:, :2].sum() + 0 * y,
    "detached": lambda y: y.detach() * 1,
    "retained": lambda y: y.retain_grad(),
    "hooked": lambda y: y.register_hook(lambda g: 2 * g) and None,
}


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("name", BETWEEN)
def test_relu_in_place_joins_a_batch_norm(name: str, whole: bool) -> None:
    block = Block(BETWEEN[name])
    other = copy.deepcopy(block)
    other.relu = nn.ReLU()
    if whole:
        for net in (block, other):
            net.conv = nn.Sequential(net.conv, net.bn)
            net.bn = nn.Identity()
    x = normals((3, 4, 7, 6))
    found = []
    for net in (block, other):
        start = fastconv.tensor(x).requires_grad_()
        y = net(start)
        y.backward(fastconv.tensor(normals(y.shape) * 0 + 1), retain_graph=True)
        y.square().sum().backward()
        values = [y, start.grad, *(p.grad for p in net.parameters()), *net.buffers()]
        found.append([np.array(v.detach()) for v in values])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-4)


def test_relu_in_place_makes_no_step_of_its_own() -> None:
    block = Block()
    y = block.bn(block.conv(fastconv.tensor(normals((3, 4, 7, 6)))))
    node, memory = y._node, y._array
    assert block.relu(y) is y
    assert y._node is node
    assert y._array is memory
    assert (memory >= 0).all()
    z = block.relu(y)  # once more
    assert z._node is not node
    with fastconv.no_grad():
        block.bn.bias.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        z.sum().backward()
