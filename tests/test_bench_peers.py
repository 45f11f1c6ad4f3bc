"""The contestants of the benchmarks agree, and the comparison's command line works."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

import compare
import functions
import peers
import reference
from problems import parse

# ---- the peers -----------------------------------------------------------------------------------

SMALL = [
    "n2c4h9w8 k6r3s3 p1",
    "n1c4h9w8 k6r3s2 p1x0 s2x1 d1x2 g2",
    "n1c3h8w9 k4r2s2 p0:1x1:0 nobias",
    "n2c3w20 k4s5 p2",
    "n1c3d4h5w6 k4t3r3s3 p1",
    "max n2c3h9w8 r3s3 s2 p1",
    "max n1c3h9w9 r2s2 ceil",
    "avg n2c3h9w8 r3s3 s2 p1",
    "avg n1c3h9w8 r3s3 s2 p1 nopad",
    "max n1c3w11 s3 s2",
    "avg n1c2d4h6w6 t2r2s2",
]


@pytest.mark.parametrize("direction", ["forward", "backward"])
@pytest.mark.parametrize("text", SMALL)
def test_installed_peers_agree(text, direction):
    problem = parse(text)
    data = problem.data()
    results = {}
    for name, prepare in peers.available().items():
        call = prepare(problem, direction, data)
        if call is not None:
            results[name] = call()
            assert peers.largest_error(results["fastconv"], results[name]) < 1e-5, name


def test_numpy_peer_matches_the_reference():
    problem = parse("n2c4h9w8 k6r3s2 p1x0 s2x1 g2")
    data = problem.data("integer")
    got = peers.numpy_peer(problem, "forward", data)()
    geometry = (problem.stride, problem.padding, problem.dilation, problem.groups)
    want = reference.conv(data.input, data.weight, data.bias, *geometry)
    np.testing.assert_array_equal(got, want)


def test_unknown_peer_is_refused():
    with pytest.raises(ValueError, match="peer 'tpu': expected one of fastconv"):
        peers.available(["tpu"])


def test_missing_peer_is_left_out(monkeypatch, capsys):
    monkeypatch.setitem(peers.PEERS, "absent", (("no_such_package",), lambda threads: None))
    assert peers.available(["absent"]) == {}
    assert "absent left out (no_such_package not installed)" in capsys.readouterr().out


def test_largest_error():
    assert peers.largest_error(np.array([2.0, 4.0]), np.array([2.0, 5.0])) == 0.25
    assert peers.largest_error(np.zeros(2), np.zeros(3)) == math.inf
    assert peers.largest_error((np.ones(2), None), (np.ones(2), None)) == 0


# ---- the command line ----------------------------------------------------------------------------

QUICK = ["--seconds", "0", "--rounds", "1", "--peers", "fastconv", "numpy"]


@pytest.mark.parametrize("problem", ["n1c2h6w6 k3r3s3 p1", "max n1c2h6w6 r2s2"])
def test_compare_writes_its_files(problem, tmp_path, capsys):
    files = ["--json", str(tmp_path / "r.json"), "--markdown", str(tmp_path / "r.md")]
    assert compare.main([*QUICK, "--problem", problem, *files]) == 0
    assert problem in capsys.readouterr().out
    seconds = json.loads((tmp_path / "r.json").read_text())["rows"][0]["seconds"]
    assert set(seconds) >= {"fastconv", "numpy"}
    text = (tmp_path / "r.md").read_text()
    assert text.startswith("# Results")
    assert f"| {problem} |" in text


@pytest.mark.parametrize("direction", ["forward", "input", "weight"])
def test_compare_walks_the_algorithms(direction, capsys):
    chosen = ["--algorithms", "--direction", direction, "--problem", "n1c4h9w9 k4r3s3 p1"]
    assert compare.main([*QUICK[:4], *chosen]) == 0
    out = capsys.readouterr().out
    assert "im2col" in out
    assert "within 5 % of the best row" in out


def test_compare_refuses_wrong_results(monkeypatch):
    monkeypatch.setattr(compare.peers, "largest_error", lambda ours, theirs: 1.0)
    with pytest.raises(SystemExit, match="differs from"):
        compare.main([*QUICK, "--problem", "n1c2h6w6 k3r3s3"])


def test_compare_refuses_unknown_families(capsys):
    with pytest.raises(SystemExit):
        compare.main(["--family", "5x5"])
    assert "expected one of 3x3" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        compare.main(["--algorithms", "--direction", "backward"])


# ---- operators beside PyTorch --------------------------------------------------------------------


@pytest.mark.parametrize("direction", ["forward", "backward"])
@pytest.mark.parametrize("family", list(functions.OPERATORS))
def test_operators_agree_with_torch(direction, family):
    pytest.importorskip("torch")
    for operator in functions.OPERATORS[family].values():
        for last in (False, True):
            calls = functions.contestants(
                operator, direction, "float32", last, ["fastconv", "torch"]
            )
            assert set(calls) == {"fastconv", "torch"}


def test_operators_command(tmp_path, capsys):
    quick = ["--rounds", "1", "--seconds", "0", "--match", "gelu tanh"]
    assert functions.main([*quick, "--json", str(tmp_path / "r.json")]) == 0
    assert "Operators bound by memory, forward, one thread" in capsys.readouterr().out
    rows = json.loads((tmp_path / "r.json").read_text())["rows"]
    assert [row["direction"] for row in rows] == ["forward", "backward"]
