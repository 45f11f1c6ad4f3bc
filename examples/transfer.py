"""Transfer learning: what a network learned on one task helps with another.

SimpleCNN learns the digits 0 to 4.  For the digits 5 to 9 there are only a few pictures.  Its
convolutional layers are kept as an extractor of embeddings, frozen, under a new head; then the old
weights are trained too, at a lower rate; and all of it is compared with starting from nothing.

Fine-tuning keeps what the frozen extractor gave and hardly adds to it here: the old embeddings
already tell the few new pictures apart. With twenty pictures of each digit, turned by a quarter so
that the old kernels fit less well, it raised the accuracy from 92.2 % to 93.1 % (three draws).

    python examples/transfer.py
"""

import numpy as np
from common import Arrays, accuracy, fit

import fastconv
from fastconv import Tensor, nn
from fastconv.data import load_digits
from fastconv.models import SimpleCNN

FEW = 5  # pictures of each new digit


def digits(train: bool, low: int, high: int) -> Arrays:
    """The digits low..high-1, numbered from 0."""
    images, labels = load_digits(train)
    chosen = (labels >= low) & (labels < high)
    return images[chosen], labels[chosen] - low


def few(data: Arrays, each: int) -> Arrays:
    """The first ``each`` pictures of every class."""
    images, labels = data
    rows = np.concatenate([np.flatnonzero(labels == k)[:each] for k in range(5)])
    return images[rows], labels[rows]


def extractor(model: SimpleCNN) -> nn.Module:
    """SimpleCNN without its classification layers: pictures become embeddings of 250 numbers."""
    relu = nn.ReLU()
    return nn.Sequential(model.conv1, relu, model.pool, model.conv2, relu, model.pool, nn.Flatten())


def embed(features: nn.Module, data: Arrays) -> Arrays:
    """The embeddings of pictures, computed once: a frozen extractor gives the same every time."""
    with fastconv.no_grad():
        return features(Tensor(data[0])).numpy(), data[1]


def compare() -> dict[str, float]:
    """Accuracy on the digits 5 to 9 of each way to learn them."""
    new, test = few(digits(True, 5, 10), FEW), digits(False, 5, 10)
    fastconv.manual_seed(0)
    old = SimpleCNN(5)
    fit(old, digits(True, 0, 5), epochs=12)
    features = extractor(old)

    # A new head on frozen embeddings.
    features.requires_grad_(False)
    fastconv.manual_seed(1)
    head = nn.Linear(250, 5)
    fit(head, embed(features, new), epochs=100, lr=0.0015, batch_size=8)
    results = {"frozen": accuracy(head, embed(features, test))}

    # Then all of it, the old weights at a tenth of the rate.
    features.requires_grad_(True)
    whole = nn.Sequential(features, head)
    groups = [{"params": head.parameters()}, {"params": features.parameters(), "lr": 0.0003}]
    fit(whole, new, epochs=30, lr=0.0015, batch_size=8, parameters=groups)
    results["fine-tuned"] = accuracy(whole, test)

    fastconv.manual_seed(1)
    scratch = nn.Sequential(extractor(SimpleCNN(5)), nn.Linear(250, 5))
    fit(scratch, new, epochs=90, lr=0.01, batch_size=8)
    results["from scratch"] = accuracy(scratch, test)
    return results


def main() -> None:
    print(f"digits 5 to 9 from {FEW} pictures each:")
    for name, right in compare().items():
        print(f"{name:<12} {100 * right:5.1f} % right")


if __name__ == "__main__":
    main()
