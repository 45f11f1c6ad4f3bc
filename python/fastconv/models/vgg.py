"""VGG: stacks of 3x3 convolutions between poolings (Simonyan and Zisserman, arXiv 1409.1556)."""

from __future__ import annotations

from typing import Any

import fastconv.nn as nn
from fastconv.functional import flatten
from fastconv.tensor import Tensor

from ._weights import load_pretrained

__all__ = [
    "VGG",
    "vgg11",
    "vgg11_bn",
    "vgg13",
    "vgg13_bn",
    "vgg16",
    "vgg16_bn",
    "vgg19",
    "vgg19_bn",
]

# Convolutions in each of the five stages, by depth; every stage ends in a 2x2 max pooling.
_STAGES = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
_WIDTHS = (64, 128, 256, 512, 512)


class VGG(nn.Module):
    """VGG of the given depth (11, 13, 16 or 19), optionally with batch norm."""

    def __init__(
        self,
        depth: int = 16,
        batch_norm: bool = False,
        num_classes: int = 1000,
        init_weights: bool = True,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        if depth not in _STAGES:
            raise ValueError(f"VGG: depth must be one of {sorted(_STAGES)}, got {depth!r}")
        layers: list[nn.Module] = []
        channels = 3
        for count, width in zip(_STAGES[depth], _WIDTHS, strict=True):
            for _ in range(count):
                layers.append(nn.Conv2d(channels, width, 3, padding=1))
                if batch_norm:
                    layers.append(nn.BatchNorm2d(width))
                layers.append(nn.ReLU(inplace=True))
                channels = width
            layers.append(nn.MaxPool2d(2, 2))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
        self.classifier = nn.Sequential(
            nn.Linear(512 * 7 * 7, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(4096, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(4096, num_classes),
        )
        if init_weights:
            self._initialize()

    def _initialize(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, 0, 0.01)
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = self.avgpool(self.features(x))  # (N, 512, 7, 7)
        return self.classifier(flatten(x, 1))  # type: ignore[no-any-return]


def _vgg(depth: int, batch_norm: bool, weights: Any, options: dict[str, Any]) -> VGG:
    if weights is not None:
        options["init_weights"] = False
    return load_pretrained(VGG(depth, batch_norm, **options), weights)


def vgg11(*, weights: Any = None, **options: Any) -> VGG:
    """VGG-11; ``weights`` is a file with torchvision's parameter names."""
    return _vgg(11, False, weights, options)


def vgg11_bn(*, weights: Any = None, **options: Any) -> VGG:
    """VGG-11 with batch norm."""
    return _vgg(11, True, weights, options)


def vgg13(*, weights: Any = None, **options: Any) -> VGG:
    """VGG-13."""
    return _vgg(13, False, weights, options)


def vgg13_bn(*, weights: Any = None, **options: Any) -> VGG:
    """VGG-13 with batch norm."""
    return _vgg(13, True, weights, options)


def vgg16(*, weights: Any = None, **options: Any) -> VGG:
    """VGG-16."""
    return _vgg(16, False, weights, options)


def vgg16_bn(*, weights: Any = None, **options: Any) -> VGG:
    """VGG-16 with batch norm."""
    return _vgg(16, True, weights, options)


def vgg19(*, weights: Any = None, **options: Any) -> VGG:
    """VGG-19."""
    return _vgg(19, False, weights, options)


def vgg19_bn(*, weights: Any = None, **options: Any) -> VGG:
    """VGG-19 with batch norm."""
    return _vgg(19, True, weights, options)
