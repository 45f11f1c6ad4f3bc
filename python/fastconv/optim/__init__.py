"""Optimisers, as ``torch.optim`` has them."""

from __future__ import annotations

from . import lr_scheduler as lr_scheduler
from .adam import Adam as Adam
from .adam import AdamW as AdamW
from .adaptive import Adadelta as Adadelta
from .adaptive import Adamax as Adamax
from .adaptive import NAdam as NAdam
from .adaptive import RAdam as RAdam
from .lbfgs import LBFGS as LBFGS
from .optimizer import Optimizer as Optimizer
from .rmsprop import Adagrad as Adagrad
from .rmsprop import RMSprop as RMSprop
from .sgd import SGD as SGD
