"""Optimisers, as ``torch.optim`` has them."""

from __future__ import annotations

from .optimizer import Optimizer as Optimizer
from .sgd import SGD as SGD
