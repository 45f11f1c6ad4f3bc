"""The backward pass: how gradients flow along the tape."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from ._types import Array
from .grad_mode import mode
from .tape import Edge, Node
from .tensor_base import Hook, TensorBase, raw, wrap

__all__ = ["grad", "refuse_graph", "run_backward", "seed_gradient"]

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
        if mode.finding_nan:
            _find_nan(node, results)
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


def _find_nan(node: Node, results: Sequence[Any]) -> None:
    for i, result in enumerate(results):
        if result is not None and np.any(result != result):
            raise RuntimeError(f"Function {node.name!r} returned nan values in its {i}th output.")


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
