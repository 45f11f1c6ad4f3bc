# ruff: noqa: F403
"""Layers and networks, as ``torch.nn`` has them."""

from __future__ import annotations

from . import functional as functional
from . import init as init
from . import utils as utils
from .activation import *
from .container import *
from .conv import *
from .dropout import *
from .embedding import *
from .lazy import *
from .linear import *
from .loss import *
from .module import Module as Module
from .norm import *
from .padding import *
from .parallel import DataParallel as DataParallel
from .parameter import Buffer as Buffer
from .parameter import Parameter as Parameter
from .pooling import *
from .ranking import *
from .resample import *
from .row_norm import *
