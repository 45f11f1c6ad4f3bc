"""ResNet: layers learn what to add to their input (He et al., arXiv 1512.03385).

The bottleneck carries its stride in the 3x3 convolution, as torchvision's does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import fastconv.nn as nn
from fastconv.functional import flatten
from fastconv.tensor import Tensor

from ._weights import load_pretrained

__all__ = [
    "BasicBlock",
    "Bottleneck",
    "ResNet",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "resnext50_32x4d",
    "wide_resnet50_2",
]


def _conv(inputs: int, outputs: int, size: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, size, stride, size // 2, groups=groups, bias=False)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around a skip connection."""

    expansion = 1

    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        downsample: nn.Module | None = None,
        groups: int = 1,
        base_width: int = 64,
    ) -> None:
        super().__init__()
        if groups != 1 or base_width != 64:
            raise ValueError("BasicBlock: supports groups=1 and base_width=64 only")
        self.conv1 = _conv(inplanes, planes, 3, stride)
        self.bn1 = nn.BatchNorm2d(planes)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = _conv(planes, planes, 3)
        self.bn2 = nn.BatchNorm2d(planes)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        skip = x if self.downsample is None else self.downsample(x)
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return self.relu(y + skip)  # type: ignore[no-any-return]


class Bottleneck(nn.Module):
    """1x1 down, 3x3, 1x1 up to four times the planes, around a skip connection."""

    expansion = 4

    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        downsample: nn.Module | None = None,
        groups: int = 1,
        base_width: int = 64,
    ) -> None:
        super().__init__()
        width = planes * base_width // 64 * groups
        self.conv1 = _conv(inplanes, width, 1)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = _conv(width, width, 3, stride, groups)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = _conv(width, planes * self.expansion, 1)
        self.bn3 = nn.BatchNorm2d(planes * self.expansion)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        skip = x if self.downsample is None else self.downsample(x)
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return self.relu(y + skip)  # type: ignore[no-any-return]


class ResNet(nn.Module):
    """A residual network of four stages with ``layers[i]`` blocks each.

    ``zero_init_residual`` starts every block as the identity; ``groups`` and ``width_per_group``
    give ResNeXt and wide ResNets.
    """

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        layers: Sequence[int],
        num_classes: int = 1000,
        zero_init_residual: bool = False,
        groups: int = 1,
        width_per_group: int = 64,
    ) -> None:
        super().__init__()
        if len(layers) != 4:
            raise ValueError(f"ResNet: layers must have 4 entries, got {list(layers)}")
        self.inplanes = 64
        self.groups, self.base_width = groups, width_per_group
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = self._stage(block, 64, layers[0], 1)
        self.layer2 = self._stage(block, 128, layers[1], 2)
        self.layer3 = self._stage(block, 256, layers[2], 2)
        self.layer4 = self._stage(block, 512, layers[3], 2)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(512 * block.expansion, num_classes)
        self._initialize(zero_init_residual)

    def _stage(
        self, block: type[BasicBlock] | type[Bottleneck], planes: int, count: int, stride: int
    ) -> nn.Sequential:
        outputs = planes * block.expansion
        downsample = None
        if stride != 1 or self.inplanes != outputs:
            downsample = nn.Sequential(
                _conv(self.inplanes, outputs, 1, stride), nn.BatchNorm2d(outputs)
            )
        width = self.groups, self.base_width
        blocks = [block(self.inplanes, planes, stride, downsample, *width)]
        blocks += [block(outputs, planes, 1, None, *width) for _ in range(count - 1)]
        self.inplanes = outputs
        return nn.Sequential(*blocks)

    def _initialize(self, zero_init_residual: bool) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if zero_init_residual and isinstance(module, (BasicBlock, Bottleneck)):
                last = module.bn2 if isinstance(module, BasicBlock) else module.bn3
                nn.init.zeros_(last.weight)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(flatten(self.avgpool(x), 1))  # type: ignore[no-any-return]


def resnet18(*, weights: Any = None, **options: Any) -> ResNet:
    """ResNet-18; ``weights`` is a file with torchvision's parameter names."""
    return load_pretrained(ResNet(BasicBlock, (2, 2, 2, 2), **options), weights)


def resnet34(*, weights: Any = None, **options: Any) -> ResNet:
    """ResNet-34."""
    return load_pretrained(ResNet(BasicBlock, (3, 4, 6, 3), **options), weights)


def resnet50(*, weights: Any = None, **options: Any) -> ResNet:
    """ResNet-50."""
    return load_pretrained(ResNet(Bottleneck, (3, 4, 6, 3), **options), weights)


def resnet101(*, weights: Any = None, **options: Any) -> ResNet:
    """ResNet-101."""
    return load_pretrained(ResNet(Bottleneck, (3, 4, 23, 3), **options), weights)


def resnet152(*, weights: Any = None, **options: Any) -> ResNet:
    """ResNet-152."""
    return load_pretrained(ResNet(Bottleneck, (3, 8, 36, 3), **options), weights)


def resnext50_32x4d(*, weights: Any = None, **options: Any) -> ResNet:
    """ResNeXt-50 with 32 groups of width 4 (Xie et al., arXiv 1611.05431)."""
    options = {"groups": 32, "width_per_group": 4, **options}
    return load_pretrained(ResNet(Bottleneck, (3, 4, 6, 3), **options), weights)


def wide_resnet50_2(*, weights: Any = None, **options: Any) -> ResNet:
    """ResNet-50 of double width (Zagoruyko and Komodakis, arXiv 1605.07146)."""
    options = {"width_per_group": 128, **options}
    return load_pretrained(ResNet(Bottleneck, (3, 4, 6, 3), **options), weights)
