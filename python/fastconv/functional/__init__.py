# ruff: noqa: F403
"""One function per operator, for arrays and for tensors.

Given arrays only, a function returns an array and records nothing. Given a Tensor anywhere it
returns a Tensor and, where a gradient is wanted, puts the step on the tape. Each gradient rule
stands beside its operator, and as a plain function of arrays (``conv2d_backward``,
``relu_backward``, ...).
"""

from __future__ import annotations

from . import arithmetic as _arithmetic
from . import attention as _attention
from . import backward as _backward
from . import bits as _bits
from . import blocks as _blocks
from . import channel_norm as _channel_norm
from . import class_loss as _class_loss
from . import conv as _conv
from . import conv_gradients as _conv_gradients
from . import conv_transpose as _conv_transpose
from . import convert as _convert
from . import counting as _counting
from . import curves as _curves
from . import dropout as _dropout
from . import einsum as _einsum
from . import elementwise as _elementwise
from . import embedding as _embedding
from . import exponential as _exponential
from . import extrema as _extrema
from . import indexing as _indexing
from . import joining as _joining
from . import likelihood_loss as _likelihood_loss
from . import linear as _linear
from . import loss as _loss
from . import margin_loss as _margin_loss
from . import norm as _norm
from . import order as _order
from . import padding as _padding
from . import pair_loss as _pair_loss
from . import pooling as _pooling
from . import pooling_more as _pooling_more
from . import products as _products
from . import rectifiers as _rectifiers
from . import reduction as _reduction
from . import resample as _resample
from . import row_norm as _row_norm
from . import sampling as _sampling
from . import scatter as _scatter
from . import shape as _shape
from . import sigmoids as _sigmoids
from . import smooth_gates as _smooth_gates
from . import softmax as _softmax
from . import stacking as _stacking
from . import variance as _variance
from . import vector_norm as _vector_norm
from .arithmetic import *
from .attention import *
from .backward import *
from .bits import *
from .blocks import *
from .channel_norm import *
from .class_loss import *
from .conv import *
from .conv_gradients import *
from .conv_transpose import *
from .convert import *
from .counting import *
from .curves import *
from .dropout import *
from .einsum import *
from .elementwise import *
from .embedding import *
from .exponential import *
from .extrema import *
from .indexing import *
from .joining import *
from .likelihood_loss import *
from .linear import *
from .loss import *
from .margin_loss import *
from .norm import *
from .order import *
from .padding import *
from .pair_loss import *
from .pooling import *
from .pooling_more import *
from .products import *
from .rectifiers import *
from .reduction import *
from .resample import *
from .row_norm import *
from .sampling import *
from .scatter import *
from .shape import *
from .sigmoids import *
from .smooth_gates import *
from .softmax import *
from .stacking import *
from .variance import *
from .vector_norm import *

__all__: list[str] = []
__all__ += _arithmetic.__all__
__all__ += _attention.__all__
__all__ += _backward.__all__
__all__ += _bits.__all__
__all__ += _blocks.__all__
__all__ += _channel_norm.__all__
__all__ += _class_loss.__all__
__all__ += _conv.__all__
__all__ += _conv_gradients.__all__
__all__ += _conv_transpose.__all__
__all__ += _convert.__all__
__all__ += _counting.__all__
__all__ += _curves.__all__
__all__ += _dropout.__all__
__all__ += _einsum.__all__
__all__ += _elementwise.__all__
__all__ += _embedding.__all__
__all__ += _exponential.__all__
__all__ += _extrema.__all__
__all__ += _indexing.__all__
__all__ += _joining.__all__
__all__ += _likelihood_loss.__all__
__all__ += _linear.__all__
__all__ += _loss.__all__
__all__ += _margin_loss.__all__
__all__ += _norm.__all__
__all__ += _order.__all__
__all__ += _padding.__all__
__all__ += _pair_loss.__all__
__all__ += _pooling.__all__
__all__ += _pooling_more.__all__
__all__ += _products.__all__
__all__ += _rectifiers.__all__
__all__ += _reduction.__all__
__all__ += _resample.__all__
__all__ += _row_norm.__all__
__all__ += _sampling.__all__
__all__ += _scatter.__all__
__all__ += _shape.__all__
__all__ += _sigmoids.__all__
__all__ += _smooth_gates.__all__
__all__ += _softmax.__all__
__all__ += _stacking.__all__
__all__ += _variance.__all__
__all__ += _vector_norm.__all__
