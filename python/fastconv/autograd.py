"""``torch.autograd``, and what operators use of the tape.

memory.py
    what tensors on one buffer know of each other
tensor_base.py
    a tensor as the tape sees it
tape.py
    the steps, and how operators record them
backward_pass.py
    how gradients flow back
"""

from __future__ import annotations

from typing import Any

from .backward_pass import grad as grad
from .backward_pass import refuse_graph as refuse_graph
from .backward_pass import run_backward as run_backward
from .backward_pass import seed_gradient as seed_gradient
from .grad_mode import detect_anomaly as detect_anomaly
from .grad_mode import enable_grad as enable_grad
from .grad_mode import inference_mode as inference_mode
from .grad_mode import is_grad_enabled as is_grad_enabled
from .grad_mode import no_grad as no_grad
from .grad_mode import set_detect_anomaly as set_detect_anomaly
from .grad_mode import set_grad_enabled as set_grad_enabled
from .memory import Memory as Memory
from .memory import calls as calls
from .memory import settle_all as settle_all
from .tape import Node as Node
from .tape import assign as assign
from .tape import record as record
from .tape import record_many as record_many
from .tensor_base import Hook as Hook
from .tensor_base import TensorBase as TensorBase
from .tensor_base import needs_grad as needs_grad
from .tensor_base import raw as raw
from .tensor_base import wrap as wrap

__all__ = [
    "Node",
    "TensorBase",
    "detect_anomaly",
    "enable_grad",
    "grad",
    "inference_mode",
    "is_grad_enabled",
    "needs_grad",
    "no_grad",
    "record",
    "set_detect_anomaly",
    "set_grad_enabled",
]


def __getattr__(name: str) -> Any:
    if name == "Function":  # made of tensors, so it stands above this module
        from .function import Function

        return Function
    if name == "Variable":  # what a tensor that requires gradients was before PyTorch 0.4
        from .tensor import Tensor

        return Tensor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
