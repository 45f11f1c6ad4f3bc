"""The tape: what was computed from what, and how gradients flow back.

An operator that works on tensors computes with arrays and then calls :func:`record` with its
result, its inputs and a closure that turns the gradient of the result into the gradients of the
inputs. The :class:`Node` so made holds edges to the nodes of the inputs, never to their tensors: an
intermediate array lives exactly as long as a closure needs it.

Nodes are numbered as they are made, and a node is made after all nodes that it depends on. So the
backward pass need only take the highest number first: whatever reaches a node has then been summed.
"""

from __future__ import annotations

import heapq
import itertools
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from ._types import Array, Result
from .changes import changes
from .grad_mode import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    mode,
    no_grad,
    set_grad_enabled,
)

__all__ = [
    "Node",
    "TensorBase",
    "enable_grad",
    "grad",
    "inference_mode",
    "is_grad_enabled",
    "needs_grad",
    "no_grad",
    "record",
    "set_grad_enabled",
]

#: Gradient of each output in (None where nothing came), gradient of each input out (None: none).
Backward: TypeAlias = Callable[..., Sequence[Array | None]]
Hook: TypeAlias = Callable[[Any], Any]
Edge: TypeAlias = "tuple[Node, int] | TensorBase"


_order = itertools.count()
_versions = itertools.count()  # of all memories: no number is used twice


class Memory:
    """What tensors that share one buffer know of each other.

    ``version`` changes with every in-place change, so that the tape notices when an array that it
    needs was overwritten; ``exposed`` counts how often the array was handed out, to be written by
    hand; ``tensors`` are those (weakly) that look into the buffer; ``waiting`` are jobs (weakly,
    deferred.py) that are still to read it; ``watched`` says that a network was prepared from the
    values (nn/chain.py).
    """

    __slots__ = ("exposed", "tensors", "version", "waiting", "watched")

    def __init__(self) -> None:
        self.version = next(_versions)
        self.exposed = 0
        self.tensors: list[weakref.ref[TensorBase]] = []
        self.waiting: list[weakref.ref[Any]] = []
        self.watched = False

    def wait(self, job: Any) -> None:
        """Note that `job` is still to read these values."""
        if len(self.waiting) > 8:
            self.waiting = [ref for ref in self.waiting if ref() is not None]
        self.waiting.append(weakref.ref(job))


class _Pending(threading.local):
    def __init__(self) -> None:
        self.tensors: list[weakref.ref[Any]] = []


#: Per thread: results (weakly) that may still have to be computed, from weights among others.
pending = _Pending()


def settle_all(waiting: Sequence[weakref.ref[Any]]) -> None:
    """Have all those that still live computed."""
    for ref in waiting:
        found = ref()
        if found is not None:
            found.settle()


class Node:
    """One step of the tape: edges to the nodes of its inputs, and the closure that goes back."""

    __slots__ = ("backward", "edges", "hooks", "name", "order", "outputs", "saved")

    def __init__(self, name: str, edges: tuple[Edge | None, ...], backward: Backward) -> None:
        self.name = name
        self.order = next(_order)
        self.edges = edges
        self.backward: Backward | None = backward
        self.outputs = 1
        self.hooks: list[tuple[int, Hook]] | None = None
        self.saved: tuple[tuple[Memory, int], ...] = ()

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


class TensorBase:
    """What the tape knows of a tensor: an array, its gradient and its place in the graph."""

    __slots__ = (
        "__weakref__",
        "_array",
        "_hooks",
        "_index",
        "_memory",
        "_node",
        "_requires_grad",
        "grad",
    )

    _array: Array
    grad: Any  # a Tensor or None

    def __init__(self, array: Array, requires_grad: bool = False) -> None:
        self._array = array
        self._requires_grad = requires_grad
        self._node: Node | None = None
        self._index = 0
        self._memory: Memory | None = None
        self._hooks: list[Hook] | None = None
        self.grad = None

    def _edge(self) -> Edge | None:
        if self._node is not None:
            return self._node, self._index
        return self if self._requires_grad else None

    def _shared_memory(self) -> Memory:
        if self._memory is None:
            self._memory = Memory()
        return self._memory

    def _share(self, other: TensorBase) -> None:
        """Note that this tensor looks into the memory of `other`."""
        memory = other._shared_memory()
        if not memory.tensors:
            memory.tensors.append(weakref.ref(other))
        memory.tensors = [ref for ref in memory.tensors if ref() is not None]
        memory.tensors.append(weakref.ref(self))
        self._memory = memory

    def _touch(self) -> None:
        """Note that the array was changed in place."""
        memory = self._memory
        if memory is not None:
            memory.version = next(_versions)
            if memory.watched:
                changes.note_values()

    def _before_change(self) -> None:
        """Have everything computed that still needs the values as they are."""
        memory = self._memory
        if memory is None:
            return
        if memory.watched or any(ref() is not None for ref in memory.waiting):
            settle_all(pending.tensors)
        if memory.waiting:
            waiting, memory.waiting = memory.waiting, []
            settle_all(waiting)  # for another thread

    def _expose(self) -> None:
        """Note that the array is handed out, and may be changed by hand from now on."""
        memory = self._memory
        if memory is not None:
            self._before_change()
            memory.exposed += 1
            if memory.watched:
                changes.note_values()

    # What a deferred tensor (deferred.py) does in its own way.

    def _with_activation(self, activation: str, inplace: bool) -> TensorBase | None:
        """The tensor after an activation, if that can join what is still to be computed."""
        return None

    def _with_residual(self, other: Any) -> TensorBase | None:
        """The sum with `other`, if that can join what is still to be computed."""
        return None

    def _with_gate(self, other: Any) -> TensorBase | None:
        """The product with `other`, which was made of this, if that can wait."""
        return None

    def _beside(self, tensors: Sequence[Any], shape: tuple[int, ...]) -> TensorBase | None:
        """`tensors` side by side along axis 1, if that can wait."""
        return None

    def _become(self, result: TensorBase) -> bool:
        """Whether the tensor, not computed yet, now stands for `result`."""
        return False

    def _accumulate(self, grad: Array, ours: bool) -> None:
        """Add `grad` to ``.grad``; `ours` says that nobody else holds the array."""
        if grad.dtype != self._array.dtype:
            grad, ours = grad.astype(self._array.dtype), True
        if self.grad is None:
            self.grad = wrap(grad if ours else grad.copy())
        else:
            np.add(self.grad._array, grad, out=self.grad._array)
            self.grad._touch()


#: Makes the public tensor around an array; ``tensor.py`` says how.
make_tensor: Callable[[Array], TensorBase] = TensorBase


def wrap(array: Array) -> Result:
    """A tensor around an array, outside the tape."""
    return make_tensor(array)


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


def needs_grad(value: object) -> bool:
    """Whether a gradient with respect to `value` will be asked for."""
    return isinstance(value, TensorBase) and value._requires_grad and mode.recording


def raw(value: Any) -> Any:
    """The array of a tensor; anything else as it is."""
    return value._array if isinstance(value, TensorBase) else value


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
    result = make_tensor(output if isinstance(output, np.ndarray) else np.asarray(output))
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
        memories = [v._shared_memory() for v in saves if isinstance(v, TensorBase)]
        node.saved = tuple([(memory, memory.version) for memory in memories])
    return node


# ---- the backward pass ---------------------------------------------------------------------------

#: A gradient under way, and whether the pass may write into it.
_Sum: TypeAlias = "tuple[Array, bool] | None"


def _plus(so_far: _Sum, grad: Array, ours: bool) -> tuple[Array, bool]:
    if so_far is None:
        return grad, ours
    array, writable = so_far
    if writable:
        return np.add(array, grad, out=array), True
    if ours:
        return np.add(array, grad, out=grad), True
    return np.asarray(np.add(array, grad)), True  # NumPy makes numbers of arrays without axes


def run_backward(
    roots: Sequence[tuple[TensorBase, Array]],
    retain_graph: bool = False,
    wanted: dict[Edge, _Sum] | None = None,
) -> None:
    """Send gradients from `roots` back to the leaves.

    They are added to the leaves' ``.grad``, or, when `wanted` is given, collected under its keys
    only.
    """
    pending: dict[Node, list[_Sum]] = {}
    heap: list[tuple[int, Node]] = []
    hooked: dict[TensorBase, _Sum] = {}  # leaves whose hooks must see the whole sum

    def deposit(edge: Edge, grad: Array, ours: bool) -> None:
        if isinstance(edge, TensorBase):
            if wanted is not None:
                if edge in wanted:
                    wanted[edge] = _plus(wanted[edge], grad, ours)
            elif edge._hooks:
                hooked[edge] = _plus(hooked.get(edge), grad, ours)
            else:
                edge._accumulate(grad, ours)
            return
        node, index = edge
        sums = pending.get(node)
        if sums is None:
            pending[node] = sums = [None] * node.outputs
            heapq.heappush(heap, (-node.order, node))
        sums[index] = _plus(sums[index], grad, ours)

    for tensor, grad in roots:
        edge = tensor._edge()
        if edge is not None:
            deposit(edge, grad, False)

    with np.errstate(all="ignore"):  # infinities and NaN pass through silently, as forward
        _drain(heap, pending, deposit, retain_graph, wanted)

    for leaf, total in hooked.items():
        if total is not None:
            value: Array | None = total[0]
            for hook in leaf._hooks or ():
                value = _call_hook(hook, value)
            if value is not None:
                leaf._accumulate(value, False)


def _drain(
    heap: list[tuple[int, Node]],
    pending: dict[Node, list[_Sum]],
    deposit: Callable[[Edge, Array, bool], None],
    retain_graph: bool,
    wanted: dict[Edge, _Sum] | None,
) -> None:
    """Run the nodes that gradients have reached, the last made first, until none is left."""
    while heap:
        _, node = heapq.heappop(heap)
        grads = [None if s is None else s[0] for s in pending.pop(node)]
        for index, hook in node.hooks or ():
            grads[index] = _call_hook(hook, grads[index])
        if wanted is not None:
            for index, value in enumerate(grads):
                if (node, index) in wanted and value is not None:
                    wanted[node, index] = value, False
        edges, results = node.edges, node.run(grads)
        if not retain_graph:
            node.release()
        given = {id(g) for g in grads}
        for edge, result in zip(edges, results, strict=True):
            if edge is not None and result is not None:
                if not isinstance(result, np.ndarray):  # NumPy's scalars
                    result = np.asarray(result)
                # An array that is neither an incoming gradient, nor a view, nor given to two inputs
                # was made by this step: it may be written into.
                ours = not (isinstance(result.base, np.ndarray) or id(result) in given)
                if ours and len(results) > 1:
                    ours = [r is result for r in results].count(True) == 1
                deposit(edge, result, ours)


def _call_hook(hook: Hook, grad: Array | None) -> Array | None:
    if grad is None:
        return None
    changed = hook(wrap(grad))
    return grad if changed is None else np.asarray(raw(changed))


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = False,
    create_graph: bool = False,
    *,
    allow_unused: bool | None = False,
) -> tuple[Any, ...]:
    """Gradients of `outputs` with respect to `inputs`, without touching anybody's ``.grad``.

    Parameters
    ----------
    outputs, inputs
        A tensor or a sequence of them. Inputs may be leaves or intermediate results.
    grad_outputs
        One gradient for each of `outputs`; may be left out for scalars.
    retain_graph
        Keep the graph for another pass.
    allow_unused
        Give None for an input that the outputs do not depend on, instead of raising RuntimeError.

    Returns
    -------
    tuple of Tensor
        One gradient for each of `inputs`, of its shape.

    Raises
    ------
    RuntimeError
        If nothing was recorded, on a second pass, or for an input that was not used.
    NotImplementedError
        For `create_graph`: gradients are off the tape, so they have no gradients themselves.
    """
    refuse_graph("grad", create_graph)
    outs: list[TensorBase] = _listed(outputs)
    ins: list[TensorBase] = _listed(inputs)
    seeds = [None] * len(outs) if grad_outputs is None else _listed(grad_outputs)
    wanted: dict[Edge, _Sum] = {}
    for tensor in ins:
        edge = tensor._edge()
        if edge is None:
            raise RuntimeError("grad: one of the inputs does not require grad")
        wanted[edge] = None
    run_backward(
        [(t, seed_gradient(t, s)) for t, s in zip(outs, seeds, strict=True)],
        bool(retain_graph),
        wanted,
    )
    results = []
    for tensor in ins:
        edge = tensor._edge()
        total = wanted[edge] if edge is not None else None
        if total is None and not allow_unused:
            raise RuntimeError(
                "grad: one of the inputs was not used to compute the outputs; "
                "say allow_unused=True if that is meant"
            )
        own = tensor._array.dtype
        results.append(None if total is None else wrap(total[0].astype(own, copy=False)))
    return tuple(results)


def refuse_graph(name: str, create_graph: bool) -> None:
    """NotImplementedError where gradients of gradients are asked for."""
    if create_graph:
        raise NotImplementedError(
            f"{name}: create_graph=True asks for gradients of gradients, which the tape does not "
            "record"
        )


def _listed(value: Any) -> list[Any]:
    return [value] if isinstance(value, TensorBase) else list(value)


def seed_gradient(tensor: TensorBase, gradient: Any) -> Array:
    """The gradient that a backward pass starts from, checked; ones for a scalar."""
    if not tensor._requires_grad:
        raise RuntimeError("backward: the tensor does not require grad and does not have a grad_fn")
    array = tensor._array
    if gradient is None:
        if array.size != 1:
            raise RuntimeError("grad can be implicitly created only for scalar outputs")
        return np.ones_like(array)
    seed = np.asarray(raw(gradient), dtype=array.dtype)
    if seed.shape != array.shape:
        raise RuntimeError(
            f"backward: gradient has shape {seed.shape}, but the tensor has shape {array.shape}"
        )
    return seed


def __getattr__(name: str) -> Any:
    if name == "Function":  # made of tensors, so it stands above this module
        from .function import Function

        return Function
    if name == "Variable":  # what a tensor that requires gradients was before PyTorch 0.4
        from .tensor import Tensor

        return Tensor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
