"""SimpleCNN: two convolutions, two poolings, two linear layers, for 3x32x32 pictures."""

from __future__ import annotations

from typing import Any

import fastconv.functional as F
import fastconv.nn as nn
from fastconv.tensor import Tensor

from ._weights import load_pretrained

__all__ = ["SimpleCNN", "simple_cnn"]


class SimpleCNN(nn.Module):
    """The network of the lecture: 10,002 parameters for ten classes of 3x32x32 pictures."""

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        self.name = "large"
        self.conv1 = nn.Conv2d(3, 5, 5)
        self.pool = nn.MaxPool2d(2, 2)
        self.conv2 = nn.Conv2d(5, 10, 5)
        self.fc1 = nn.Linear(10 * 5 * 5, 32)
        self.fc2 = nn.Linear(32, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(F.relu(self.conv1(x)))  # (N, 5, 14, 14)
        x = self.pool(F.relu(self.conv2(x)))  # (N, 10, 5, 5)
        x = x.view(-1, 10 * 5 * 5)
        x = F.relu(self.fc1(x))
        return self.fc2(x)  # type: ignore[no-any-return]


def simple_cnn(*, weights: Any = None, num_classes: int = 10) -> SimpleCNN:
    """SimpleCNN; ``weights`` is a file saved from one."""
    return load_pretrained(SimpleCNN(num_classes), weights)
