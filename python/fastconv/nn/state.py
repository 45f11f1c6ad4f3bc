"""Taking a module's state out and putting it back."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..autograd import raw
from ..tensor import Tensor

if TYPE_CHECKING:
    from .module import Module

__all__ = ["IncompatibleKeys", "load_state_dict", "state_dict"]


class IncompatibleKeys(NamedTuple):
    """What did not match when a state was loaded."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return (
            f"IncompatibleKeys(missing_keys={self.missing_keys}, "
            f"unexpected_keys={self.unexpected_keys})"
        )


def _own_state(module: Module) -> dict[str, Tensor]:
    """Parameters and persistent buffers of one module, without those within."""
    own: dict[str, Tensor] = {k: p for k, p in module._parameters.items() if p is not None}
    for name, buffer in module._buffers.items():
        if buffer is not None and name not in module._transient:
            own[name] = buffer
    return own


def state_dict(
    module: Module, destination: OrderedDict[str, Any], prefix: str, keep_vars: bool
) -> OrderedDict[str, Any]:
    """See :meth:`Module.state_dict`."""
    for name, tensor in _own_state(module).items():
        destination[prefix + name] = tensor if keep_vars else tensor.detach()
    for name, child in module._modules.items():
        if child is not None:
            child.state_dict(
                destination=destination, prefix=f"{prefix}{name}.", keep_vars=keep_vars
            )
    return destination


def load_state_dict(
    module: Module, given: Mapping[str, Any], strict: bool, assign: bool
) -> IncompatibleKeys:
    """See :meth:`Module.load_state_dict`."""
    if not isinstance(given, Mapping):
        raise TypeError(
            f"load_state_dict: expected a mapping of names to arrays, got {type(given).__name__}"
        )
    state = OrderedDict(given)
    missing: list[str] = []
    unexpected: list[str] = []
    errors: list[str] = []
    targets: dict[str, Tensor] = {}

    def visit(part: Module, prefix: str) -> None:
        version = {"version": part._version}
        part._load_from_state_dict(state, prefix, version, strict, missing, unexpected, errors)
        for name, tensor in _own_state(part).items():
            targets[prefix + name] = tensor
        for name, child in part._modules.items():
            if child is not None:
                visit(child, f"{prefix}{name}.")

    visit(module, "")
    updates = []
    for key, tensor in targets.items():
        if key not in state:
            # Files from before PyTorch counted batches lack the counter; it may stay as it is.
            if not key.endswith("num_batches_tracked"):
                missing.append(key)
            continue
        array = np.asarray(raw(state[key]))
        if array.shape == (1,) and tensor._array.shape == ():
            array = array.reshape(())
        if array.shape != tensor._array.shape:
            errors.append(
                f"size mismatch for {key}: copying a param with shape {array.shape} from "
                f"checkpoint, the shape in current model is {tensor._array.shape}."
            )
        else:
            updates.append((tensor, array))
    unexpected.extend(key for key in state if key not in targets)
    if strict and unexpected:
        errors.insert(0, "Unexpected key(s) in state_dict: " + _quoted(unexpected))
    if strict and missing:
        errors.insert(0, "Missing key(s) in state_dict: " + _quoted(missing))
    if errors:
        raise RuntimeError(
            f"Error(s) in loading state_dict for {type(module).__name__}:\n\t" + "\n\t".join(errors)
        )
    for tensor, array in updates:
        if assign:
            tensor.data = array
        else:
            np.copyto(tensor._array, array, casting="unsafe")
            tensor._touch()
    return IncompatibleKeys(missing, unexpected)


def _quoted(keys: list[str]) -> str:
    return ", ".join(f'"{key}"' for key in keys) + ". "
