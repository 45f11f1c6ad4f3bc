"""The pictures that a training run leaves: curves, first-layer kernels, wrong predictions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..serialization.files import replacing_path
from .errors import need

__all__ = ["plot_curves", "plot_kernels", "plot_mistakes"]

_MOST = 36  # pictures in one figure


def _figure(width: float, height: float) -> Any:
    # Figure without pyplot: no global state and no display.
    return need("matplotlib.figure").Figure(figsize=(width, height), layout="constrained")


def _save(figure: Any, path: Path) -> None:
    with replacing_path(path) as temporary:
        figure.savefig(temporary, dpi=120)


def plot_curves(path: Path, history: Sequence[dict[str, float]], title: str) -> None:
    """Loss and accuracy over epochs, for the training data and the held-back data."""
    epochs = range(1, len(history) + 1)
    figure = _figure(9, 3.6)
    figure.suptitle(title)
    left, right = figure.subplots(1, 2)
    for axes, key, label, scale in (
        (left, "loss", "loss", 1),
        (right, "accuracy", "accuracy, %", 100),
    ):
        for part, name in (("train", "training"), ("test", "held back")):
            values = [row[f"{part}_{key}"] * scale for row in history]
            axes.plot(epochs, values, marker=".", label=name)
        axes.set_xlabel("epoch")
        axes.set_ylabel(label)
        axes.grid(alpha=0.3)
        axes.legend()
    if max(row["train_loss"] for row in history) > 0:
        left.set_yscale("log")
    _save(figure, path)


def _grid(count: int, columns: int) -> tuple[Any, list[Any]]:
    rows = math.ceil(count / columns)
    figure = _figure(1.4 * columns, 1.55 * rows + 0.5)
    axes = list(np.atleast_1d(figure.subplots(rows, columns)).reshape(-1))
    for ax in axes:
        ax.set_axis_off()
    return figure, axes


def plot_kernels(path: Path, weight: NDArray[Any], title: str) -> None:
    """First-layer kernels (K, C, R, S): as colours if C is 3, else their mean over C in grey."""
    shown = weight[:64]
    figure, axes = _grid(len(shown), min(8, len(shown)))
    figure.suptitle(title)
    for i, (ax, kernel) in enumerate(zip(axes, shown, strict=False)):
        low, high = float(kernel.min()), float(kernel.max())
        pixels = (kernel - low) / (high - low or 1.0)
        if kernel.shape[0] == 3:
            ax.imshow(np.moveaxis(pixels, 0, 2), interpolation="nearest")
        else:
            ax.imshow(pixels.mean(axis=0), cmap="gray", interpolation="nearest")
        ax.set_title(f"{i}: {low:.2f} to {high:.2f}", fontsize=7)
    _save(figure, path)


def plot_mistakes(
    path: Path,
    picture: Callable[[int], NDArray[np.uint8]],
    labels: NDArray[np.int64],
    probabilities: NDArray[Any],
    classes: Sequence[str],
) -> None:
    """The held-back pictures named wrongly, surest mistakes first; else the least sure ones.

    ``picture`` gives one by its number."""
    named = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(named != labels)
    sure = probabilities.max(axis=1)
    if len(wrong):
        chosen = wrong[np.argsort(-sure[wrong], kind="stable")]
        title = f"{len(wrong)} of {len(labels)} held-back pictures named wrongly"
    else:
        chosen = np.argsort(sure, kind="stable")[:12]
        title = f"All {len(labels)} held-back pictures named rightly; these least surely"
    chosen = chosen[:_MOST]
    figure, axes = _grid(len(chosen), min(6, len(chosen)))
    figure.suptitle(title, fontsize=10)
    for ax, i in zip(axes, chosen, strict=False):
        ax.imshow(picture(int(i)), interpolation="nearest")
        ax.set_title(
            f"is {classes[labels[i]]}, named {classes[named[i]]}\n({100 * sure[i]:.0f} %)",
            fontsize=7,
        )
    _save(figure, path)
