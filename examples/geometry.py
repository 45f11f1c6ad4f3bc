"""Why convolve: a multi-layer perceptron forgets geometry, a convolutional network keeps it.

Both learn digits that lie anywhere on the sheet.  The perceptron has to learn a digit anew for each
place; the kernels of SimpleCNN are the same everywhere.

    python examples/geometry.py
"""

from common import accuracy, count, fit, shifted_digits

import fastconv
from fastconv import nn
from fastconv.models import SimpleCNN


def perceptron() -> nn.Module:
    """Flatten, then two linear layers: twenty times the parameters of SimpleCNN."""
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 64), nn.ReLU(), nn.Linear(64, 10))


def compare(epochs: int = 12) -> dict[str, tuple[int, float]]:
    """(parameters, accuracy on held-back digits) of both."""
    train, test = shifted_digits(True, seed=1), shifted_digits(False, seed=2)
    results = {}
    for name, build in (("perceptron", perceptron), ("SimpleCNN", SimpleCNN)):
        fastconv.manual_seed(0)
        model = build()
        fit(model, train, epochs)
        results[name] = (count(model), accuracy(model, test))
    return results


def main() -> None:
    for name, (parameters, right) in compare().items():
        print(f"{name:<11} {parameters:8,} parameters  {100 * right:5.1f} % right")


if __name__ == "__main__":
    main()
