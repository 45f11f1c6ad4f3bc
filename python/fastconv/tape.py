"""The tape: what was computed from what.

An operator that works on tensors computes with arrays and then calls :func:`record` with its
result, its inputs and a closure that turns the gradient of the result into the gradients of the
inputs. The :class:`Node` so made holds edges to the nodes of the inputs, never to their tensors: an
intermediate array lives exactly as long as a closure needs it.

Nodes are numbered as they are made, and a node is made after all nodes that it depends on. So the
backward pass (backward_pass.py) need only take the highest number first: whatever reaches a node
has then been summed.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from . import tensor_base
from ._types import Array, Result
from .grad_mode import mode
from .memory import Memory
from .tensor_base import Hook, TensorBase, needs_grad, wrap

__all__ = ["Backward", "Edge", "Node", "assign", "record", "record_many"]

#: Gradient of each output in (None where nothing came), gradient of each input out (None: none).
Backward: TypeAlias = Callable[..., Sequence[Array | None]]
Edge: TypeAlias = "tuple[Node, int] | TensorBase"

#: Memories that a closure reads, and their versions.
Saved: TypeAlias = "tuple[tuple[Memory, int], ...]"

_order = itertools.count()


class Node:
    """One step of the tape: edges to the nodes of its inputs, and the closure that goes back.

    ``used`` says that an edge leads here. ``clamp`` is there where the closure can take along a
    ``"relu"`` done to the result in place (:func:`offer_clamp`).
    """

    __slots__ = (
        "backward", "clamp", "edges", "hooks", "name", "order", "outputs", "saved", "used",
    )  # fmt: skip

    def __init__(self, name: str, edges: tuple[Edge | None, ...], backward: Backward) -> None:
        self.name = name
        self.order = next(_order)
        self.edges = edges
        self.backward: Backward | None = backward
        self.outputs = 1
        self.hooks: list[tuple[int, Hook]] | None = None
        self.saved: Saved = ()
        self.used = False
        self.clamp: tuple[Memory, int, Callable[[str], Saved]] | None = None

    def __repr__(self) -> str:
        return f"<{self.name}Backward>"

    def run(self, grads: list[Array | None]) -> Sequence[Array | None]:
        if self.backward is None:
            raise RuntimeError(
                "Trying to backward through the graph a second time: its saved values were freed "
                "by the first pass. Say retain_graph=True in the first call if you need both."
            )
        for memory, version in self.saved:
            if memory.version != version:
                raise RuntimeError(
                    f"one of the variables needed for gradient computation ({self.name}) has been "
                    "modified by an inplace operation after it was used"
                )
        return self.backward(*grads)

    def release(self) -> None:
        self.backward = None
        self.edges = ()
        self.saved = ()
        self.clamp = None


def saved_of(*values: Any) -> Saved:
    """The memories of those that are tensors, as they are now."""
    memories = [v._shared_memory() for v in values if isinstance(v, TensorBase)]
    return tuple([(memory, memory.version) for memory in memories])


def offer_clamp(result: TensorBase, take: Callable[[str], Saved]) -> None:
    """Say that the step which made `result` can take along a clamp that is done to it in place.

    ``take(activation)`` has it do so and gives what its closure then reads besides.
    """
    if result._node is not None:
        memory = result._shared_memory()
        result._node.clamp = memory, memory.version, take


def joined_clamp(tensor: TensorBase, activation: str) -> bool:
    """Whether the step that made a tensor takes along a clamp that is now done to it in place.

    So it is where nobody else knows of that step's result: no other step reads it, no hook waits
    for its gradient, nothing has changed it or looks into its memory.
    """
    node = tensor._node
    if node is None or node.clamp is None or not mode.recording:
        return False
    memory, version, take = node.clamp
    if (
        node.used
        or node.hooks
        or tensor._hooks
        or tensor._memory is not memory
        or memory.version != version
        or memory.exposed
        or any(ref() is not None for ref in memory.tensors)
    ):
        return False
    node.saved = (*node.saved, *take(activation))
    node.clamp = None
    tensor._touch()
    return True


def assign(target: TensorBase, result: TensorBase) -> Result:
    """Give `target` the value of `result`: what an in-place operator does.

    Without recording the values go into the memory of `target`, where all its views see them. With
    recording the tensor moves on to the new array and node, so that gradients are right whatever
    the old values were saved for; views that would be left behind, or a leaf, raise RuntimeError.
    """
    if result._array.shape != target._array.shape:
        raise RuntimeError(
            f"in-place: the result has shape {result._array.shape}, "
            f"which does not fit the tensor's {target._array.shape}"
        )
    if mode.recording and (result._requires_grad or target._requires_grad):
        if target._requires_grad and target._node is None:
            raise RuntimeError(
                "a leaf Variable that requires grad is being used in an in-place operation."
            )
        memory = target._memory
        if memory is not None and any(
            r() is not None and r() is not target for r in memory.tensors
        ):
            raise RuntimeError(
                "in-place: another tensor looks into the same memory (a view, or what this is a "
                "view of) and would keep the old values; use the operator that returns a new tensor"
            )
        target._array = result._array.astype(target._array.dtype, copy=False)
        target._node, target._index = result._node, result._index
        target._requires_grad, target._memory = result._requires_grad, None
    elif not target._become(result):
        target._before_change()
        np.copyto(target._array, result._array, casting="same_kind")
        target._touch()
    return target


def record(
    name: str,
    output: Array,
    inputs: Sequence[Any],
    backward: Backward,
    *,
    saves: Sequence[Any] = (),
    saves_output: bool = False,
    view_of: TensorBase | None = None,
) -> Result:
    """Wrap an operator's result and, where a gradient will be wanted, put the step on the tape.

    Parameters
    ----------
    name
        The operator, for messages.
    output
        The array that it computed.
    inputs
        What it computed from: tensors, and anything else, which has no gradient.
    backward
        Takes the gradient of `output`, returns one gradient (or None) for each of `inputs`. It must
        not return an array that it keeps, unless that array is the gradient it was given or a view.
    saves
        Those tensors whose arrays `backward` will read, so that overwriting one is noticed.
    saves_output
        Whether `backward` will read `output`.
    view_of
        The tensor into whose memory `output` may look.
    """
    result = tensor_base.make_tensor(
        output if isinstance(output, np.ndarray) else np.asarray(output)
    )
    if view_of is not None and np.may_share_memory(result._array, view_of._array):
        result._share(view_of)
    if mode.recording:
        for value in inputs:
            if isinstance(value, TensorBase) and value._requires_grad:
                result._node = _node(
                    name, inputs, backward, (*saves, result) if saves_output else saves
                )
                result._requires_grad = True
                break
    return result


def record_many(
    name: str, outputs: Sequence[Array], inputs: Sequence[Any], backward: Backward
) -> tuple[Result, ...]:
    """As :func:`record` for an operator with several results: one node, one gradient each."""
    results = tuple(wrap(output) for output in outputs)
    if any(needs_grad(value) for value in inputs):
        node = _node(name, inputs, backward, ())
        node.outputs = len(outputs)
        for index, result in enumerate(results):
            result._node, result._index, result._requires_grad = node, index, True
    return results


def _node(name: str, inputs: Sequence[Any], backward: Backward, saves: Sequence[Any]) -> Node:
    edges = tuple([v._edge() if isinstance(v, TensorBase) else None for v in inputs])
    node = Node(name, edges, backward)
    if saves:
        node.saved = saved_of(*saves)
    return node
