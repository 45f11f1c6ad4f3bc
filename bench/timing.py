"""Interleaved timing: contestants take turns in short blocks, so that a change in the machine's
speed meets all of them alike.  The medians of their blocks are compared."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable

Call = Callable[[], object]

SETTLE_SECONDS = 0.004  # until a contestant has its own data in the caches again
WARM_SECONDS = 0.04  # the spin of ONNX Runtime's threads lasts for about 20 ms
BLOCK_SECONDS = 0.002  # a block repeats short calls for about this long


def measure(
    calls: dict[str, Call], rounds: int = 15, seconds: float = 1.0, warm: float = SETTLE_SECONDS
) -> dict[str, float]:
    """Median seconds of one call of each contestant.

    At most ``rounds`` turns each and, once everybody had three, about ``seconds`` in all.  Their
    order changes from round to round, so that nobody always follows the same neighbour.  Each block
    starts with untimed calls, one at least and for ``warm`` seconds: they bring its own data
    back into the caches, and with several threads they outlast the spinning of the threads of the
    contestant before, and the scheduler's moves.
    """
    repeats = {}
    for name, call in calls.items():
        call()
        once = _block(call, 1)
        repeats[name] = max(1, min(1000, round(BLOCK_SECONDS / max(once, 1e-7))))

    blocks: dict[str, list[float]] = {name: [] for name in calls}
    order = random.Random(0)
    end = time.perf_counter() + seconds
    for turn in range(rounds):
        if turn >= 3 and time.perf_counter() > end:
            break
        for name in order.sample(list(calls), len(calls)):
            call = calls[name]
            settled = time.perf_counter() + warm
            call()
            while time.perf_counter() < settled:
                call()
            blocks[name].append(_block(call, repeats[name]))
    return {name: statistics.median(values) for name, values in blocks.items()}


def _block(call: Call, repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - start) / repeats
