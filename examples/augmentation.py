"""Data augmentation: changes that keep the class, made anew in every epoch.

One network sees the digits as they are, the other turned, shifted, scaled, noisy and partly erased.
Both are then shown digits that were turned and shifted.

    python examples/augmentation.py
"""

import numpy as np
from common import accuracy

import fastconv
from fastconv import nn, optim
from fastconv.data import DataLoader, Digits, transforms
from fastconv.data.digits import MEAN, STD
from fastconv.data.rng import seeded
from fastconv.models import SimpleCNN

PLAIN = transforms.Compose([transforms.ToTensor(), transforms.Normalize((MEAN,) * 3, (STD,) * 3)])
AUGMENTED = transforms.Compose(
    [
        transforms.RandomAffine(
            25, translate=(0.12, 0.12), scale=(0.8, 1.1), interpolation="bilinear"
        ),
        transforms.RandomCrop(32, padding=2),
        transforms.ColorJitter(brightness=0.3, contrast=0.3),
        transforms.GaussianNoise(sigma=0.05),
        PLAIN,
        transforms.RandomErasing(p=0.2, scale=(0.02, 0.1)),
    ]
)
# No mirror here: a mirrored 2 is no 2.  Photographs of cats would have RandomHorizontalFlip too.
TURNED = transforms.Compose(
    [transforms.RandomAffine(25, translate=(0.12, 0.12), interpolation="bilinear"), PLAIN]
)


def pictures(transform: transforms.Compose, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The held-back digits after ``transform``, always the same for one seed."""
    digits = Digits(train=False, transform=transform)
    with seeded(seed):
        return np.stack([tensor.data for tensor, _ in digits]), digits.targets


def train(transform: transforms.Compose, epochs: int) -> SimpleCNN:
    """SimpleCNN trained on digits changed by ``transform``."""
    fastconv.manual_seed(0)
    model = SimpleCNN()
    optimizer = optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
    loader = DataLoader(Digits(True, transform), 32, shuffle=True, num_workers=2)
    criterion = nn.CrossEntropyLoss()
    model.train()
    for _ in range(epochs):
        for images, labels in loader:
            optimizer.zero_grad()
            criterion(model(images), labels).backward()
            optimizer.step()
    return model


def compare(epochs: int = 10) -> dict[str, tuple[float, float]]:
    """(accuracy on digits as they are, on turned ones) without and with augmentation."""
    as_they_are, turned = pictures(PLAIN, 0), pictures(TURNED, 0)
    results = {}
    for name, transform in (("without", PLAIN), ("with", AUGMENTED)):
        model = train(transform, epochs)
        results[name] = (accuracy(model, as_they_are), accuracy(model, turned))
    return results


def main() -> None:
    for name, (plain, turned) in compare().items():
        print(
            f"{name:<7} augmentation: {100 * plain:5.1f} % right, "
            f"{100 * turned:5.1f} % of turned and shifted digits"
        )


if __name__ == "__main__":
    main()
