"""``fastconv filter``, ``info``, ``explain`` and ``bench``."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fastconv import image
from fastconv.cli import main
from fastconv.cli.problems import parse_problem
from fastconv.serialization import save_weights

Image = pytest.importorskip("PIL.Image")
RNG = np.random.default_rng(3)
PHOTO = RNG.integers(0, 256, size=(40, 50, 3), dtype=np.uint8)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    Image.fromarray(PHOTO).save(tmp_path / "in.png")
    return tmp_path / "in.png"


def fails(capsys: pytest.CaptureFixture[str], *command: str) -> str:
    """The one line that a refused command prints."""
    assert main([*command]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1, error
    return error


@pytest.mark.parametrize("name", image.FILTERS)
def test_filters(photo: Path, tmp_path: Path, name: str) -> None:
    out = tmp_path / "out.png"
    assert main(["filter", name, str(photo), str(out)]) == 0
    with Image.open(out) as result:
        np.testing.assert_array_equal(np.asarray(result), image.FILTERS[name](PHOTO))


def test_filter_settings_and_formats(photo: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.bmp"
    assert main(["filter", "blur", str(photo), str(out), "--size", "9", "--border", "wrap"]) == 0
    with Image.open(out) as result:
        expected = image.blur(PHOTO, 9, border="wrap")
        np.testing.assert_array_equal(np.asarray(result), expected)
    assert main(["filter", "vintage", str(photo), str(tmp_path / "out.jpg")]) == 0
    kernel = "0,-1,0; -1,5,-1; 0,-1,0"
    assert main(["filter", "kernel", str(photo), str(out), "--kernel", kernel]) == 0
    with Image.open(out) as result:
        expected = image.filter2d(PHOTO, [[0, -1, 0], [-1, 5, -1], [0, -1, 0]])
        np.testing.assert_array_equal(np.asarray(result), expected)


def test_an_animation_is_filtered_frame_by_frame(tmp_path: Path) -> None:
    levels = (0, 85, 170, 255)
    frames = [Image.new("L", (12, 10), level) for level in levels]
    source, out = tmp_path / "in.gif", tmp_path / "out.gif"
    frames[0].save(source, save_all=True, append_images=frames[1:], duration=70)
    assert main(["filter", "blur", str(source), str(out)]) == 0
    with Image.open(out) as result:
        assert result.n_frames == 4
        assert result.info["duration"] == 70
        for i, level in enumerate(levels):
            result.seek(i)
            assert abs(int(np.asarray(result.convert("L")).mean()) - level) < 4


def test_filter_refuses(photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.png"
    given = str(photo), str(out)
    assert "no such file" in fails(capsys, "filter", "blur", str(tmp_path / "no.png"), str(out))
    assert "no picture format" in fails(capsys, "filter", "blur", str(photo), "out.xyz")
    assert "odd" in fails(capsys, "filter", "blur", *given, "--size", "4")
    assert "no meaning" in fails(capsys, "filter", "blur", *given, "--sigma", "4")
    assert "no meaning" in fails(capsys, "filter", "blur", *given, "--kernel", "1")
    assert "needs --kernel" in fails(capsys, "filter", "kernel", *given)
    for kernel in ("", "1,2;3", "a", "1;;2"):
        assert "--kernel" in fails(capsys, "filter", "kernel", *given, "--kernel", kernel)
    assert "No such file" in fails(capsys, "filter", "blur", str(photo), str(tmp_path / "a/b.png"))
    photo.write_bytes(b"nothing")
    assert "not a picture" in fails(capsys, "filter", "blur", *given)
    assert not out.exists()
    assert [p.name for p in tmp_path.iterdir()] == ["in.png"]


def test_info(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info"]) == 0
    shown = capsys.readouterr().out
    assert "isa" in shown
    assert "resnet50" in shown
    for suffix in (".safetensors", ".npz"):
        path = tmp_path / f"w{suffix}"
        save_weights(path, {"conv.weight": np.zeros((2, 3), np.float32)}, {"model": "x"})
        assert main(["info", str(path)]) == 0
        shown = capsys.readouterr().out
        assert "conv.weight  float32  2x3" in shown
        assert "1 tensors, 6 numbers" in shown
        assert "model: x" in shown
    path.write_bytes(b"nothing")
    assert "not an .npz archive" in fails(capsys, "info", str(path))
    assert "suffix" in fails(capsys, "info", str(tmp_path))


def test_explain(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "n1c64h56w56", "k64r3s3", "p1"]) == 0
    assert "im2col" in capsys.readouterr().out
    assert main(["explain", "n1c8w50 k4s3", "--direction", "weight", "--dtype", "float64"]) == 0
    for problem in (
        "n1c64",
        "n1c3h8w8 k4s3",
        "n1c3w8 k4s3 q1",
        "n1c3w8 k4s3 p1x1",
        "n1c3w8 k4s3 g0",
    ):
        assert "is no convolution" in fails(capsys, "explain", problem)
    assert "too large" in fails(capsys, "explain", "n99999c999h999w999 k1r1s1")
    assert fails(capsys, "explain", "n1c3w2 k4s3")


def test_problems() -> None:
    problem = parse_problem("n2c6d3h8w9 k4t1r3s5 s2x1x3 p1 g2 d2")
    assert problem.input_shape == (2, 6, 3, 8, 9)
    assert problem.weight_shape == (4, 3, 1, 3, 5)
    assert (problem.stride, problem.padding, problem.dilation) == ((2, 1, 3), (1,) * 3, (2,) * 3)
    assert problem.groups == 2


def test_bench(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["bench", "n1c4h9w9 k4r3s3 p1 g2", "n2c3w20 k4s3", "--seconds", "0.01"]
    assert main([*command, "--alone"]) == 0
    assert capsys.readouterr().out.count("backward") == 2
    assert main(command) == 0
    assert "--seconds" in fails(capsys, "bench", "--seconds", "0")
    assert "is no convolution" in fails(capsys, "bench", "nonsense")
    assert "--threads" in fails(capsys, "bench", "--threads", "0")
    assert fails(capsys, "bench", "n1c3w2 k4s3", "--alone")


def test_as_a_module_and_without_arguments() -> None:
    command = [sys.executable, "-m", "fastconv"]
    shown = subprocess.run([*command, "--help"], capture_output=True, text=True)
    assert shown.returncode == 0
    for name in ("train", "predict", "filter", "info", "explain", "bench"):
        assert name in shown.stdout
    assert subprocess.run(command, capture_output=True).returncode == 2


def test_a_reader_that_goes_away_is_no_error() -> None:
    # The reader has gone before anything is written, not just perhaps.
    script = f"(sleep 0.5; exec {sys.executable} -m fastconv info) | true; exit ${{PIPESTATUS[0]}}"
    # Output that waits in a buffer meets the closed pipe as late as it can.
    env = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
    result = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=env)
    assert result.returncode in (0, 141)
    assert "Traceback" not in result.stderr
