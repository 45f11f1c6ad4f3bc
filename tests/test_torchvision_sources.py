"""Well-known networks as torchvision wrote them, with nothing but the imports changed.

Beside the originals with the same weights: outputs, the gradient by the pictures and by every
parameter, running statistics; while training and after it.
"""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

import fastconv
from torch_adapter import torch
from torchvision_sources import family, originals

# One of each family and of each kind of block: name, file, size of the pictures.
NETWORKS = {
    "alexnet": ("alexnet", 64),
    "convnext_tiny": ("convnext", 64),
    "densenet121": ("densenet", 64),
    "efficientnet_b0": ("efficientnet", 64),
    "efficientnet_v2_s": ("efficientnet", 64),
    "googlenet": ("googlenet", 64),
    "inception_v3": ("inception", 299),
    "mnasnet0_5": ("mnasnet", 64),
    "mobilenet_v2": ("mobilenetv2", 64),
    "mobilenet_v3_large": ("mobilenetv3", 64),
    "mobilenet_v3_small": ("mobilenetv3", 64),
    "regnet_x_400mf": ("regnet", 64),
    "regnet_y_400mf": ("regnet", 64),
    "resnet18": ("resnet", 64),
    "resnet50": ("resnet", 64),
    "resnext50_32x4d": ("resnet", 64),
    "shufflenet_v2_x0_5": ("shufflenetv2", 64),
    "squeezenet1_1": ("squeezenet", 64),
    "vgg11_bn": ("vgg", 32),
}
CHANCE = {"dropout": 0.0, "dropout_aux": 0.0, "stochastic_depth_prob": 0.0}


def _arguments(module: Any, name: str) -> dict[str, Any]:
    """Seven classes, no pretrained weights, no chance."""
    classes = [v for v in vars(module).values() if inspect.isclass(v)]
    known = {
        parameter
        for kind in classes
        if kind.__module__ == module.__name__
        for parameter in inspect.signature(kind.__init__).parameters
    }
    arguments = {k: v for k, v in CHANCE.items() if k in known}
    if name in ("googlenet", "inception_v3"):
        arguments |= {"aux_logits": True, "init_weights": False}
    return {"weights": None, "num_classes": 7, **arguments}


def _heads(result: Any) -> list[Any]:
    return [r for r in result if r is not None] if isinstance(result, tuple) else [result]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NETWORKS)
def test_imports_swapped(name: str) -> None:
    file, size = NETWORKS[name]
    theirs_source, ours_source = originals(file), family(file)
    arguments = _arguments(ours_source, name)
    torch.manual_seed(0)
    theirs = getattr(theirs_source, name)(**arguments).double()
    ours = getattr(ours_source, name)(**arguments).double()
    assert isinstance(ours, fastconv.nn.Module)
    state = theirs.state_dict()
    assert list(ours.state_dict()) == list(state)
    ours.load_state_dict({k: v.numpy() for k, v in state.items()})
    # Three pictures: batch norm of two single pixels has no digits to compare.
    x = np.random.default_rng(0).normal(size=(3, 3, size, size))
    weights = np.arange(7.0)
    for training in (True, False):
        given, mine = torch.tensor(x, requires_grad=True), fastconv.tensor(x, requires_grad=True)
        theirs.train(training).zero_grad()
        ours.train(training).zero_grad()
        expected, results = _heads(theirs(given)), _heads(ours(mine))
        for result, truth in zip(results, expected, strict=True):
            np.testing.assert_allclose(result.numpy(force=True), truth.detach(), 1e-7, 1e-8)
        sum((head * torch.tensor(weights)).sum() for head in expected).backward()
        sum((head * fastconv.tensor(weights)).sum() for head in results).backward()
        pairs = [("the pictures", mine, given)]
        pairs += [
            (key, dict(ours.named_parameters())[key], parameter)
            for key, parameter in theirs.named_parameters()
        ]
        for key, tensor, truth in pairs:
            assert (tensor.grad is None) == (truth.grad is None), key
            if truth.grad is not None:
                slope = truth.grad.numpy()
                bound = 1e-7 * max(np.abs(slope).max(), 1)
                np.testing.assert_allclose(tensor.grad.numpy(), slope, 1e-6, bound, err_msg=key)
        buffers = zip(ours.named_buffers(), theirs.named_buffers(), strict=True)
        for (key, buffer), (_, truth) in buffers:
            np.testing.assert_allclose(buffer.numpy(), truth.numpy(), 1e-7, 1e-9, err_msg=key)
