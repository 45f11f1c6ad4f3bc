"""Modules: registration, state, modes, hooks, containers, copies, text."""

from __future__ import annotations

import copy
import pickle
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest

import fastconv
import fastconv.nn as nn


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 3, 3, padding=1)
        self.bn = nn.BatchNorm2d(3)
        self.act = nn.ReLU(inplace=True)
        self.scale = nn.Parameter(fastconv.ones(3, 1, 1))
        self.register_buffer("shift", fastconv.zeros(1))
        self.register_buffer("scratch", fastconv.zeros(1), persistent=False)

    def forward(self, x: Any) -> Any:
        return self.act(self.bn(self.conv(x))) * self.scale + self.shift


def net() -> nn.Sequential:
    return nn.Sequential(
        Block(),
        nn.Sequential(OrderedDict(pool=nn.AdaptiveAvgPool2d(1), flat=nn.Flatten())),
        nn.Dropout(0.5),
        nn.Linear(3, 4),
    )


def batch(seed: int = 0) -> fastconv.Tensor:
    return fastconv.from_numpy(
        np.random.default_rng(seed).normal(size=(5, 2, 6, 6)).astype(np.float32)
    )


def test_names_and_order() -> None:
    model = net()
    assert [n for n, _ in model.named_parameters()] == [
        "0.scale",
        "0.conv.weight",
        "0.conv.bias",
        "0.bn.weight",
        "0.bn.bias",
        "3.weight",
        "3.bias",
    ]
    assert list(model.state_dict()) == [
        "0.scale",
        "0.shift",
        "0.conv.weight",
        "0.conv.bias",
        "0.bn.weight",
        "0.bn.bias",
        "0.bn.running_mean",
        "0.bn.running_var",
        "0.bn.num_batches_tracked",
        "3.weight",
        "3.bias",
    ]
    assert [n for n, _ in model.named_buffers()][:2] == ["0.shift", "0.scratch"]
    assert [n for n, _ in model.named_modules()] == [
        "", "0", "0.conv", "0.bn", "0.act", "1", "1.pool", "1.flat", "2", "3",
    ]  # fmt: skip
    assert [n for n, _ in model.named_children()] == ["0", "1", "2", "3"]
    assert model.get_submodule("1.pool") is model[1].pool
    assert model.get_parameter("0.conv.weight") is model[0].conv.weight
    assert model.get_buffer("0.shift") is model[0].shift
    for call in (model.get_submodule, model.get_parameter, model.get_buffer):
        with pytest.raises(AttributeError):
            call("0.none")


def test_attributes() -> None:
    block = Block()
    with pytest.raises(AttributeError, match="has no attribute 'none'"):
        _ = block.none
    with pytest.raises(TypeError, match="cannot assign 'int' as parameter 'scale'"):
        block.scale = 3
    with pytest.raises(TypeError, match="as child module 'conv'"):
        block.conv = 3
    with pytest.raises(TypeError, match="as buffer 'shift'"):
        block.shift = "x"
    block.shift = fastconv.ones(1)
    assert block.state_dict()["shift"].item() == 1
    block.conv = None
    assert "conv.weight" not in block.state_dict()
    block.conv = nn.Identity()
    block.plain = fastconv.ones(2)
    assert "plain" not in block.state_dict()
    block.plain = nn.Parameter(fastconv.ones(2))
    assert "plain" in block.state_dict()
    del block.plain
    assert not hasattr(block, "plain")
    assert "scale" in dir(block)
    with pytest.raises(KeyError, match="already exists"):
        block.register_buffer("forward", None)
    with pytest.raises(KeyError, match="contain"):
        block.add_module("a.b", nn.ReLU())
    with pytest.raises(TypeError, match="not a Module subclass"):
        block.add_module("a", 3)

    class Forgetful(nn.Module):
        def __init__(self) -> None:
            self.x = nn.ReLU()

    with pytest.raises(AttributeError, match="before Module"):
        Forgetful()
    with pytest.raises(NotImplementedError, match="forward"):
        nn.Module()(1)


def test_shared_parameters_are_listed_once() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[1].weight = model[0].weight
    assert len(list(model.parameters())) == 3
    assert len(model.state_dict()) == 4
    model(fastconv.ones(1, 2)).sum().backward()
    assert model[0].weight.grad is model[1].weight.grad


# ---- state ---------------------------------------------------------------------------------------


def test_state_goes_round() -> None:
    first, second = net(), net()
    first(batch())
    result = second.load_state_dict({k: v.numpy() for k, v in first.state_dict().items()})
    assert repr(result) == "<All keys matched successfully>"
    first.eval()
    second.eval()
    np.testing.assert_array_equal(first(batch()).detach(), second(batch()).detach())


def test_state_shares_memory_with_the_module() -> None:
    layer = nn.Linear(2, 2)
    layer.state_dict()["weight"].zero_()
    assert not layer.weight.detach().numpy().any()
    kept = layer.weight
    layer.load_state_dict({"weight": np.ones((2, 2)), "bias": np.ones(2)})
    assert layer.weight is kept
    assert layer.weight.dtype == fastconv.float32


def test_mismatches_are_listed_at_once_and_change_nothing() -> None:
    model = net()
    before = copy.deepcopy(model.state_dict())
    state = {k: np.asarray(v) + 1 for k, v in model.state_dict().items()}
    del state["3.bias"]
    state["3.weight"] = np.zeros((9, 9))
    state["extra"] = np.zeros(1)
    with pytest.raises(RuntimeError) as error:
        model.load_state_dict(state)
    text = str(error.value)
    assert "Error(s) in loading state_dict for Sequential" in text
    assert 'Missing key(s) in state_dict: "3.bias"' in text
    assert 'Unexpected key(s) in state_dict: "extra"' in text
    assert "size mismatch for 3.weight" in text
    for key, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[key])
    with pytest.raises(RuntimeError, match="size mismatch"):
        model.load_state_dict(state, strict=False)
    state["3.weight"] = np.zeros((4, 3))
    result = model.load_state_dict(state, strict=False)
    assert result.missing_keys == ["3.bias"]
    assert result.unexpected_keys == ["extra"]
    with pytest.raises(TypeError, match="mapping"):
        model.load_state_dict([1, 2])


# ---- modes ---------------------------------------------------------------------------------------


def test_train_and_eval() -> None:
    model = net()
    assert model.training
    assert model.eval() is model
    assert not any(m.training for m in model.modules())
    model.train()
    assert all(m.training for m in model.modules())


def test_freeze_stops_statistics_and_survives_train() -> None:
    model = net()
    model[0].freeze()
    before = {k: np.asarray(v).copy() for k, v in model[0].state_dict().items()}
    model.train()
    assert model[3].training
    assert not model[0].bn.training
    optimizer = fastconv.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        model(batch()).sum().backward()
        optimizer.step()
    for key, value in model[0].state_dict().items():
        np.testing.assert_array_equal(value, before[key], err_msg=key)
    assert model[0].conv.weight.grad is None
    model[0].freeze(False)
    assert model[0].bn.training
    assert model[0].conv.weight.requires_grad


def test_requires_grad_apply_and_zero_grad() -> None:
    model = net()
    seen: list[str] = []
    model.apply(lambda m: seen.append(type(m).__name__))
    assert seen[-1] == "Sequential"
    assert seen[0] == "Conv2d"
    model.requires_grad_(False)
    assert not model(batch()).requires_grad
    model.requires_grad_()
    model(batch()).sum().backward()
    model.zero_grad(set_to_none=False)
    assert not model[3].weight.grad.numpy().any()
    model.zero_grad()
    assert model[3].weight.grad is None


def test_types_and_devices() -> None:
    model = net().double()
    assert model[0].conv.weight.dtype == fastconv.float64
    assert model[0].bn.num_batches_tracked.dtype == fastconv.int64
    assert model(batch().double()).dtype == fastconv.float64
    assert model.to("cpu") is model
    assert model.to(fastconv.float32)[3].weight.dtype == fastconv.float32
    model.to(memory_format=fastconv.channels_last)
    assert model[0].conv.weight.is_contiguous(memory_format=fastconv.channels_last)
    with pytest.raises(RuntimeError, match="CPU only"):
        model.cuda()
    with pytest.raises(RuntimeError, match="CPU only"):
        model.to("cuda")


# ---- hooks ---------------------------------------------------------------------------------------


def test_forward_hooks() -> None:
    model = net().eval()
    features = {}
    handle = model[0].register_forward_hook(lambda m, args, out: features.update(out=out))
    model(batch())
    assert features["out"].shape == (5, 3, 6, 6)
    handle.remove()
    features.clear()
    model(batch())
    assert not features
    with model[3].register_forward_pre_hook(lambda m, args: (args[0] * 0,)):
        np.testing.assert_allclose(model(batch()).detach()[0], model[3].bias.detach())
    with model[3].register_forward_hook(lambda m, args, out: out * 0):
        assert not model(batch()).detach().numpy().any()
    with model[3].register_forward_hook(
        lambda m, args, kwargs, out: out + len(kwargs), with_kwargs=True
    ):
        model(batch())


def test_backward_hooks() -> None:
    layer = nn.Linear(3, 2)
    seen = {}

    def hook(module: Any, grad_input: Any, grad_output: Any) -> Any:
        seen["in"], seen["out"] = grad_input[0].numpy().copy(), grad_output[0].numpy().copy()
        return (grad_input[0] * 2,)

    layer.register_full_backward_hook(hook)
    x = fastconv.ones(4, 3, requires_grad=True)
    (layer(x) * 3).sum().backward()
    np.testing.assert_array_equal(seen["out"], np.full((4, 2), 3))
    np.testing.assert_allclose(seen["in"], seen["out"] @ layer.weight.detach().numpy())
    np.testing.assert_allclose(x.grad.numpy(), 2 * seen["in"])


def test_backward_hooks_of_the_first_layer() -> None:
    """Its input needs no gradient; the hook is called all the same."""
    layer, seen = nn.Linear(3, 2), []
    layer.register_full_backward_hook(lambda module, gin, gout: seen.append((gin, gout)))
    layer(fastconv.ones(4, 3)).sum().backward()
    ((given,), (out,)) = seen[0]
    assert given is None
    np.testing.assert_array_equal(out.numpy(), np.ones((4, 2)))


# ---- containers ----------------------------------------------------------------------------------


def test_sequential() -> None:
    model = nn.Sequential(nn.Linear(1, 2), nn.ReLU(), nn.Linear(2, 3))
    assert len(model) == 3
    assert len(model[:2]) == 2
    assert model[-1] is model[2]
    assert [type(m).__name__ for m in model] == ["Linear", "ReLU", "Linear"]
    model.append(nn.ReLU()).insert(0, nn.Identity())
    assert list(model._modules) == ["0", "1", "2", "3", "4"]
    del model[0]
    assert isinstance(model[0], nn.Linear)
    model[1] = nn.Tanh()
    assert isinstance(model.pop(1), nn.Tanh)
    assert isinstance(model.pop(-1), nn.ReLU)
    assert len(model + nn.Sequential(nn.ReLU())) == 3
    model.extend([nn.ReLU(), nn.ReLU()])
    assert model(fastconv.ones(5, 1)).shape == (5, 3)
    with pytest.raises(IndexError, match="out of range"):
        model[9]
    named = nn.Sequential(OrderedDict(a=nn.Linear(1, 2), b=nn.ReLU()))
    assert named.a is named[0]
    assert list(named[1:]._modules) == ["b"]


def test_lists_and_dicts() -> None:
    layers = nn.ModuleList([nn.Linear(2, 2) for _ in range(3)])
    layers.append(nn.ReLU())
    layers += [nn.Tanh()]
    assert len(layers) == 5
    assert isinstance(layers[1:3], nn.ModuleList)
    assert len(list(layers.parameters())) == 6
    table = nn.ModuleDict({"a": nn.Linear(2, 2), "b": nn.ReLU()})
    table["c"] = nn.Tanh()
    assert list(table) == ["a", "b", "c"]
    assert "b" in table
    assert isinstance(table.pop("b"), nn.ReLU)
    assert [k for k, _ in table.items()] == list(table.keys()) == ["a", "c"]
    weights = nn.ParameterList([fastconv.ones(2), fastconv.ones(3)])
    assert [n for n, _ in weights.named_parameters()] == ["0", "1"]
    assert all(p.requires_grad for p in weights)
    by_name = nn.ParameterDict({"w": fastconv.ones(2)})
    assert by_name["w"].requires_grad
    assert list(by_name.state_dict()) == ["w"]


# ---- copies and text -----------------------------------------------------------------------------


def test_copies_and_pickles() -> None:
    model = net()
    model(batch()).sum().backward()
    model.zero_grad()
    model.eval()
    expected = model(batch()).detach().numpy()
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(other(batch()).detach(), expected)
        assert other[0].conv.weight is not model[0].conv.weight
        other[0].conv.weight._array[...] = 0
    np.testing.assert_array_equal(model(batch()).detach(), expected)
    assert isinstance(copy.deepcopy(model)[3].weight, nn.Parameter)


def test_folding_batch_norm_into_convolution() -> None:
    block = Block()
    for _ in range(3):
        block(batch() * 2 + 1)
    block.eval()
    fused = nn.utils.fuse_conv_bn_eval(block.conv, block.bn)
    np.testing.assert_allclose(
        fused(batch()).detach(), block.bn(block.conv(batch())).detach(), rtol=1e-4, atol=1e-5
    )
    with pytest.raises(ValueError, match="evaluation mode"):
        nn.utils.fuse_conv_bn_eval(block.conv.train(), block.bn)


def test_checkpoint_computes_again_and_gives_the_same_gradients() -> None:
    from fastconv.utils.checkpoint import checkpoint

    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 2))
    x = batch()
    x.requires_grad_()
    model(x).square().sum().backward()
    expected = [p.grad.numpy().copy() for p in (x, *model.parameters())]
    x.grad = None
    model.zero_grad()
    checkpoint(model, x, use_reentrant=False).square().sum().backward()
    for p, g in zip((x, *model.parameters()), expected, strict=True):
        np.testing.assert_allclose(p.grad.numpy(), g, rtol=1e-5)
