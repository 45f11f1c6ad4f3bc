"""What one call costs before any arithmetic: microseconds on arrays too small to matter.

    python bench/overhead.py

Each library does a 1x1 convolution of one pixel and a 2x2 pool of four, NumPy array in, NumPy array
out.  A lambda around NumPy's ``positive`` shows what Python itself takes.
"""

from __future__ import annotations

import numpy as np

import peers
from problems import parse
from timing import Call, measure

PROBLEMS = ("n1c1h1w1 k1r1s1", "n1c8h8w8 k8r3s3 p1", "max n1c1h2w2 r2s2")


def out_calls() -> dict[str, Call]:
    """fastconv with ``out=``: nothing is allocated."""
    import fastconv

    x, w, y = (np.ones((1, 1, 1, 1), np.float32) for _ in range(3))
    calls: dict[str, Call] = {"fastconv out=": lambda: fastconv.conv2d(x, w, out=y)}
    if hasattr(fastconv, "Conv2dPlan"):
        plan = fastconv.Conv2dPlan(w, input_shape=x.shape)
        calls["plan out="] = lambda: plan(x, out=y)
    return calls


def main() -> None:
    found = peers.available(threads=1)
    for text in PROBLEMS:
        problem = parse(text)
        data = problem.data()
        pairs = ((name, prepare(problem, "forward", data)) for name, prepare in found.items())
        calls = {name: call for name, call in pairs if call is not None}
        if "fastconv" in calls and problem.op == "conv" and problem.flops < 10:
            calls.update(out_calls())
        calls["lambda"] = lambda x=data.input: np.positive(x)
        print(f"{text}, microseconds a call:")
        for name, seconds in measure(calls, rounds=101, seconds=3).items():
            print(f"  {name:14} {seconds * 1e6:8.2f}")


if __name__ == "__main__":
    main()
