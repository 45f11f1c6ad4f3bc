# ruff: noqa: F403
"""Layers under the paths of ``torch.nn.modules``, from which model files import their bases.

``from torch.nn.modules.batchnorm import _BatchNorm`` finds :mod:`fastconv.nn.norm`, and so on.
"""

from __future__ import annotations

import sys

from .. import activation as _activation
from .. import container as _container
from .. import conv as _conv
from .. import dropout as _dropout
from .. import embedding as _embedding
from .. import linear as _linear
from .. import loss as _loss
from .. import module as _module
from .. import norm as _norm
from .. import padding as _padding
from .. import pooling as _pooling
from .. import resample as _resample
from .. import row_norm as _row_norm
from ..activation import *
from ..container import *
from ..conv import *
from ..dropout import *
from ..embedding import *
from ..linear import *
from ..loss import *
from ..module import Module as Module
from ..norm import *
from ..padding import *
from ..pooling import *
from ..resample import *
from ..row_norm import *
from . import utils as utils

_PLACES = {
    "activation": _activation,
    "batchnorm": _norm,
    "container": _container,
    "conv": _conv,
    "dropout": _dropout,
    "flatten": _linear,
    "fold": _resample,
    "instancenorm": _norm,
    "linear": _linear,
    "loss": _loss,
    "module": _module,
    "normalization": _row_norm,
    "padding": _padding,
    "pixelshuffle": _resample,
    "pooling": _pooling,
    "sparse": _embedding,
    "upsampling": _resample,
}
for _name, _place in _PLACES.items():
    sys.modules[f"{__name__}.{_name}"] = globals()[_name] = _place
