"""The operators of tensors as methods: shapes, arithmetic, comparisons, reductions, in place."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import Any

import numpy as np

from . import functional as F
from .autograd import TensorBase, assign, raw, wrap
from .functional._tools import flat_ints
from .functional.stacking import windows
from .random import generator

__all__ = ["TensorOperators"]


def _in_place(function: Callable[..., Any]) -> Callable[..., Any]:
    """The in-place form of an operator: the tensor takes over the result."""

    def method(self: TensorBase, *args: Any, **kwargs: Any) -> Any:
        return assign(self, function(self, *args, **kwargs))

    method.__doc__ = f"In-place form of :func:`{function.__name__}`."
    return method


def _in_place_view(function: Callable[..., Any]) -> Callable[..., Any]:
    """The in-place form of a view: the tensor looks at its memory in another shape."""

    def method(self: TensorBase, *args: Any, **kwargs: Any) -> Any:
        view = function(self, *args, **kwargs)
        if view._requires_grad and self._node is None:
            raise RuntimeError("a leaf tensor that requires grad cannot change its shape in place")
        self._array = view._array
        self._node, self._index = view._node, view._index
        return self

    method.__doc__ = f"In-place form of :func:`{function.__name__}`."
    return method


def _swapped(function: Callable[..., Any]) -> Callable[..., Any]:
    """The reflected form of an operator."""
    return lambda self, other: function(other, self)


def _drawn(draw: Callable[..., Any], doc: str) -> Callable[..., Any]:
    """A method that fills the tensor with random values."""

    def method(self: TensorBase, *args: Any, **kwargs: Any) -> Any:
        rng = kwargs.pop("generator", None) or generator()
        values = np.asarray(draw(rng, self._array.shape, *args, **kwargs))
        return assign(self, wrap(values.astype(self._array.dtype)))

    method.__doc__ = doc
    return method


def _uniform(rng: np.random.Generator, shape: Any, *bounds: Any, **named: Any) -> Any:
    """``uniform_(from, to)``; "from" cannot be the name of an argument in Python."""
    low = bounds[0] if bounds else named.get("from", named.get("a", 0.0))
    high = bounds[1] if len(bounds) > 1 else named.get("to", named.get("b", 1.0))
    return rng.uniform(low, high, shape)


def _comparable(value: object) -> bool:
    return isinstance(value, (TensorBase, np.ndarray, np.generic, int, float, list, tuple))


class TensorOperators(TensorBase):
    """Each method is a function of :mod:`fastconv.functional`, the tensor its first argument."""

    __slots__ = ()

    # ---- shapes ------------------------------------------------------------------------------

    def split(self, split_size: Any, dim: int = 0) -> Any:
        """Cut along `dim`; see :func:`fastconv.split`."""
        return F.split(self, split_size, dim)

    def view_as(self, other: TensorBase) -> Any:
        """A view in the shape of `other`."""
        return F.view(self, other._array.shape)

    def reshape_as(self, other: TensorBase) -> Any:
        """The values in the shape of `other`."""
        return F.reshape(self, other._array.shape)

    def expand_as(self, other: TensorBase) -> Any:
        """Repeated, without a copy, to the shape of `other`."""
        return F.expand(self, other._array.shape)

    def sum_to_size(self, *size: Any) -> Any:
        """Summed along the axes that broadcasting had repeated."""
        shape = flat_ints(size)
        extra = self._array.ndim - len(shape)
        axes = tuple(i for i in range(self._array.ndim) if i < extra or shape[i - extra] == 1)
        return F.reshape(F.sum(self, axes) if axes else self, shape)

    view = F.view
    reshape = F.reshape
    flatten = F.flatten
    unflatten = F.unflatten
    squeeze = F.squeeze
    unsqueeze = F.unsqueeze
    permute = F.permute
    transpose = F.transpose
    swapaxes = F.transpose
    swapdims = F.transpose
    t = F.t
    movedim = F.movedim
    moveaxis = F.movedim
    broadcast_to = F.broadcast_to
    expand = F.expand
    repeat = F.repeat
    repeat_interleave = F.repeat_interleave
    tile = F.tile
    flip = F.flip
    roll = F.roll
    chunk = F.chunk
    unbind = F.unbind
    select = F.select
    narrow = F.narrow
    clone = F.clone
    gather = F.gather
    index_select = F.index_select
    masked_select = F.masked_select
    masked_fill = F.masked_fill
    scatter = F.scatter
    scatter_add = F.scatter_add
    index_add = F.index_add
    index_copy = F.index_copy
    index_fill = F.index_fill
    unfold = windows
    ravel = F.ravel
    diagonal = F.diagonal
    diag = F.diag
    trace = F.trace
    fliplr = F.fliplr
    flipud = F.flipud
    rot90 = F.rot90
    tensor_split = F.tensor_split
    take_along_dim = F.take_along_dim
    tril = F.tril
    triu = F.triu
    __getitem__ = F.getitem
    __setitem__ = F.setitem

    # ---- arithmetic --------------------------------------------------------------------------

    add = __add__ = F.add
    sub = __sub__ = F.sub
    mul = multiply = __mul__ = F.mul
    div = true_divide = __truediv__ = F.div
    pow = __pow__ = F.pow
    matmul = __matmul__ = F.matmul
    neg = __neg__ = F.neg
    abs = __abs__ = F.abs
    remainder = __mod__ = F.remainder
    __radd__ = F.add
    __rmul__ = F.mul
    __rsub__ = rsub = F.rsub
    __rtruediv__ = _swapped(F.div)
    __rpow__ = _swapped(F.pow)
    __rmatmul__ = _swapped(F.matmul)

    floor_divide = __floordiv__ = F.floor_divide
    fmod = F.fmod
    atan2 = F.atan2
    hypot = F.hypot
    addcmul = F.addcmul
    addcdiv = F.addcdiv
    addmm = F.addmm
    baddbmm = F.baddbmm
    mv = F.mv

    def __pos__(self) -> Any:
        return self

    mm = F.mm
    bmm = F.bmm
    dot = F.dot
    outer = F.outer
    maximum = F.maximum
    minimum = F.minimum
    lerp = F.lerp
    exp = F.exp
    expm1 = F.expm1
    log = F.log
    log2 = F.log2
    log10 = F.log10
    log1p = F.log1p
    sqrt = F.sqrt
    rsqrt = F.rsqrt
    square = F.square
    reciprocal = F.reciprocal
    sin = F.sin
    cos = F.cos
    tan = F.tan
    asin = F.asin
    acos = F.acos
    atan = F.atan
    sinh = F.sinh
    cosh = F.cosh
    exp2 = F.exp2
    frac = F.frac
    logit = F.logit
    erf = F.erf
    erfinv = F.erfinv
    sign = F.sign
    floor = F.floor
    ceil = F.ceil
    round = F.round
    trunc = F.trunc
    clamp = clip = F.clamp
    clamp_min = F.clamp_min
    clamp_max = F.clamp_max
    nan_to_num = F.nan_to_num
    relu = F.relu
    sigmoid = F.sigmoid
    tanh = F.tanh
    softmax = F.softmax
    log_softmax = F.log_softmax

    def where(self, condition: Any, other: Any) -> Any:
        """This tensor where `condition` holds, else `other`."""
        return F.where(condition, self, other)

    # ---- comparisons -------------------------------------------------------------------------

    eq = F.eq
    ne = F.ne
    lt = __lt__ = F.lt
    le = __le__ = F.le
    gt = __gt__ = F.gt
    ge = __ge__ = F.ge
    isnan = F.isnan
    isinf = F.isinf
    isfinite = F.isfinite
    isclose = F.isclose
    logical_not = F.logical_not
    logical_and = F.logical_and
    logical_or = F.logical_or
    logical_xor = F.logical_xor
    bitwise_not = __invert__ = F.bitwise_not
    bitwise_and = __and__ = __rand__ = F.bitwise_and
    bitwise_or = __or__ = __ror__ = F.bitwise_or
    bitwise_xor = __xor__ = __rxor__ = F.bitwise_xor
    __hash__ = object.__hash__

    def __eq__(self, other: object) -> Any:
        return F.eq(self, other) if _comparable(other) else NotImplemented

    def __ne__(self, other: object) -> Any:
        return F.ne(self, other) if _comparable(other) else NotImplemented

    def __contains__(self, value: Any) -> bool:
        return builtins.bool((self._array == raw(value)).any())

    def equal(self, other: TensorBase) -> bool:
        """Whether shape and all values are the same."""
        return np.array_equal(self._array, other._array)

    def allclose(
        self, other: Any, rtol: Any = 1e-5, atol: Any = 1e-8, equal_nan: bool = False
    ) -> bool:
        """Whether all values agree to ``atol + rtol * |other|``."""
        return np.allclose(self._array, raw(other), rtol, atol, equal_nan)

    # ---- reductions --------------------------------------------------------------------------

    sum = F.sum
    mean = F.mean
    var = F.var
    std = F.std
    prod = F.prod
    max = F.max
    min = F.min
    amax = F.amax
    amin = F.amin
    argmax = F.argmax
    argmin = F.argmin
    all = F.all
    any = F.any
    count_nonzero = F.count_nonzero
    norm = F.norm
    logsumexp = F.logsumexp
    cumsum = F.cumsum
    cumprod = F.cumprod
    median = F.median
    unique = F.unique
    bincount = F.bincount
    histc = F.histc
    multinomial = F.multinomial
    diff = F.diff
    sort = F.sort
    argsort = F.argsort
    topk = F.topk

    nonzero = F.nonzero

    # ---- in place ----------------------------------------------------------------------------

    add_ = __iadd__ = _in_place(F.add)
    sub_ = __isub__ = _in_place(F.sub)
    mul_ = __imul__ = _in_place(F.mul)
    div_ = __itruediv__ = _in_place(F.div)
    pow_ = __ipow__ = _in_place(F.pow)
    neg_ = _in_place(F.neg)
    abs_ = _in_place(F.abs)
    exp_ = _in_place(F.exp)
    log_ = _in_place(F.log)
    sqrt_ = _in_place(F.sqrt)
    floor_ = _in_place(F.floor)
    ceil_ = _in_place(F.ceil)
    round_ = _in_place(F.round)
    clamp_ = clip_ = _in_place(F.clamp)
    relu_ = _in_place(F.relu)
    sigmoid_ = _in_place(F.sigmoid)
    tanh_ = _in_place(F.tanh)
    masked_fill_ = _in_place(F.masked_fill)
    squeeze_ = _in_place_view(F.squeeze)
    unsqueeze_ = _in_place_view(F.unsqueeze)
    transpose_ = _in_place_view(F.transpose)
    t_ = _in_place_view(F.t)
    lerp_ = _in_place(F.lerp)

    addcmul_ = _in_place(F.addcmul)
    addcdiv_ = _in_place(F.addcdiv)
    scatter_ = _in_place(F.scatter)
    scatter_add_ = _in_place(F.scatter_add)
    index_add_ = _in_place(F.index_add)
    index_copy_ = _in_place(F.index_copy)
    index_fill_ = _in_place(F.index_fill)
    clamp_min_ = _in_place(F.clamp_min)
    clamp_max_ = _in_place(F.clamp_max)
    fmod_ = _in_place(F.fmod)
    remainder_ = _in_place(F.remainder)
    trunc_ = _in_place(F.trunc)
    erfinv_ = _in_place(F.erfinv)
    square_ = _in_place(F.square)
    reciprocal_ = _in_place(F.reciprocal)
    rsqrt_ = _in_place(F.rsqrt)
    sign_ = _in_place(F.sign)
    tril_ = _in_place(F.tril)
    triu_ = _in_place(F.triu)
    cumsum_ = _in_place(F.cumsum)
    logical_and_ = _in_place(F.logical_and)
    logical_or_ = _in_place(F.logical_or)
    logical_not_ = _in_place(F.logical_not)

    def copy_(self, src: Any, non_blocking: bool = False) -> Any:
        """Take over the values of `src`."""
        value = F.broadcast_to(
            src if isinstance(src, TensorBase) else wrap(np.asarray(src)),
            self._array.shape,
        )
        return assign(self, F.cast(value, self._array.dtype))

    def fill_(self, value: Any) -> Any:
        """Set all elements to `value`."""
        return assign(self, wrap(np.full(self._array.shape, raw(value), self._array.dtype)))

    def zero_(self) -> Any:
        """Set all elements to 0."""
        return self.fill_(0)

    normal_ = _drawn(
        lambda rng, shape, mean=0.0, std=1.0: rng.normal(mean, std, shape),
        "Draw from a normal distribution with `mean` and `std`.",
    )
    uniform_ = _drawn(
        lambda rng, shape, *bounds, **named: _uniform(rng, shape, *bounds, **named),
        "Draw evenly between two bounds, 0 and 1 unless given.",
    )
    bernoulli_ = _drawn(
        lambda rng, shape, p=0.5: rng.random(shape) < raw(p), "Draw 1 with probability `p`, else 0."
    )
    random_ = _drawn(
        lambda rng, shape, low=0, high=None: rng.integers(
            *((0, low or 2**24) if high is None else (low, high)), size=shape
        ),
        "Draw whole numbers from ``[low, high)``.",
    )
