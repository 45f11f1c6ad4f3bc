"""The training loop and the evaluation, as plain as in the lecture."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastconv
from fastconv import nn

__all__ = ["Result", "cosine", "evaluate", "softmax", "train_epoch"]

AUXILIARY_WEIGHT = 0.3  # share of each auxiliary head in GoogLeNet's loss, as in its paper


@dataclass(frozen=True)
class Result:
    """How a model does on some data."""

    loss: float
    accuracy: float
    probabilities: NDArray[Any]  # (N, classes)
    labels: NDArray[np.int64]  # (N,)


def cosine(rate: float, epoch: int, epochs: int) -> float:
    """The learning rate of an epoch (from 0): falls from ``rate`` towards 0 along half a cosine."""
    return 0.5 * rate * (1 + math.cos(math.pi * epoch / epochs))


def softmax(logits: NDArray[Any]) -> NDArray[np.float64]:
    """Class probabilities (N, classes) in double precision."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    powers = np.exp(shifted)
    result: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return result


def train_epoch(
    model: Any, optimizer: Any, batches: Iterable[Any], tick: Callable[[float], object]
) -> tuple[float, float]:
    """One pass over the training data; the mean loss and accuracy seen on the way."""
    criterion = nn.CrossEntropyLoss()
    model.train()
    loss_sum, right, count = 0.0, 0, 0
    for inputs, labels in batches:
        optimizer.zero_grad()
        outputs = model(inputs)
        logits, auxiliary = outputs, []
        if isinstance(outputs, tuple):  # GoogLeNet: final logits, then those of the heads
            logits, *auxiliary = outputs
        loss = criterion(logits, labels)
        total = loss
        for head in auxiliary:
            total = total + AUXILIARY_WEIGHT * criterion(head, labels)
        total.backward()
        optimizer.step()
        value = loss.item()
        if not math.isfinite(value):
            raise FloatingPointError("the loss is no longer finite; try a lower --lr")
        loss_sum += value * len(labels)
        right += int((logits.data.argmax(axis=1) == labels.data).sum())
        count += len(labels)
        tick(value)
    return loss_sum / count, right / count


def evaluate(model: Any, batches: Iterable[Any]) -> Result:
    """Loss, accuracy and class probabilities on data that is not trained on."""
    model.eval()
    with fastconv.no_grad():
        pairs = [(model(inputs).data, labels.data) for inputs, labels in batches]
    logits = np.concatenate([pair[0] for pair in pairs]).astype(np.float64)
    labels = np.concatenate([pair[1] for pair in pairs])
    probabilities = softmax(logits)
    mine = probabilities[np.arange(len(labels)), labels]
    loss = -np.log(np.maximum(mine, np.finfo(np.float64).tiny)).mean()
    right = (logits.argmax(axis=1) == labels).mean()
    return Result(float(loss), float(right), probabilities, labels)
