# ruff: noqa: F403
"""fastconv: the convolution engine for NumPy.

Three floors, each usable alone:

- arrays: ``fastconv.conv2d(x, w, b)`` takes NumPy arrays and returns one;
- tensors: the same functions given a ``fastconv.Tensor`` record a tape, ``loss.backward()`` fills
  ``.grad``;
- layers: ``fastconv.nn``, ``fastconv.optim``, ``fastconv.models``, ``fastconv.data``.

A name that PyTorch has means what it means in PyTorch.
"""

from __future__ import annotations

import importlib
from typing import Any

try:
    from . import _core as _core
except ModuleNotFoundError as error:
    if error.name != "fastconv._core":
        raise
    raise ImportError(
        "fastconv's compiled module is missing. Installed from source? Build it with "
        "`pip install .` and import from outside the source folder."
    ) from error

from . import autograd as autograd
from . import cuda as cuda
from . import functional as functional
from . import fx as fx
from . import jit as jit
from . import nn as nn
from . import optim as optim
from ._version import __version__ as __version__
from .creation import *
from .dtypes import *
from .explain import explain as explain
from .functional import *
from .grad_mode import *
from .kinds import *
from .nn.parameter import Parameter as Parameter
from .plan import *
from .random import *
from .runtime import *
from .switches import *
from .switches import _assert as _assert
from .tensor import Tensor as Tensor

#: Loaded when they are first used, so that ``import fastconv`` stays quick.
_LAZY = (
    "amp", "backends", "cli", "data", "distributed", "hub", "image", "models", "serialization",
    "utils",
)  # fmt: skip
_NAMES = {
    "Generator": "random_generator",
    "autocast": "amp",
    "load": "serialization",
    "save": "serialization",
}


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        return getattr(importlib.import_module(f"{__name__}.{_NAMES[name]}"), name)
    if name == "bfloat16":  # of a package that the rest does without
        return importlib.import_module(f"{__name__}.dtypes").bfloat16
    if name in _LAZY:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_LAZY, *_NAMES])
