"""Parameters: tensors that a module trains."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd import raw
from ..tensor import Tensor

__all__ = ["Buffer", "Parameter"]


class Parameter(Tensor):
    """A tensor that a :class:`Module` registers as its own when it is assigned to an attribute.

    Parameters
    ----------
    data : array or Tensor
        Shared, not copied.
    requires_grad : bool
    """

    def __init__(self, data: Any = None, requires_grad: bool = True) -> None:
        array = np.empty(0, np.float32) if data is None else raw(data)
        super().__init__(array, requires_grad=requires_grad)

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"


class Buffer(Tensor):
    """A tensor that a :class:`Module` registers as a buffer when it is assigned to an attribute."""

    def __init__(self, data: Any = None, *, persistent: bool = True) -> None:
        super().__init__(np.empty(0, np.float32) if data is None else raw(data))
        self.persistent = persistent
