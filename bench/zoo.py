"""Well-known networks, each written once and built with either library: ``build(name, fastconv)``
and ``build(name, torch)`` give the same network, because the two spell it alike."""

from __future__ import annotations

from types import ModuleType
from typing import Any

NETWORKS = {  # name -> (input of one picture, classes)
    "SimpleCNN": ((3, 32, 32), 10),
    "ResNet-18": ((3, 224, 224), 1000),
    "ResNet-50": ((3, 224, 224), 1000),
    "ResNeXt-50": ((3, 224, 224), 1000),
    "VGG-16": ((3, 224, 224), 1000),
    "MobileNetV2": ((3, 224, 224), 1000),
    "SqueezeNet": ((3, 224, 224), 1000),
    "DenseNet-121": ((3, 224, 224), 1000),
    "EfficientNet-B0": ((3, 224, 224), 1000),
}


def build(name: str, lib: ModuleType) -> Any:
    """The network as a module of ``lib`` (``torch`` or ``fastconv``), with fresh weights."""
    nn = lib.nn
    seq = nn.Sequential

    def conv(c: int, k: int, size: int = 1, stride: int = 1, groups: int = 1, act: Any = nn.ReLU):
        """Convolution, batch norm and activation."""
        layers = [nn.Conv2d(c, k, size, stride, size // 2, groups=groups, bias=False)]
        return seq(*layers, nn.BatchNorm2d(k), *([act()] if act else []))

    def head(channels: int, classes: int) -> list:
        return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes)]

    class Residual(nn.Module):
        """``act(body(x) + shortcut(x))``; the shortcut is the identity when there is none."""

        def __init__(self, body, shortcut=None, act=None):
            super().__init__()
            self.body = body
            self.shortcut = shortcut if shortcut is not None else nn.Identity()
            self.act = act if act is not None else nn.Identity()

        def forward(self, x):
            return self.act(self.body(x) + self.shortcut(x))

    class Concat(nn.Module):
        """The outputs of several branches, or of the input and a branch, side by side."""

        def __init__(self, *branches):
            super().__init__()
            self.branches = nn.ModuleList(branches)

        def forward(self, x):
            return lib.cat([branch(x) for branch in self.branches], 1)

    class Excite(nn.Module):
        """Squeeze and excitation: scale each channel by what the whole picture says."""

        def __init__(self, channels, inner):
            super().__init__()
            self.scale = seq(
                nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, inner, 1), nn.SiLU(),
                nn.Conv2d(inner, channels, 1), nn.Sigmoid(),
            )  # fmt: skip

        def forward(self, x):
            return x * self.scale(x)

    def simple_cnn():
        return seq(
            nn.Conv2d(3, 5, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(5, 10, 5), nn.ReLU(),
            nn.MaxPool2d(2), nn.Flatten(), nn.Linear(250, 120), nn.ReLU(), nn.Linear(120, 10),
        )  # fmt: skip

    def resnet(depths, bottleneck, groups=1, width=64):
        layers = [conv(3, 64, 7, 2), nn.MaxPool2d(3, 2, 1)]
        c = 64
        for stage, depth in enumerate(depths):
            base = 64 << stage
            k = base * (4 if bottleneck else 1)
            inner = base * width * groups // 64
            for block in range(depth):
                stride = 2 if stage and not block else 1
                if bottleneck:
                    body = [conv(c, inner), conv(inner, inner, 3, stride, groups)]
                    body.append(conv(inner, k, act=None))
                else:
                    body = [conv(c, k, 3, stride), conv(k, k, 3, act=None)]
                same = c == k and stride == 1
                shortcut = None if same else conv(c, k, 1, stride, act=None)
                layers.append(Residual(seq(*body), shortcut, nn.ReLU()))
                c = k
        return seq(*layers, *head(c, 1000))

    def vgg16():
        layers, c = [], 3
        for k, depth in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
            for _ in range(depth):
                layers += [nn.Conv2d(c, k, 3, padding=1), nn.ReLU()]
                c = k
            layers.append(nn.MaxPool2d(2))
        layers += [nn.Flatten(), nn.Linear(512 * 7 * 7, 4096), nn.ReLU(), nn.Linear(4096, 4096)]
        return seq(*layers, nn.ReLU(), nn.Linear(4096, 1000))

    def inverted(c, k, expand, size, stride, act, excite=False):
        """MobileNet's block: widen, depthwise, narrow, with a residual where shapes allow."""
        e = c * expand
        body = [conv(c, e, act=act)] if expand > 1 else []
        body.append(conv(e, e, size, stride, e, act))
        if excite:
            body.append(Excite(e, max(1, c // 4)))
        body.append(conv(e, k, act=None))
        return Residual(seq(*body)) if c == k and stride == 1 else seq(*body)

    def mobile(blocks, act, excite, first, last):
        layers, c = [conv(3, first, 3, 2, act=act)], first
        for expand, k, depth, size, stride in blocks:
            for block in range(depth):
                step = 1 if block else stride
                layers.append(inverted(c, k, expand, size, step, act, excite))
                c = k
        return seq(*layers, conv(c, last, act=act), *head(last, 1000))

    def mobilenet_v2():
        blocks = [
            (1, 16, 1, 3, 1), (6, 24, 2, 3, 2), (6, 32, 3, 3, 2), (6, 64, 4, 3, 2),
            (6, 96, 3, 3, 1), (6, 160, 3, 3, 2), (6, 320, 1, 3, 1),
        ]  # fmt: skip
        return mobile(blocks, nn.ReLU6, False, 32, 1280)

    def efficientnet_b0():
        blocks = [
            (1, 16, 1, 3, 1), (6, 24, 2, 3, 2), (6, 40, 2, 5, 2), (6, 80, 3, 3, 2),
            (6, 112, 3, 5, 1), (6, 192, 4, 5, 2), (6, 320, 1, 3, 1),
        ]  # fmt: skip
        return mobile(blocks, nn.SiLU, True, 32, 1280)

    def squeezenet():
        def fire(c, squeeze, k):
            wide = seq(nn.Conv2d(squeeze, k, 3, padding=1), nn.ReLU())
            narrow = seq(nn.Conv2d(squeeze, k, 1), nn.ReLU())
            return seq(nn.Conv2d(c, squeeze, 1), nn.ReLU(), Concat(narrow, wide))

        def pool():
            return nn.MaxPool2d(3, 2, ceil_mode=True)

        return seq(
            nn.Conv2d(3, 64, 3, 2), nn.ReLU(), pool(), fire(64, 16, 64), fire(128, 16, 64), pool(),
            fire(128, 32, 128), fire(256, 32, 128), pool(), fire(256, 48, 192), fire(384, 48, 192),
            fire(384, 64, 256), fire(512, 64, 256), nn.Conv2d(512, 1000, 1), nn.ReLU(),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        )  # fmt: skip

    def densenet121():
        def norm_conv(c, k, size=1):
            pad = size // 2
            return [nn.BatchNorm2d(c), nn.ReLU(), nn.Conv2d(c, k, size, 1, pad, bias=False)]

        layers, c = [conv(3, 64, 7, 2), nn.MaxPool2d(3, 2, 1)], 64
        for stage, depth in enumerate((6, 12, 24, 16)):
            if stage:
                layers += [*norm_conv(c, c // 2), nn.AvgPool2d(2)]
                c //= 2
            for _ in range(depth):
                layers.append(
                    Concat(nn.Identity(), seq(*norm_conv(c, 128), *norm_conv(128, 32, 3)))
                )
                c += 32
        return seq(*layers, nn.BatchNorm2d(c), nn.ReLU(), *head(c, 1000))

    makers = {
        "SimpleCNN": simple_cnn,
        "ResNet-18": lambda: resnet((2, 2, 2, 2), bottleneck=False),
        "ResNet-50": lambda: resnet((3, 4, 6, 3), bottleneck=True),
        "ResNeXt-50": lambda: resnet((3, 4, 6, 3), bottleneck=True, groups=32, width=4),
        "VGG-16": vgg16,
        "MobileNetV2": mobilenet_v2,
        "SqueezeNet": squeezenet,
        "DenseNet-121": densenet121,
        "EfficientNet-B0": efficientnet_b0,
    }
    return makers[name]()
