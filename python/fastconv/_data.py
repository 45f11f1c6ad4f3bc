"""What ``Tensor.data`` gives: the array, with the methods that PyTorch code expects of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from .autograd import no_grad, raw, wrap

__all__ = ["TensorData"]


class TensorData(np.ndarray[Any, Any]):
    """A plain array that also has the methods of ``torch.Tensor.data``.

    ``weight.data.normal_(0, 0.01)`` is how much model code sets its weights, and
    ``output.data.max(1, keepdim=True)`` how it reads results. Where both have a method it is the
    array's, unless an argument has PyTorch's name. Whatever NumPy computes from it is a plain array
    again.
    """

    def __array_wrap__(self, array: Any, context: Any = None, return_scalar: bool = False) -> Any:
        return array[()] if return_scalar else np.asarray(array)

    def __getattr__(self, name: str) -> Any:
        # Called only for what arrays do not have.
        if name.startswith("_"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        method = getattr(wrap(np.asarray(self)), name)
        if not name.endswith("_"):
            return method

        def in_place(*args: Any, **kwargs: Any) -> TensorData:
            with no_grad():
                method(*args, **kwargs)
            return self

        return in_place

    def __iadd__(self, other: Any) -> Any:  # type: ignore[misc]
        return super().__iadd__(raw(other))

    def __isub__(self, other: Any) -> Any:  # type: ignore[misc]
        return super().__isub__(raw(other))

    def __imul__(self, other: Any) -> Any:  # type: ignore[misc]
        return super().__imul__(raw(other))

    def __itruediv__(self, other: Any) -> Any:  # type: ignore[misc]
        return super().__itruediv__(raw(other))

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

    def view(self, *args: Any, **kwargs: Any) -> Any:
        """The values in another shape, given whole numbers; else as NumPy's ``view``."""
        if args and all(isinstance(n, (int, np.integer)) for n in args):
            return wrap(np.asarray(self)).view(*args)
        return super().view(*args, **kwargs)


def _either(name: str) -> Any:
    """A method of arrays that is a tensor's where arguments have PyTorch's names."""
    plain = getattr(np.ndarray, name)

    def method(self: TensorData, *args: Any, **kwargs: Any) -> Any:
        if "dim" in kwargs or "keepdim" in kwargs:
            return getattr(wrap(np.asarray(self)), name)(*args, **kwargs)
        return plain(self, *args, **kwargs)

    method.__doc__ = plain.__doc__
    return method


_BOTH = "all any argmax argmin argsort cumsum max mean min prod sort std sum var"
for _name in _BOTH.split():
    setattr(TensorData, _name, _either(_name))
