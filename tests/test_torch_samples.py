"""PyTorch's own samples and refusals for every operator of the table, where it is installed."""

from __future__ import annotations

from itertools import islice
from typing import Any

import pytest

import fastconv.nn.functional as F
from operators import TABLE
from torch_adapter import database, flat, same_results, same_slopes, torch, translated

#: Of one name but not one meaning (Tensor.unfold); order among equal values, which PyTorch leaves
#: open; a distance written for PyTorch's tensors.
OTHERS = {"unfold", "sort", "argsort", "topk"}
OTHERS |= {"nn.functional.triplet_margin_with_distance_loss"}
#: Samples whose arguments are in an order of their own.
ORDERED = {
    "embedding": lambda weight, input, *settings, **more: F.embedding(
        input, weight, *settings, **more
    ),
    "einsum": lambda operands, equation: F.einsum(equation, *operands),
    "where": lambda x, condition, other: F.where(condition, x, other),
}
NAMES = {row.name for row in TABLE}
#: PyTorch's table says that they refuse numbers, which they take.
NUMBERS = {"clamp_max", "clamp_min"}
RANDOM = {"nn.functional.rrelu"}
MANY = 40  # samples of one operator: pools have hundreds
#: PyTorch computes these in half precision, step by step; we in float32, rounding once.
COARSE = {
    "bilinear", "binary_cross_entropy_with_logits", "conv_transpose2d", "conv_transpose3d",
    "einsum", "grid_sample", "hinge_embedding_loss", "histc", "poisson_nll_loss",
    "soft_margin_loss",
}  # fmt: skip


OPS = [
    pytest.param(op, id=f"{op.name}-{op.variant_test_name}".rstrip("-"))
    for op in database("common_methods_invocations", "op_db")
    if op.name not in OTHERS and op.name.removeprefix("nn.functional.") in NAMES
]


def _call(op: Any, sample: Any, leaves: list[Any] | None) -> list[Any]:
    name = op.name.removeprefix("nn.functional.")
    function = ORDERED.get(name, getattr(F, name))
    arguments = [translated(v, leaves) for v in (sample.input, *sample.args)]
    return flat(function(*arguments, **translated(sample.kwargs, leaves)))


def _samples(op: Any, dtype: str, gradients: bool = True) -> Any:
    kind = getattr(torch, dtype)
    if not op.supports_dtype(kind, "cpu"):
        return
    torch.manual_seed(0)
    for sample in op.sample_inputs("cpu", kind, requires_grad=gradients and op.supports_autograd):
        random = op.name in RANDOM and sample.kwargs.get("training")
        if not (random or sample.kwargs.get("dropout_p")):
            yield sample


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("op", OPS)
def test_samples(op: Any, dtype: str) -> None:
    """Values and gradients, the operands dense and with gaps in their memory."""
    tolerance = 2e-4 if dtype == "float32" else 1e-6
    for number, whole in enumerate(_samples(op, dtype)):
        gaps = dtype == "float32" and number < MANY
        for sample in (whole, whole.noncontiguous()) if gaps else (whole,):
            expected = op.op(sample.input, *sample.args, **sample.kwargs)
            same_results(_call(op, sample, None), expected, tolerance)
            leaves: list[Any] = []
            results = _call(op, sample, leaves)
            same_results(results, expected, tolerance)
            same_slopes(results, expected, leaves, tolerance)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize(
    "op", [p for p in OPS if p.values[0].name.removeprefix("nn.functional.") not in COARSE]
)
def test_half_precision(op: Any, dtype: str) -> None:
    tolerance = 4e-3 if dtype == "float16" else 3e-2
    for sample in islice(_samples(op, dtype, gradients=False), MANY):
        try:
            expected = op.op(sample.input, *sample.args, **sample.kwargs)
        except RuntimeError:  # which PyTorch does not have in this precision
            continue
        same_results(_call(op, sample, None), expected, tolerance)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "op",
    [p for p in OPS if p.values[0].error_inputs_func and p.values[0].name not in NUMBERS],
)
def test_refusals(op: Any) -> None:
    for case in op.error_inputs("cpu"):
        for leaves in (None, []):
            with pytest.raises((ValueError, TypeError, IndexError, RuntimeError)):
                _call(op, case.sample_input, leaves)
