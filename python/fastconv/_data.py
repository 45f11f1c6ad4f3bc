"""What ``Tensor.data`` gives: the array, able to fill itself the way PyTorch code expects."""

from __future__ import annotations

from typing import Any

import numpy as np

from .autograd import raw
from .random import generator

__all__ = ["TensorData"]


class TensorData(np.ndarray[Any, Any]):
    """A plain array that also answers the in-place initialisers of ``torch.Tensor.data``.

    ``weight.data.normal_(0, 0.01)`` is how much model code sets its weights. Whatever is computed
    from it is a plain array again.
    """

    def __array_wrap__(self, array: Any, context: Any = None, return_scalar: bool = False) -> Any:
        return array[()] if return_scalar else np.asarray(array)

    def fill_(self, value: Any) -> TensorData:
        """Set all elements to `value`."""
        self[...] = raw(value)
        return self

    def zero_(self) -> TensorData:
        """Set all elements to 0."""
        return self.fill_(0)

    def copy_(self, source: Any) -> TensorData:
        """Take over the values of `source`."""
        self[...] = raw(source)
        return self

    def normal_(self, mean: float = 0, std: float = 1) -> TensorData:
        """Draw from a normal distribution."""
        return self.fill_(generator().normal(mean, std, self.shape))

    def uniform_(self, low: float = 0, high: float = 1) -> TensorData:
        """Draw evenly from ``[low, high)``."""
        return self.fill_(generator().uniform(low, high, self.shape))

    def add_(self, other: Any, *, alpha: float = 1) -> TensorData:
        """Add ``alpha * other``."""
        return self.fill_(np.asarray(self) + np.asarray(raw(other)) * alpha)

    def mul_(self, other: Any) -> TensorData:
        """Multiply by `other`."""
        return self.fill_(np.asarray(self) * raw(other))

    def div_(self, other: Any) -> TensorData:
        """Divide by `other`."""
        return self.fill_(np.asarray(self) / raw(other))

    def clamp_(self, min: Any = None, max: Any = None) -> TensorData:
        """Limit to ``[min, max]``."""
        return self.fill_(np.clip(np.asarray(self), min, max))

    def clone(self) -> Any:
        """A copy."""
        return self.copy()

    def detach(self) -> TensorData:
        """Itself."""
        return self

    def cpu(self) -> TensorData:
        """Itself."""
        return self

    def numpy(self) -> Any:
        """Itself, as a plain array."""
        return np.asarray(self)
