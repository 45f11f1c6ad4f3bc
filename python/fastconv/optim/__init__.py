"""Optimisers, as ``torch.optim`` has them."""

from __future__ import annotations

from . import lr_scheduler as lr_scheduler
from .adam import Adam as Adam
from .adam import AdamW as AdamW
from .optimizer import Optimizer as Optimizer
from .rmsprop import Adagrad as Adagrad
from .rmsprop import RMSprop as RMSprop
from .sgd import SGD as SGD
