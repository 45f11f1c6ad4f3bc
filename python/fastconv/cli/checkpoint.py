"""A training run on disk: weights, momentum and history, so that it can go on where it stopped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..serialization import load_metadata, load_weights, save_weights

__all__ = ["load_checkpoint", "restore_momentum", "save_checkpoint"]

_MODEL, _MOMENTUM = "model.", "momentum."


def save_checkpoint(path: Path, model: Any, optimizer: Any, run: dict[str, Any]) -> None:
    """Write everything that the next epoch depends on; ``run`` is what JSON can hold."""
    tensors = {_MODEL + name: value for name, value in model.state_dict().items()}
    for i, state in optimizer.state_dict()["state"].items():
        if state.get("momentum_buffer") is not None:
            tensors[f"{_MOMENTUM}{i}"] = state["momentum_buffer"]
    save_weights(path, tensors, {"run": json.dumps(run)})


def load_checkpoint(path: Path) -> tuple[dict[str, NDArray[Any]], dict[int, NDArray[Any]], Any]:
    """The model's state, the momentum by parameter number, and ``run``.

    Raises
    ------
    ValueError
        If the file is damaged or no checkpoint.
    """
    text = load_metadata(path).get("run")
    if text is None:
        raise ValueError(f"{path}: not a checkpoint of fastconv train")
    tensors = load_weights(path)
    model = {k.removeprefix(_MODEL): v for k, v in tensors.items() if k.startswith(_MODEL)}
    momentum = {
        int(k.removeprefix(_MOMENTUM)): v
        for k, v in tensors.items()
        if k.startswith(_MOMENTUM) and k.removeprefix(_MOMENTUM).isdecimal()
    }
    return model, momentum, json.loads(text)


def restore_momentum(optimizer: Any, momentum: dict[int, NDArray[Any]]) -> None:
    """Put the momentum back into a fresh optimiser."""
    state = optimizer.state_dict()
    state["state"] = {i: {"momentum_buffer": np.array(value)} for i, value in momentum.items()}
    optimizer.load_state_dict(state)
