"""PyTorch's own samples and refusals for every layer that we have too, where it is installed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastconv
from fastconv import nn
from torch_adapter import database, same, same_results, same_slopes, torch, translated

MODULES = [
    pytest.param(info, id=info.name)
    for info in database("common_modules", "module_db")
    if hasattr(nn, info.name.removeprefix("nn."))
]


def _layer(info: Any, arguments: Any) -> Any:
    def ours(value: Any) -> Any:
        tensor = isinstance(value, torch.Tensor)
        return fastconv.tensor(translated(value, None)) if tensor else translated(value, None)

    kind = getattr(nn, info.name.removeprefix("nn."))
    keywords = {k: ours(v) for k, v in arguments.kwargs.items() if k != "device"}
    return kind(*map(ours, arguments.args), **keywords)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("info", MODULES)
def test_samples(info: Any, dtype: str, training: bool) -> None:
    """Names of the state, results, all gradients, what the layer remembers, and how it prints."""
    kind, tolerance = getattr(torch, dtype), 2e-4 if dtype == "float32" else 1e-6
    torch.manual_seed(0)
    samples = info.module_inputs_func(
        info, device="cpu", dtype=kind, requires_grad=True, training=training
    )
    for sample in samples:
        make, given = sample.constructor_input, sample.forward_input
        if given is None:
            continue
        theirs = info.module_cls(*make.args, **make.kwargs).to(kind).train(training)
        ours = _layer(info, make).to(np.dtype(dtype)).train(training)
        assert repr(ours) == repr(theirs)
        if info.name.startswith("nn.Lazy"):  # of both the first call makes an ordinary layer
            theirs(*given.args)
            ours(*translated(given.args, []))
            assert repr(ours) == repr(theirs)
        state = theirs.state_dict()
        assert list(ours.state_dict()) == list(state)
        ours.load_state_dict({k: v.numpy() for k, v in state.items()})
        leaves: list[Any] = []
        results = ours(*translated(given.args, leaves), **translated(given.kwargs, leaves))
        expected = theirs(*given.args, **given.kwargs)
        same_results(results, expected, tolerance)
        leaves += zip(theirs.parameters(), ours.parameters(), strict=True)
        same_slopes(results, expected, leaves, tolerance)
        after = zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True)
        for got, truth in after:
            same(got, truth, tolerance)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "info", [p for p in MODULES if p.values[0].module_error_inputs_func is not None]
)
def test_refusals(info: Any) -> None:
    for case in info.module_error_inputs_func(
        info, device="cpu", dtype=torch.float32, requires_grad=False, training=False
    ):
        sample = case.module_error_input
        with pytest.raises((ValueError, TypeError, IndexError, RuntimeError)):
            _layer(info, sample.constructor_input)(*translated(sample.forward_input.args, []))
