"""``fastconv train`` and ``fastconv predict``, run as a person would."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from fastconv.cli import main
from fastconv.data import Digits
from fastconv.data.digits import enlarge_digits, scan_digit
from fastconv.serialization import load_metadata, load_weights, save_weights

pytest.importorskip("matplotlib")
pytest.importorskip("tqdm")
Image = pytest.importorskip("PIL.Image")

QUICK = ["--epochs", "2", "--batch-size", "64", "--threads", "1"]


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


WRITTEN = {
    "checkpoint.safetensors",
    "weights.safetensors",
    "curves.png",
    "kernels.png",
    "mistakes.png",
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of ``fastconv train`` with its own settings."""
    folder = tmp_path_factory.mktemp("run")
    # One thread, for tests share their machine; results are the same for any number.
    assert main(["train", "--output", str(folder), "--threads", "1"]) == 0
    return folder


def test_the_main_job_learns_the_digits(run: Path) -> None:
    assert names(run) == WRITTEN
    metadata = load_metadata(run / "weights.safetensors")
    assert float(metadata["accuracy"]) >= 0.97
    assert metadata["model"] == "simple_cnn"
    assert sum(a.size for a in load_weights(run / "weights.safetensors").values()) == 10_002
    for name in ("curves.png", "kernels.png", "mistakes.png"):
        with Image.open(run / name) as picture:
            assert min(picture.size) > 100


def test_predict_names_digits_of_any_size_and_polarity(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    digits = Digits(False)
    rng = np.random.default_rng(0)
    paths, expected = [], []
    for i in rng.choice(len(digits), 40, replace=False):
        picture = Image.fromarray(digits.data[i][..., 0])
        side = int(rng.integers(24, 200))
        sheet = Image.new("L", (int(side * 1.6), int(side * 1.4)), 0)
        offset = int(rng.integers(0, side * 6 // 10)), int(rng.integers(0, side * 4 // 10))
        sheet.paste(picture.resize((side, side), Image.Resampling.BICUBIC), offset)
        if i % 2:
            sheet = Image.eval(sheet, lambda value: 255 - value)  # dark on light
        paths.append(tmp_path / f"{i}.png")
        sheet.save(paths[-1])
        expected.append(int(digits.targets[i]))
    assert main(["predict", str(run / "weights.safetensors"), *map(str, paths)]) == 0
    lines = capsys.readouterr().out.splitlines()
    said = [line.rsplit(": ", 1)[1] for line in lines]
    assert all(line.startswith(f"{path}: ") for line, path in zip(lines, paths, strict=True))
    assert all(text.endswith(" %)") for text in said)
    right = sum(int(text[0]) == label for text, label in zip(said, expected, strict=True))
    assert right >= 36
    assert main(["predict", str(run / "weights.safetensors"), str(paths[0]), "--top", "3"]) == 0
    assert capsys.readouterr().out.count("%") == 3


def test_a_scan_of_a_picture_is_the_scan_it_came_from() -> None:
    digits = Digits(False)
    alike = []
    for picture in digits.data[:50, ..., 0]:
        scan = scan_digit(picture)
        assert scan.shape == (8, 8)
        assert scan.min() >= 0
        assert scan.max() <= 16.001
        again = enlarge_digits(scan[None])[0]
        alike.append(np.corrcoef(again.ravel(), picture.ravel())[0, 1])
        np.testing.assert_allclose(scan_digit(255 - picture), scan, atol=1.0)
    assert min(alike) > 0.5
    assert np.mean(alike) > 0.9
    with pytest.raises(ValueError, match="blank"):
        scan_digit(np.full((20, 20, 3), 255, np.uint8))


def test_a_resumed_run_is_the_same_run(tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    options = ["--batch-size", "64", "--augment", "--seed", "7", "--threads", "1"]
    assert main(["train", "--epochs", "3", "--output", str(whole), *options]) == 0
    # One epoch of three, as an interrupt leaves it.
    script = (
        "import sys; from fastconv.cli import main, train; keep = train.save_checkpoint\n"
        "def save(*a):\n    keep(*a)\n    raise KeyboardInterrupt\n"
        "train.save_checkpoint = save\n"
        f"sys.exit(main(['train', '--epochs', '3', '--output', {str(parts)!r}, *{options!r}]))"
    )
    stopped = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert stopped.returncode == 130, stopped.stderr
    assert f"--resume {parts}" in stopped.stdout
    assert names(parts) == {"checkpoint.safetensors"}
    assert main(["train", "--resume", str(parts), "--workers", "2", "--threads", "1"]) == 0
    a, b = (load_weights(folder / "weights.safetensors") for folder in (whole, parts))
    for name in a:
        np.testing.assert_array_equal(a[name], b[name])
    assert names(parts) == WRITTEN


def test_more_epochs_for_a_finished_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(tmp_path / "run")
    assert main(["train", *QUICK, "--output", folder]) == 0
    assert main(["train", "--resume", folder]) == 2
    assert "ask for more with --epochs" in capsys.readouterr().err
    assert main(["train", "--resume", folder, "--epochs", "3", "--threads", "1"]) == 0
    _, _, run = _checkpoint(tmp_path / "run")
    assert len(run["history"]) == 3
    assert main(["train", "--resume", folder, "--lr", "0.1"]) == 2
    assert "leave out --lr" in capsys.readouterr().err


def _checkpoint(folder: Path):
    from fastconv.cli.checkpoint import load_checkpoint

    return load_checkpoint(folder / "checkpoint.safetensors")


@pytest.fixture
def heeds_interrupts() -> Iterator[None]:
    """A shell starts what runs in its background with SIGINT ignored, and children inherit that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heeds_interrupts")
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_training_leaves_whole_files(tmp_path: Path, sent: signal.Signals) -> None:
    folder = tmp_path / "run"
    command = [sys.executable, "-m", "fastconv", "train", "--epochs", "500", "--output", folder]
    command += ["--threads", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + 120
        while not (folder / "checkpoint.safetensors").exists():
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(sent)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert b"--resume" in out
    assert b"Traceback" not in err
    assert names(folder) == {"checkpoint.safetensors"}
    _checkpoint(folder)


def test_a_folder_of_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(1)
    pictures = tmp_path / "pictures"
    for name, colour in (("blue", (20, 30, 200)), ("red", (200, 30, 20))):
        (pictures / name).mkdir(parents=True)
        for i in range(15):
            noise = rng.integers(-20, 20, size=(24 + i, 40, 3))
            pixels = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(pictures / name / f"{i}.png")
    out = tmp_path / "run"
    command = ["train", "--data", str(pictures), "--epochs", "6", "--augment", "--lr", "0.05"]
    assert main([*command, "--output", str(out)]) == 0
    assert json.loads(load_metadata(out / "weights.safetensors")["classes"]) == ["blue", "red"]
    capsys.readouterr()
    assert main(["predict", str(out / "weights.safetensors"), str(pictures / "red/3.png")]) == 0
    assert "red (" in capsys.readouterr().out


BAD_TRAIN = [
    (["--model", "resnet9000"], "invalid choice"),
    (["--epochs", "0"], "expected a positive number"),
    (["--epochs", "many"], "invalid"),
    (["--lr", "nan"], "expected a positive number"),
    (["--momentum", "1"], "from 0 to below 1"),
    (["--seed", "-1"], "from 0 on"),
    (["--data", "nowhere"], "neither digits, mnist, cifar10 nor a folder"),
    (["--size", "99999"], "--size must be at most"),
    (["--size", "64"], "does not take pictures of 64x64"),
    (["--resume", "nowhere"], "--resume"),
    (["--bogus"], "unrecognized arguments"),
]


@pytest.mark.parametrize(("options", "message"), BAD_TRAIN)
def test_bad_options(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    out = tmp_path / "run"
    try:
        code = main(["train", "--output", str(out), *options])
    except SystemExit as stop:  # argparse
        code = stop.code
    assert code == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert not out.exists()


def test_bad_folders_and_checkpoints(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def fails(*command: str) -> str:
        assert main([*command]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1, error
        return error

    (tmp_path / "empty").mkdir()
    assert "no sub-folders" in fails("train", "--data", str(tmp_path / "empty"))
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(b"nonsense")
    assert "not a safetensors file" in fails("train", "--resume", str(bad))
    save_weights(bad, {"w": np.zeros(3)})
    assert "not a checkpoint" in fails("train", "--resume", str(bad))
    save_weights(bad, {"w": np.zeros(3)}, {"run": "[1]"})
    assert "not a checkpoint" in fails("train", "--resume", str(bad))
    assert "model" in fails("predict", str(bad), "a.png")
    save_weights(bad, {"w": np.zeros(3)}, {"model": "simple_cnn"})
    assert "does not describe a network" in fails("predict", str(bad), "a.png")
    assert "no such file" in fails("predict", str(tmp_path / "no.npz"), "a.png").lower()
    (tmp_path / "file").write_text("")
    assert "--output" in fails("train", "--output", str(tmp_path / "file"))


def test_bad_pictures(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = str(run / "weights.safetensors")
    assert main(["predict", weights, str(tmp_path / "none.png")]) == 2
    assert "no such file" in capsys.readouterr().err
    (tmp_path / "a.png").write_bytes(b"nothing")
    assert main(["predict", weights, str(tmp_path / "a.png")]) == 2
    assert "not a picture" in capsys.readouterr().err
    Image.new("RGB", (30, 30), "white").save(tmp_path / "a.png")
    assert main(["predict", weights, str(tmp_path / "a.png")]) == 2
    assert "blank" in capsys.readouterr().err
    assert main(["predict", weights, str(tmp_path / "a.png"), "--top", "0"]) == 2


@pytest.mark.parametrize("package", ["tqdm", "matplotlib", "PIL"])
def test_without_the_extra_it_says_what_to_install(tmp_path: Path, package: str) -> None:
    script = (
        f"import sys; sys.modules[{package!r}] = None\n"
        "from fastconv.cli import main\n"
        f"sys.exit(main(['train', '--output', {str(tmp_path / 'run')!r}]))"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert result.returncode == 2
    assert "pip install 'fastconv[cli]'" in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_is_not_writable(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tmp_path.chmod(0o500)
    assert main(["train", "--output", str(tmp_path)]) == 2
    assert "not writable" in capsys.readouterr().err


@pytest.mark.parametrize("data", ["mnist", "cifar10"])
def test_downloaded_data_sets(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], data: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fastconv.data.download as download
    from test_data_readers import cifar_records, write_cifar_archive, write_mnist

    def offline(*args: object, **kwargs: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(download.urllib.request, "urlopen", offline)
    root, out = tmp_path / "data", tmp_path / "run"
    command = ["train", "--data", data, "--root", str(root), "--output", str(out), *QUICK]
    assert main(command) == 2
    error = capsys.readouterr().err
    assert "no network" in error
    assert f"into {root}" in error
    assert error.count("\n") == 1
    assert not out.exists()
    if data == "mnist":
        (root / "MNIST" / "raw").rmdir()
        (root / "MNIST").rmdir()
        write_mnist(root, count=40)
    else:
        write_cifar_archive(root / "cifar-10-binary.tar.gz", cifar_records(40)[0])
    assert main([*command, "--augment"]) == 0
    assert names(out) == WRITTEN
    assert load_metadata(out / "weights.safetensors")["data"] == data
