"""Networks of the lecture and after, with torchvision's names for functions and parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastconv.nn import Module

from .googlenet import GoogLeNet, GoogLeNetOutputs, googlenet
from .mobilenet import MobileNetV2, mobilenet_v2
from .resnet import (
    ResNet,
    resnet18,
    resnet34,
    resnet50,
    resnet101,
    resnet152,
    resnext50_32x4d,
    wide_resnet50_2,
)
from .simple_cnn import SimpleCNN, simple_cnn
from .vgg import VGG, vgg11, vgg11_bn, vgg13, vgg13_bn, vgg16, vgg16_bn, vgg19, vgg19_bn

__all__ = [
    "VGG",
    "GoogLeNet",
    "GoogLeNetOutputs",
    "MobileNetV2",
    "ResNet",
    "SimpleCNN",
    "get_model",
    "googlenet",
    "list_models",
    "mobilenet_v2",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "resnext50_32x4d",
    "simple_cnn",
    "vgg11",
    "vgg11_bn",
    "vgg13",
    "vgg13_bn",
    "vgg16",
    "vgg16_bn",
    "vgg19",
    "vgg19_bn",
    "wide_resnet50_2",
]

_BUILDERS: dict[str, Callable[..., Module]] = {
    builder.__name__: builder
    for builder in (
        googlenet,
        mobilenet_v2,
        resnet18,
        resnet34,
        resnet50,
        resnet101,
        resnet152,
        resnext50_32x4d,
        simple_cnn,
        vgg11,
        vgg11_bn,
        vgg13,
        vgg13_bn,
        vgg16,
        vgg16_bn,
        vgg19,
        vgg19_bn,
        wide_resnet50_2,
    )
}


def list_models() -> list[str]:
    """Names that `get_model` knows."""
    return list(_BUILDERS)


def get_model(name: str, **config: Any) -> Module:
    """Build a model by name.

    Raises
    ------
    ValueError
        If no model has that name; the message lists those that there are.
    """
    if name not in _BUILDERS:
        raise ValueError(f"get_model: no model {name!r}; there are {', '.join(_BUILDERS)}")
    return _BUILDERS[name](**config)
