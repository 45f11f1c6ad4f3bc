"""What the examples share: digits, a training loop, the accuracy."""

from collections.abc import Callable
from typing import Any

import numpy as np

import fastconv
from fastconv import Tensor, nn, optim
from fastconv.data import DataLoader, TensorDataset
from fastconv.data.digits import load_digits
from fastconv.data.resample import resize_array

Arrays = tuple[np.ndarray, np.ndarray]


def small_digits(train: bool, size: int = 16) -> Arrays:
    """The built-in digits as (N, 1, size, size) for nets that need no more."""
    images, labels = load_digits(train)
    shrunk = np.stack([resize_array(image[0], size, size) for image in images])
    return shrunk[:, None], labels


def shifted_digits(train: bool, seed: int, size: int = 20) -> Arrays:
    """Digits of size x size, each somewhere else on a sheet of 32x32: (N, 3, 32, 32)."""
    images, labels = load_digits(train)
    rng = np.random.default_rng(seed)
    sheets = np.full_like(images, images.min())
    for sheet, image in zip(sheets, images, strict=True):
        top, left = rng.integers(0, 33 - size, 2)
        sheet[:, top : top + size, left : left + size] = resize_array(image[0], size, size)
    return sheets, labels


def fit(
    model: Any,
    data: Arrays,
    epochs: int,
    lr: float = 0.02,
    batch_size: int = 32,
    seed: int = 0,
    parameters: Any = None,
    loss_of: Callable[[Any, Any], Any] | None = None,
) -> list[float]:
    """Train with momentum; the mean loss of each epoch.

    ``parameters`` is what to train, if not everything; ``loss_of(outputs, labels)`` is the loss, if
    not the cross-entropy.
    """
    loss_of = loss_of or nn.CrossEntropyLoss()
    optimizer = optim.SGD(parameters or model.parameters(), lr=lr, momentum=0.9)
    loader = DataLoader(TensorDataset(*data), batch_size, shuffle=True, generator=seed)
    fastconv.manual_seed(seed)
    model.train()
    history = []
    for _ in range(epochs):
        losses = []
        for images, labels in loader:
            optimizer.zero_grad()
            loss = loss_of(model(images), labels)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        history.append(float(np.mean(losses)))
    return history


def accuracy(model: Any, data: Arrays) -> float:
    """The share of pictures named rightly."""
    images, labels = data
    model.eval()
    with fastconv.no_grad():
        return float((model(Tensor(images)).data.argmax(axis=1) == labels).mean())


def count(model: Any) -> int:
    """How many numbers the model learns."""
    return sum(parameter.data.size for parameter in model.parameters())
