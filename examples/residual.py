"""Residual networks: skip connections train deep where a plain network does not.

The same 24 convolutions, with and without skips, with and without batch norm.

    python examples/residual.py
"""

from common import accuracy, fit, small_digits

import fastconv
from fastconv import functional as F
from fastconv import nn

WIDTH, BLOCKS = 12, 12


class Block(nn.Module):
    """Two convolutions; their result is added to the input, or replaces it."""

    def __init__(self, skip: bool, batch_norm: bool) -> None:
        super().__init__()
        norm = nn.BatchNorm2d if batch_norm else nn.Identity
        self.conv1, self.norm1 = nn.Conv2d(WIDTH, WIDTH, 3, padding=1), norm(WIDTH)
        self.conv2, self.norm2 = nn.Conv2d(WIDTH, WIDTH, 3, padding=1), norm(WIDTH)
        self.skip = skip

    def forward(self, x):
        y = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        return F.relu(y + x if self.skip else y)


def network(skip: bool, batch_norm: bool) -> nn.Module:
    """24 convolutions in 12 blocks on pictures of 8x8."""
    return nn.Sequential(
        nn.Conv2d(1, WIDTH, 3, padding=1),
        nn.ReLU(),
        *(Block(skip, batch_norm) for _ in range(BLOCKS)),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(4 * WIDTH, 10),
    )


def train(skip: bool, batch_norm: bool, epochs: int = 5) -> tuple[float, float]:
    """(training loss of the last epoch, accuracy on held-back digits)."""
    fastconv.manual_seed(0)
    model = network(skip, batch_norm)
    losses = fit(model, small_digits(True, 8), epochs, lr=0.02)
    return losses[-1], accuracy(model, small_digits(False, 8))


def main() -> None:
    for batch_norm in (False, True):
        for skip in (False, True):
            loss, right = train(skip, batch_norm)
            kind, norm = "residual" if skip else "plain", "with" if batch_norm else "no"
            print(
                f"{kind:<8} {norm:>4} batch norm: "
                f"training loss {loss:.3f}, {100 * right:.1f} % right"
            )


if __name__ == "__main__":
    main()
