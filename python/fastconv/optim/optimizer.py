"""What all optimisers share: parameter groups, state, gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from .._types import Array
from ..autograd import TensorBase, no_grad, raw
from ..functional._tools import compiled
from ..grad_mode import enable_grad
from ..tensor import Tensor

__all__ = ["Optimizer"]


_SWITCHES = ("capturable", "differentiable", "foreach", "fused")


def one_pass(p: Array, g: Array) -> bool:
    """Whether the compiled update takes this parameter and its gradient."""
    return compiled(p, g) and p.flags.c_contiguous and p.flags.writeable and p.shape == g.shape


def _restored(name: str, value: Any) -> Any:
    """An entry of a saved state: a copy of an array; PyTorch counts steps in one, we do not."""
    if name == "step":
        return int(value)
    if isinstance(value, list):  # the history of LBFGS
        return [_restored("", raw(v)) for v in value]
    return np.array(value) if isinstance(value, np.ndarray) else value


class Optimizer:
    """Base class of all optimisers.

    Parameters
    ----------
    params : iterable of tensors, or of dicts
        Each dict is a group: ``{"params": ..., "lr": ...}`` with its own settings.
    defaults : dict
        Settings for groups that do not name them.
    switches : names, optional
        Of arguments that say how PyTorch shall compute a step (``foreach``, ``fused``,
        ``capturable``, ``differentiable``), not what: taken, and without effect.

    Attributes
    ----------
    param_groups : list of dict
        To be changed at any time; schedulers do.
    state : dict
        What the optimiser remembers of each parameter.
    """

    def __init__(
        self, params: Iterable[Any], defaults: dict[str, Any], switches: Iterable[str] = ()
    ) -> None:
        for name in switches:
            if name not in _SWITCHES:
                raise TypeError(f"{type(self).__name__}: there is no argument {name!r}")
        if isinstance(params, TensorBase):
            raise TypeError(
                f"{type(self).__name__}: params must be an iterable of tensors or dicts, "
                "got a tensor"
            )
        self.defaults = defaults
        self.state: dict[TensorBase, dict[str, Any]] = {}
        self.param_groups: list[dict[str, Any]] = []
        groups = list(params)
        if not groups:
            raise ValueError("optimizer got an empty parameter list")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group of parameters with settings of its own."""
        name = type(self).__name__
        if not isinstance(param_group, dict):
            raise TypeError(f"{name}: param_group must be a dict, got {type(param_group).__name__}")
        params = param_group["params"]
        params = [params] if isinstance(params, TensorBase) else list(params)
        params = [p[1] if isinstance(p, tuple) else p for p in params]  # named_parameters()
        known = {id(p) for group in self.param_groups for p in group["params"]}
        for p in params:
            if not isinstance(p, TensorBase):
                raise TypeError(f"{name}: can only optimize tensors, got {type(p).__name__}")
            if p._node is not None:
                raise ValueError(f"{name}: can't optimize a non-leaf tensor")
            if id(p) in known:
                raise ValueError(f"{name}: some parameters appear in more than one parameter group")
            known.add(id(p))
        self.param_groups.append({**self.defaults, **param_group, "params": params})
        self._check(self.param_groups[-1])

    def _check(self, group: dict[str, Any]) -> None:
        """ValueError for settings out of range."""
        for key in ("lr", "eps", "weight_decay", "momentum"):
            value = group.get(key)
            if value is not None and not value >= 0:
                raise ValueError(f"{type(self).__name__}: {key} must not be negative, got {value}")
        for beta in group.get("betas", ()):
            if not 0 <= beta < 1:
                raise ValueError(f"{type(self).__name__}: betas must lie in [0, 1), got {beta}")

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget (or set to zero) the gradients of all parameters."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    p.grad = None if set_to_none else Tensor(np.zeros_like(p._array))

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Change all parameters by one step along their gradients.

        Parameters
        ----------
        closure : callable, optional
            Computes the loss anew, with its gradients; its result is returned.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        with no_grad():
            for group in self.param_groups:
                params = [p for p in group["params"] if p.grad is not None]
                self._update_all(
                    [(p._array, p.grad._array, self.state.setdefault(p, {})) for p in params], group
                )
                for p in params:
                    p._touch()
        return loss

    def _update_all(
        self, params: list[tuple[Array, Array, dict[str, Any]]], group: dict[str, Any]
    ) -> None:
        """Change the arrays of all parameters (array, gradient, state) of a group in place."""
        for p, g, state in params:
            self._update(p, g, state, group)

    def _update(self, p: Array, g: Array, state: dict[str, Any], group: dict[str, Any]) -> None:
        """Change the array of one parameter in place."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        """State and settings, with parameters replaced by their numbers."""
        numbers: dict[int, int] = {}
        groups = []
        for group in self.param_groups:
            packed = {k: v for k, v in group.items() if k != "params"}
            packed["params"] = [numbers.setdefault(id(p), len(numbers)) for p in group["params"]]
            groups.append(packed)
        state = {numbers[id(p)]: dict(values) for p, values in self.state.items()}
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what :meth:`state_dict` gave."""
        groups = state_dict["param_groups"]
        if [len(g["params"]) for g in groups] != [len(g["params"]) for g in self.param_groups]:
            raise ValueError(
                "load_state_dict: the number or size of parameter groups is not this optimizer's"
            )
        by_number: dict[int, Any] = {}
        for group, saved in zip(self.param_groups, groups, strict=True):
            by_number.update(zip(saved["params"], group["params"], strict=True))
            group.update({k: v for k, v in saved.items() if k != "params"})
        self.state = {
            by_number[number]: {k: _restored(k, raw(v)) for k, v in values.items()}
            for number, values in state_dict["state"].items()
        }

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {k}: {group[k]}" for k in sorted(group) if k != "params"]
        return "\n".join([*lines, ")"])
