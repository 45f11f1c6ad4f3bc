"""The benchmark tools: the problem language, the timing and the reports."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import layers
import plot
import report
import results
from problems import parse
from report import Row
from timing import measure

ALL = [
    pytest.param(problem, id=f"{family}-{label}".replace(" ", "_"))
    for known in (layers.NAMED, layers.OTHER)
    for family, problems in known.items()
    for label, problem in problems.items()
]


# ---- the language --------------------------------------------------------------------------------


def test_words_of_a_convolution():
    p = parse("n2c6d4h9w8 k4t1r3s2 p0x1:2x0 s1x2x1 d1x1x3 g2 nobias f64  # a comment")
    assert (p.op, p.batch, p.channels, p.filters, p.groups) == ("conv", 2, 6, 4, 2)
    assert (p.size, p.kernel, p.stride, p.dilation) == ((4, 9, 8), (1, 3, 2), (1, 2, 1), (1, 1, 3))
    assert p.padding == ((0, 0), (1, 2), (0, 0))
    assert (p.bias, p.dtype, p.symmetric, p.pads) == (False, "float64", False, p.padding)
    assert p.weight_shape == (4, 3, 1, 3, 2)
    assert p.output_shape == (2, 4, 4, 5, 5)


def test_words_of_a_pool():
    p = parse("max n1c64h55w55 r3s3 s2 ceil")
    assert (p.op, p.filters, p.stride, p.ceil, p.output_size) == ("max", 64, (2, 2), True, (27, 27))
    assert parse("avg n1c4w9 s2").stride == (2,)  # the kernel is the default stride
    assert not parse("avg n1c4h9w9 r3s3 p1 nopad").count_include_pad


def test_ceil_drops_a_window_that_starts_in_the_end_padding():
    assert parse("max n1c1h4w4 r2s2 s3 p1").output_size == (2, 2)
    assert parse("max n1c1h4w4 r2s2 s3 p1 ceil").output_size == (2, 2)
    assert parse("max n1c1h5w5 r2s2 s2 ceil").output_size == (3, 3)


@pytest.mark.parametrize("problem", ALL)
def test_every_known_layer_survives_printing(problem):
    assert parse(str(problem)) == problem


def test_shortest_form():
    assert str(parse("n1c64h56w56 k64r3s3 p1x1 s1 d1 g1")) == "n1c64h56w56 k64r3s3 p1"
    assert str(parse("n1c4h8w8 k4r3s3 p1:2x0 s2x1")) == "n1c4h8w8 k4r3s3 p1:2x0 s2x1"
    assert str(parse("max n1c4h8w8 r2s2 s2")) == "max n1c4h8w8 r2s2"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected e.g."),
        ("n1c3h8w8", "expected e.g."),
        ("n1c3h8w8 r3s3", "expected e.g."),
        ("max n1c3h8w8 k3r3s3", "expected e.g."),
        ("n1c3h8w8 k4r3s3 q1", "unknown word 'q1'"),
        ("n1c3h8w8 k4s3", "2 input axes, 1 kernel axes"),
        ("n1c3h8w8 k4r3s3 s1x1x1", "3 values for 2 axes"),
        ("n1c3h8w8 k4r3s3 g2", "not divisible by the groups"),
        ("n1c3h2w2 k4r3s3", "empty output"),
    ],
)
def test_bad_problems_are_explained(text, message):
    with pytest.raises(ValueError, match=message):
        parse(text)


def test_data():
    p = parse("n2c4h7w6 k6r3s2 g2 f64")
    data = p.data("integer", seed=3)
    assert data.input.shape == p.input_shape
    assert data.weight.shape == p.weight_shape
    assert data.bias.shape == (6,)
    assert data.grad_output.shape == p.output_shape
    assert all(a.dtype == np.float64 and np.array_equal(a, a.round()) for a in data)
    assert data.input.std() > 1
    np.testing.assert_array_equal(data.input, p.data("integer", seed=3).input)
    assert p.data().weight.std() == pytest.approx(12**-0.5, rel=0.3)
    assert parse("n1c1h8w8 k1r3s3 nobias").data().bias is None


def test_work():
    p = parse("n1c64h56w56 k64r3s3 p1")
    assert p.flops == 2 * 64 * 64 * 9 * 56 * 56
    assert p.bytes == 4 * (2 * 64 * 56 * 56 + 64 * 64 * 9 + 64)


# ---- timing and reports --------------------------------------------------------------------------


def test_measure_takes_turns():
    order = []
    calls = {name: lambda name=name: order.append(name) for name in "ab"}
    seconds = measure(calls, rounds=9, seconds=1, warm=0)
    assert set(seconds) == {"a", "b"}
    assert all(s > 0 for s in seconds.values())
    turns = [a for a, b in zip(order, [*order[1:], ""], strict=True) if a != b]
    assert len(turns) > 6  # the first calls, then nine rounds in changing order


def _row(label="l", family="3x3", problem="n1c2h4w4 k2r1s1", direction="forward", **seconds):
    return Row(direction, 1, "named", family, label, problem, seconds)


def test_ratio_is_to_the_best_peer():
    row = _row(fastconv=1.0, plan=0.5, torch=3.0, ort=2.0)
    assert (row.best_peer, row.ratio("fastconv"), row.ratio("plan")) == ("ort", 2.0, 4.0)
    assert _row(fastconv=1.0).ratio("fastconv") is None


def test_rate_counts_both_gradients():
    flops = 2 * 2 * 2 * 16
    assert _row(fastconv=1e-9).rate("fastconv") == pytest.approx(flops)
    assert _row(fastconv=1e-9, direction="backward").rate("fastconv") == pytest.approx(2 * flops)


def test_family_table():
    rows = [
        _row("one", fastconv=1.0, torch=2.0),
        _row("two", fastconv=1.0, torch=8.0),
        _row("three", "1x1", fastconv=2.0, torch=1.0),
    ]
    header, three, one, overall = report.family_table(rows)
    assert three[:4] == ["3x3", "2", "4.00x", "2.00x"]
    assert one[:4] == ["1x1", "1", "0.50x", "0.50x"]
    assert overall[:4] == ["all", "3", "2.00x", "0.50x"]
    assert overall[-1] == "three"
    assert len({len(line) for line in (header, three, one, overall)}) == 1


def test_algorithm_table():
    rows = [_row(auto=1.1, im2col=1.0, winograd=3.0), _row(auto=1.0, im2col=1.0)]
    table = report.algorithm_table(rows)
    assert table[1][-2:] == ["im2col", "10 %"]
    assert table[2][4] == ""
    assert report.near_best(rows) == 0.5


def test_sections_and_scaling():
    rows = [
        Row(direction, threads, "named", "1x1", label, "n1c2h4w4 k2r1s1", {"fastconv": seconds})
        for direction, label, threads, seconds in [
            ("forward", "one", 1, 4e-3), ("forward", "one", 2, 2e-3), ("forward", "two", 1, 8e-6),
            ("forward", "two", 2, 8e-6), ("backward", "one", 1, 1e-2),
        ]
    ]  # fmt: skip
    titles = list(report.sections(rows))
    assert titles[0] == "Named sizes: convolution, forward, one thread"
    assert len(titles) == 3
    _, line = report.scaling_table(rows)
    forward = "Named sizes: convolution, forward"
    assert line == [forward, "2", "1.41x", "1.00x", "two", "1", "2.00x"]
    _, line = report.backward_table(rows)
    assert line == ["Named sizes: convolution, one thread", "1", "2.50x", "2.50x", "one"]


def test_a_network_is_a_row_without_a_layer():
    row = Row(
        "training step", 2, "named", "networks", "VGG-16", "1 x 3", {"fastconv": 1, "torch": 3}
    )
    assert list(report.sections([row])) == ["Whole networks, training step, 2 threads"]
    assert report.layer_table([row], 1e9)[1][:8] == [
        "VGG-16",
        "1 x 3",
        "1000",
        "",
        "",
        "torch",
        "3.00x",
        "",
    ]
    assert report.family_table([row])[1][6] == "2x"


def test_results_page_from_kept_rows(tmp_path):
    about = {
        "processor": "P",
        "system": "S",
        "python": "3",
        "peak": 1e9,
        "versions": {"numpy": "2"},
    }
    rows = [_row("one", fastconv=1.0, torch=2.0), _row("two", auto=1.0, im2col=1.0)]
    rows[1] = replace(rows[1], direction="forward by algorithm")
    report.save(tmp_path / "rows.json", about, rows)
    files = ["--rows", str(tmp_path / "rows.json"), "--page", str(tmp_path / "R.md")]
    results.main([*files, "--steps"])
    page = (tmp_path / "R.md").read_text()
    assert "P, S, Python 3; numpy 2. FMA peak of one core 1 GFLOP/s" in page
    assert "| 3x3 | 1 | 2.00x | 2.00x |" in page
    assert "within 5 % of the best row on 100%" in page


def test_json_rows_replace_those_of_the_same_layer(tmp_path):
    path = tmp_path / "rows.json"
    report.save(path, {"peak": 1}, [_row("one", fastconv=1.0), _row("two", fastconv=1.0)])
    rows = report.save(path, {"peak": 2}, [_row("one", fastconv=3.0)])
    assert {row.label: row.seconds["fastconv"] for row in rows} == {"one": 3.0, "two": 1.0}
    assert report.load(path)[0] == {"peak": 2}


def test_plot(tmp_path):
    pytest.importorskip("matplotlib")
    rows = [_row("one", fastconv=1.0, plan=0.5, torch=2.0), _row("two", fastconv=3.0, torch=2.0)]
    report.save(tmp_path / "rows.json", {"peak": 1}, rows)
    plot.main([str(tmp_path / "rows.json"), str(tmp_path / "ratios.svg")])
    assert (tmp_path / "ratios.svg").stat().st_size > 1000
    with pytest.raises(ValueError, match="no layer has both"):
        plot.draw([_row(torch=1.0)], tmp_path / "none.svg")
