"""Module: what layers and networks are made of."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np

from ..autograd import calls, no_grad, raw
from ..changes import changes
from ..deferred import finish, settled
from ..dtypes import as_dtype, no_such_device
from ..functional._tools import is_float
from ..tensor import Tensor
from .hooks import Hooks, RemovableHandle, with_backward_hooks
from .members import Members
from .state import load_state_dict, state_dict

__all__ = ["Module"]

M = TypeVar("M", bound="Module")


class Module(Members):
    """Base class of all layers and networks.

    A subclass calls ``super().__init__()``, assigns parameters and other modules to attributes, and
    says in :meth:`forward` what it computes. Names, order and semantics are those of
    ``torch.nn.Module``; :meth:`freeze` is ours.
    """

    _version: int = 1

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes; subclasses say."""
        raise NotImplementedError(
            f'Module [{type(self).__name__}] is missing the required "forward" function'
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.training:
            return self._run(args, kwargs)
        depth = calls.depth
        calls.depth = depth + 1
        try:
            plain = not self._hooks.any
            result = self.forward(*args, **kwargs) if plain else self._run(args, kwargs)
        except BaseException:
            if not depth:
                calls.walk = None
            raise
        finally:
            calls.depth = depth
        if depth:
            return result
        result = settled(result)
        finish()
        return result

    def _run(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        hooks = self._hooks
        if not hooks.any:
            return self.forward(*args, **kwargs)
        args, kwargs = hooks.before_forward(self, args, kwargs)
        if hooks.backward:
            result = with_backward_hooks(self, hooks, args, kwargs)
        else:
            result = self.forward(*args, **kwargs)
        return hooks.after_forward(self, args, kwargs, result)

    # ---- modes -------------------------------------------------------------------------------

    def apply(self: M, fn: Callable[[Module], None]) -> M:
        """Call `fn` with every module within, then with this one."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    def train(self: M, mode: bool = True) -> M:
        """Set training mode everywhere within, except in frozen modules."""
        if not isinstance(mode, bool):
            raise ValueError("training mode is expected to be boolean")
        self.training = mode and not self._frozen
        for child in self.children():
            child.train(mode)
        return self

    def eval(self: M) -> M:
        """Set evaluation mode everywhere within."""
        return self.train(False)

    def requires_grad_(self: M, requires_grad: bool = True) -> M:
        """Set whether the parameters within are trained."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def freeze(self: M, frozen: bool = True) -> M:
        """Stop training everything within, batch-norm statistics and dropout included.

        The modules go into evaluation mode and stay there when :meth:`train` is called on them or
        on a module around them; their parameters no longer require gradients. ``freeze(False)``
        undoes it and returns them to training mode.
        """
        for module in self.modules():
            module._frozen = frozen
            module.training = not frozen
        return self.requires_grad_(not frozen)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget (or set to zero) the gradients of all parameters."""
        for parameter in self.parameters():
            if parameter.grad is not None:
                if set_to_none:
                    parameter.grad = None
                else:
                    parameter.grad = Tensor(np.zeros_like(parameter._array))

    # ---- types and devices -------------------------------------------------------------------

    def _apply(self: M, convert: Callable[[np.ndarray[Any, Any]], Any]) -> M:
        """Replace the array of every parameter and buffer within."""
        for module in self.modules():
            for tensor in (*module._parameters.values(), *module._buffers.values()):
                if tensor is not None:
                    tensor.data = convert(tensor._array)
                    if tensor.grad is not None:
                        tensor.grad = Tensor(convert(tensor.grad._array))
        return self

    def to(self: M, *args: Any, **kwargs: Any) -> M:
        """Parameters and buffers in another type or memory format; ``"cpu"`` changes nothing.

        Raises
        ------
        RuntimeError
            For any other device.
        """

        def convert(array: np.ndarray[Any, Any]) -> Any:
            if kwargs.get("memory_format") is not None and array.ndim not in (4, 5):
                rest = {k: v for k, v in kwargs.items() if k != "memory_format"}
                return raw(Tensor(array).to(*args, **rest))
            moved = Tensor(array).to(*args, **kwargs)
            return array if moved.is_floating_point() != is_float(array) else raw(moved)

        return self._apply(convert)

    def type(self: M, dst_type: Any) -> M:
        """All parameters and buffers in another type."""
        return self._apply(lambda a: a.astype(as_dtype(dst_type), copy=False))

    def _floats_to(self: M, dtype: Any) -> M:
        return self._apply(lambda a: a.astype(dtype, copy=False) if is_float(a) else a)

    def float(self: M) -> M:
        """Floating-point parameters and buffers in float32."""
        return self._floats_to(np.float32)

    def double(self: M) -> M:
        """Floating-point parameters and buffers in float64."""
        return self._floats_to(np.float64)

    def half(self: M) -> M:
        """Floating-point parameters and buffers in float16."""
        return self._floats_to(np.float16)

    def cpu(self: M) -> M:
        """The module itself."""
        return self

    def cuda(self: M, device: Any = None) -> M:
        """RuntimeError: there is only the CPU."""
        no_such_device("cuda")

    # ---- state -------------------------------------------------------------------------------

    def state_dict(
        self, *args: Any, destination: Any = None, prefix: str = "", keep_vars: bool = False
    ) -> OrderedDict[str, Any]:
        """Parameters and persistent buffers by dotted name, sharing memory with the module."""
        if args:
            destination = args[0]
            prefix = args[1] if len(args) > 1 else prefix
        return state_dict(
            self, OrderedDict() if destination is None else destination, prefix, keep_vars
        )

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """Copy parameters and buffers from a mapping of dotted names to tensors or arrays.

        Parameters
        ----------
        state_dict : mapping
            As :meth:`state_dict` gives it, or loaded from a file.
        strict : bool
            Whether the names must be the same; shapes always must.
        assign : bool
            Take over the given arrays instead of copying their values.

        Returns
        -------
        named tuple
            ``missing_keys`` and ``unexpected_keys``.

        Raises
        ------
        RuntimeError
            Naming every missing and unexpected key and every wrong shape at once. Nothing has been
            changed then.
        """
        with no_grad():
            return load_state_dict(self, state_dict, strict, assign)

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        """For subclasses that rename or convert what older files hold, before it is copied."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.__dict__.setdefault("_hooks", Hooks())
        self.__dict__.setdefault("_frozen", False)
        changes.note()

    # ---- hooks -------------------------------------------------------------------------------

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call ``hook(module, args)`` before :meth:`forward`; what it returns replaces `args`."""
        return self._hooks.add("pre", hook, prepend, with_kwargs)

    def register_forward_hook(
        self,
        hook: Callable[..., Any],
        *,
        prepend: bool = False,
        with_kwargs: bool = False,
        always_call: bool = False,
    ) -> RemovableHandle:
        """Call ``hook(module, args, output)`` after; what it returns replaces `output`."""
        return self._hooks.add("post", hook, prepend, with_kwargs)

    def register_full_backward_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call ``hook(module, grad_input, grad_output)`` when the gradients of the inputs are
        known.

        Both are tuples; what the hook returns replaces `grad_input`.
        """
        return self._hooks.add("backward", hook, prepend, False)

    # ---- text --------------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """What stands within the brackets of the module's ``repr``."""
        return ""

    def _get_name(self) -> str:
        return type(self).__name__

    def __repr__(self) -> str:
        extra = self.extra_repr()
        lines = extra.split("\n") if extra else []
        children = [
            f"({name}): " + repr(child).replace("\n", "\n  ")
            for name, child in self._modules.items()
        ]
        if not children and len(lines) <= 1:
            return f"{self._get_name()}({extra})"
        return f"{self._get_name()}(\n  " + "\n  ".join(lines + children) + "\n)"
