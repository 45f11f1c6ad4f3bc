"""The few types that signatures share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
#: What an operator returns: an array when given arrays only, a Tensor when given a Tensor anywhere.
Result: TypeAlias = Any
#: What an operator takes: an array or a Tensor (and a number where broadcasting makes sense).
Operand: TypeAlias = Any
DType: TypeAlias = "np.dtype[Any]"
DTypeLike: TypeAlias = npt.DTypeLike
Ints: TypeAlias = int | Sequence[int]
#: "same", "valid", one int, one int per axis, or one (before, after) pair per axis.
Padding: TypeAlias = str | int | Sequence[int] | Sequence[tuple[int, int]]
