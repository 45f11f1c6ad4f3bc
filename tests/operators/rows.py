"""What a row of the operator table is made of.

A row names an operator, says in plain NumPy what it should give, and lists calls: good ones, of
which the tests check the value, the gradient and the behaviour under odd memory layouts, and bad
ones, which must be refused. Arrays in a call are described, not given, so that one row serves every
dtype and layout:

    Row("leaky_relu", lambda x, slope=0.01: np.where(x > 0, x, slope * x), [call(a(3, 4), 0.2)])
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

# Descriptions of arrays ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Drawn:
    """An array of the dtype under test; `draw` makes its values from a generator and a shape."""

    shape: tuple[int, ...]
    draw: Callable[..., Any]
    gradient: bool = True


@dataclass(frozen=True)
class Fixed:
    """An array that is what it is: class numbers, masks."""

    values: Any


def a(*shape: int) -> Drawn:
    """Normal numbers."""
    return Drawn(shape, lambda rng, s: rng.normal(size=s))


def positive(*shape: int) -> Drawn:
    """Between 0.5 and 2."""
    return Drawn(shape, lambda rng, s: rng.uniform(0.5, 2, s))


def unit(*shape: int) -> Drawn:
    """Between 0.1 and 0.9."""
    return Drawn(shape, lambda rng, s: rng.uniform(0.1, 0.9, s))


def wide(*shape: int) -> Drawn:
    """Between -5 and 5, to reach every piece of a function made of pieces."""
    return Drawn(shape, lambda rng, s: rng.uniform(-5, 5, s))


def distinct(*shape: int) -> Drawn:
    """No two values near each other, so that extrema are extrema under small steps too."""
    return Drawn(shape, lambda rng, s: rng.permutation(int(np.prod(s))).reshape(s) / 4 - 3)


def signs(*shape: int) -> Drawn:
    """1 and -1; no gradient is asked for."""
    return Drawn(shape, lambda rng, s: rng.choice([-1.0, 1.0], s), gradient=False)


def special() -> Drawn:
    """Numbers, NaN and both infinities."""
    return Drawn((4,), lambda rng, s: [1.0, np.nan, np.inf, -np.inf], gradient=False)


def still(drawn: Drawn) -> Drawn:
    """The same, without asking for its gradient."""
    return Drawn(drawn.shape, drawn.draw, gradient=False)


def classes(count: int, *shape: int) -> Fixed:
    """Class numbers below `count`, int64."""
    return Fixed(np.random.default_rng(4).integers(0, count, shape))


# Rows ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Call:
    """Arguments of one good call."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    peer: bool = True  # whether PyTorch takes these arguments

    def arrays(self, dtype: Any, seed: int = 0) -> tuple[list[Any], dict[str, Any]]:
        """The arguments with arrays in place of their descriptions."""
        rng = np.random.default_rng(seed)

        def made(value: Any) -> Any:
            if isinstance(value, Drawn):
                return np.asarray(value.draw(rng, value.shape)).astype(dtype)
            if isinstance(value, Fixed):
                return np.array(value.values)
            if isinstance(value, (list, tuple)):
                return type(value)(made(v) for v in value)
            return value

        return [made(v) for v in self.args], {k: made(v) for k, v in self.kwargs.items()}


def call(*args: Any, **kwargs: Any) -> Call:
    """A call that PyTorch takes too."""
    return Call(args, kwargs)


def ours(*args: Any, **kwargs: Any) -> Call:
    """A call that PyTorch does not take."""
    return Call(args, kwargs, peer=False)


@dataclass(frozen=True)
class Bad:
    """A call that must be refused, with an error whose message begins with the operator's name."""

    error: type[Exception]
    fragment: str
    call: Call


def bad(error: type[Exception], fragment: str, *args: Any, **kwargs: Any) -> Bad:
    return Bad(error, fragment, Call(args, kwargs))


@dataclass(frozen=True)
class Row:
    """One operator.

    Attributes
    ----------
    name : its name in ``fastconv.nn.functional``
    truth : the same in plain NumPy, for float64 arrays, taking the same arguments
    calls, bad : what is tried
    gradient : whether it has one
    backward : ``backward(g, y, *args, **kwargs)`` calls the plain gradient function and gives the
        gradients of the leading drawn arrays; unless given, ``name_backward(g, *args, **kwargs)``
        is called if there is one
    covers : further public names that `backward` calls, or that are this operator under another
    peer : PyTorch's function, if it is not called so there; False if there is none
    half : whether it takes half precision
    layouts : whether its arguments may come in any memory layout
    """

    name: str
    truth: Callable[..., Any]
    calls: Sequence[Call]
    bad: Sequence[Bad] = ()
    gradient: bool = True
    backward: Callable[..., Any] | None = None
    covers: Sequence[str] = ()
    peer: Any = None
    half: bool = True
    layouts: bool = field(default=True)

    def __str__(self) -> str:
        return self.name
