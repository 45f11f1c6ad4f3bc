"""Random problems for hypothesis, valid by construction: nothing is filtered away."""

from __future__ import annotations

from hypothesis import strategies as st

from problems import Problem

small = st.integers


@st.composite
def conv_problems(draw: st.DrawFn, rank: int | None = None) -> Problem:
    """Convolutions of every rank: even, odd and asymmetric kernels, strides, dilations, groups,
    padding that differs by side, odd widths, single pixels, single channels and empty batches."""
    rank = rank or draw(st.sampled_from([1, 2, 2, 2, 3]))
    widest = {1: 40, 2: 14, 3: 6}[rank]
    usual = draw(st.booleans())  # 3x3 with neither stride nor dilation has algorithms of its own
    kernel, stride, dilation, padding, size = [], [], [], [], []
    for _ in range(rank):
        k, s, d = (3, 1, 1) if usual else (draw(small(1, 5)), draw(small(1, 3)), draw(small(1, 3)))
        before, after = draw(small(0, 4)), draw(small(0, 4))
        least = max(1, d * (k - 1) + 1 - before - after)
        kernel.append(k)
        stride.append(s)
        dilation.append(d)
        padding.append((before, after))
        size.append(draw(small(least, max(least, widest))))
    groups = draw(st.sampled_from([1, 1, 1, 2, 3, 4]))
    per_group_in, per_group_out = draw(small(1, 9)), draw(small(1, 9))
    return Problem(
        op="conv",
        batch=draw(st.sampled_from([0, 1, 1, 2, 3])),
        channels=groups * per_group_in,
        size=tuple(size),
        filters=groups * per_group_out,
        kernel=tuple(kernel),
        padding=tuple(padding),
        stride=tuple(stride),
        dilation=tuple(dilation),
        groups=groups,
        bias=False,
    )


@st.composite
def pool_problems(draw: st.DrawFn, op: str) -> Problem:
    """Pools of every rank, with ceil mode, padding up to the effective kernel on either side, and
    dilation (of which some windows lie wholly in padding)."""
    rank = draw(st.sampled_from([1, 2, 2, 2, 3]))
    widest = {1: 40, 2: 12, 3: 6}[rank]
    kernel, stride, dilation, padding, size = [], [], [], [], []
    for _ in range(rank):
        k, s, d = draw(small(1, 4)), draw(small(1, 4)), draw(small(1, 3))
        reach = d * (k - 1) + 1
        before, after = draw(small(0, reach - 1)), draw(small(0, reach - 1))
        least = max(1, reach - before - after)
        kernel.append(k)
        stride.append(s)
        dilation.append(d)
        padding.append((before, after))
        size.append(draw(small(least, max(least, widest))))
    channels = draw(small(1, 5))
    return Problem(
        op=op,  # type: ignore[arg-type]
        batch=draw(st.sampled_from([0, 1, 1, 2, 3])),
        channels=channels,
        size=tuple(size),
        filters=channels,
        kernel=tuple(kernel),
        padding=tuple(padding),
        stride=tuple(stride),
        dilation=tuple(dilation),
        bias=False,
        ceil=draw(st.booleans()),
        count_include_pad=draw(st.booleans()),
    )
