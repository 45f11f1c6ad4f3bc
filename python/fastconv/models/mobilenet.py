"""MobileNetV2: inverted residuals, depthwise (Sandler et al., arXiv 1801.04381)."""

from __future__ import annotations

from typing import Any

import fastconv.nn as nn
from fastconv.functional import flatten
from fastconv.tensor import Tensor

from ._weights import load_pretrained

__all__ = ["InvertedResidual", "MobileNetV2", "mobilenet_v2"]

# expansion, output channels, blocks, stride of the first block
_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def _round_channels(channels: float, divisor: int = 8) -> int:
    """The nearest multiple of ``divisor``, but never less than 90 % of ``channels``."""
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


def _conv_bn_relu6(
    inputs: int, outputs: int, size: int, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, stride, size // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU6(inplace=True),
    )


class InvertedResidual(nn.Module):
    """1x1 up, 3x3 depthwise, 1x1 down without activation; a skip where shapes agree."""

    def __init__(self, inp: int, oup: int, stride: int, expand_ratio: int) -> None:
        super().__init__()
        if stride not in (1, 2):
            raise ValueError(f"InvertedResidual: stride must be 1 or 2, got {stride!r}")
        self.use_res_connect = stride == 1 and inp == oup
        hidden = inp * expand_ratio
        layers: list[nn.Module] = []
        if expand_ratio != 1:
            layers.append(_conv_bn_relu6(inp, hidden, 1))
        layers += [
            _conv_bn_relu6(hidden, hidden, 3, stride, groups=hidden),
            nn.Conv2d(hidden, oup, 1, bias=False),
            nn.BatchNorm2d(oup),
        ]
        self.conv = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        return x + y if self.use_res_connect else y  # type: ignore[no-any-return]


class MobileNetV2(nn.Module):
    """MobileNetV2 of width ``width_mult``."""

    def __init__(
        self, num_classes: int = 1000, width_mult: float = 1.0, dropout: float = 0.2
    ) -> None:
        super().__init__()
        channels = _round_channels(32 * width_mult)
        self.last_channel = _round_channels(1280 * max(1.0, width_mult))
        layers: list[nn.Module] = [_conv_bn_relu6(3, channels, 3, stride=2)]
        for expand, width, count, first_stride in _STAGES:
            outputs = _round_channels(width * width_mult)
            for i in range(count):
                stride = first_stride if i == 0 else 1
                layers.append(InvertedResidual(channels, outputs, stride, expand))
                channels = outputs
        layers.append(_conv_bn_relu6(channels, self.last_channel, 1))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Dropout(dropout), nn.Linear(self.last_channel, num_classes)
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, 0, 0.01)
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = self.features(x).mean((2, 3))  # (N, 1280)
        return self.classifier(flatten(x, 1))  # type: ignore[no-any-return]


def mobilenet_v2(*, weights: Any = None, **options: Any) -> MobileNetV2:
    """MobileNetV2; ``weights`` is a file with torchvision's parameter names."""
    return load_pretrained(MobileNetV2(**options), weights)
