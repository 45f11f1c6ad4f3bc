"""Auxiliary losses: classifiers in intermediate layers bring gradients to the early ones.

A small GoogLeNet without batch norm, as in the first paper: the deeper it is, the less of the
final loss's gradient arrives at its first layer.

    python examples/auxiliary_losses.py
"""

import numpy as np
from common import accuracy, fit, small_digits

import fastconv
from fastconv import Tensor, nn
from fastconv import functional as F


class Inception(nn.Module):
    """1x1, 3x3, 5x5 and pooling side by side: 32 channels in, 32 out."""

    def __init__(self) -> None:
        super().__init__()
        self.branch1 = nn.Conv2d(32, 8, 1)
        self.branch3 = nn.Sequential(nn.Conv2d(32, 8, 1), nn.ReLU(), nn.Conv2d(8, 12, 3, padding=1))
        self.branch5 = nn.Sequential(nn.Conv2d(32, 4, 1), nn.ReLU(), nn.Conv2d(4, 6, 5, padding=2))
        self.pool = nn.Sequential(nn.MaxPool2d(3, 1, 1), nn.Conv2d(32, 6, 1))

    def forward(self, x):
        branches = self.branch1(x), self.branch3(x), self.branch5(x), self.pool(x)
        return F.relu(fastconv.cat(branches, 1))


class SmallGoogLeNet(nn.Module):
    """Six inceptions; in training it gives the logits of the last layer and of two on the way."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
        self.inceptions = nn.ModuleList([Inception() for _ in range(6)])
        self.heads = nn.ModuleList([self._head() for _ in range(3)])

    @staticmethod
    def _head() -> nn.Module:
        return nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32 * 4, 10))

    def forward(self, x):
        x = self.stem(x)
        logits = []
        for i, inception in enumerate(self.inceptions):
            x = inception(x)
            if i in (1, 3, 5):
                logits.append(self.heads[i // 2](x))
        return logits if self.training else logits[-1]


def loss_with(weight: float):
    """The final loss plus ``weight`` times each intermediate one."""
    criterion = nn.CrossEntropyLoss()

    def loss(logits, labels):
        early1, early2, final = (criterion(each, labels) for each in logits)
        return final + weight * (early1 + early2)

    return loss


def first_layer_gradient(weight: float) -> float:
    """The norm of the first layer's gradient in an untrained network."""
    fastconv.manual_seed(0)
    model = SmallGoogLeNet()
    images, labels = small_digits(True)
    loss_with(weight)(model(Tensor(images[:256])), Tensor(labels[:256])).backward()
    return float(np.linalg.norm(model.stem[0].weight.grad.data))


def train(weight: float, epochs: int = 6) -> float:
    """The accuracy after a few epochs."""
    fastconv.manual_seed(0)
    model = SmallGoogLeNet()
    fit(model, small_digits(True, 12), epochs, lr=0.1, loss_of=loss_with(weight))
    return accuracy(model, small_digits(False, 12))


def main() -> None:
    for name, weight in (("without", 0.0), ("with", 0.3)):
        norm, right = first_layer_gradient(weight), train(weight)
        print(
            f"{name:<7} auxiliary losses: first-layer gradient {norm:.2e}, "
            f"{100 * right:.1f} % right after 6 epochs"
        )


if __name__ == "__main__":
    main()
