"""The examples run, and show what the lecture claims."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import fastconv

pytestmark = pytest.mark.timeout(900)  # seconds each, but on a busy machine minutes
EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture(autouse=True)
def one_thread_and_the_examples(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Results are the same for any number of threads; one is quickest on a shared machine."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    before = fastconv.get_num_threads()
    fastconv.set_num_threads(1)
    yield
    fastconv.set_num_threads(before)
    for path in EXAMPLES.glob("*.py"):
        sys.modules.pop(path.stem, None)


def test_the_operator_slides_multiplies_and_sums() -> None:
    example = importlib.import_module("convolution")
    rng = np.random.default_rng(0)
    picture, kernel = rng.integers(0, 9, (7, 8)), rng.integers(-3, 4, (3, 2))
    by_hand = example.by_hand(picture, kernel)
    by_fastconv = example.by_fastconv(picture.astype(np.float64), kernel.astype(np.float64))
    np.testing.assert_array_equal(by_hand, by_fastconv)
    for i, k, p, s, out in example.sizes():
        assert out == (i + 2 * p - k) // s + 1 == fastconv.conv_output_size(i, k, s, p)
    assert example.colour_features() == (5, 21, 21)
    assert example.film().shape == (8, 32, 32, 3)


def test_geometry_matters() -> None:
    results = importlib.import_module("geometry").compare(epochs=6)
    (many, perceptron), (few, cnn) = results["perceptron"], results["SimpleCNN"]
    assert few * 19 < many
    assert cnn > perceptron + 0.15


def test_augmentation_helps_generalisation() -> None:
    results = importlib.import_module("augmentation").compare(epochs=6)
    assert results["with"][1] > results["without"][1] + 0.08
    assert results["with"][0] > 0.88  # and the digits as they are stay known


def test_pointwise_convolutions() -> None:
    example = importlib.import_module("pointwise")
    assert example.is_a_matrix_product() < 1e-12
    assert example.learn_a_pixelwise_map(relu=True) < 0.01
    assert example.learn_a_pixelwise_map(relu=False) > 0.1
    direct, through = example.bottleneck_parameters()
    assert 8 * through < direct


def test_auxiliary_losses_reach_the_first_layer() -> None:
    example = importlib.import_module("auxiliary_losses")
    assert example.first_layer_gradient(0.3) > 5 * example.first_layer_gradient(0.0)
    assert example.train(0.3) > example.train(0.0) + 0.3


def test_residual_networks_train_deep_where_plain_ones_do_not() -> None:
    example = importlib.import_module("residual")
    plain, residual = example.train(False, False, 3), example.train(True, False, 3)
    assert plain[0] > 2.2  # ln 10 = 2.30 is guessing
    assert residual[0] < 0.8
    assert residual[1] > plain[1] + 0.5
    # Batch norm helps both, and the skips still help beside it.
    plain_norm, residual_norm = example.train(False, True, 3), example.train(True, True, 3)
    assert plain_norm[0] < plain[0] - 0.3
    assert residual_norm[0] < residual[0]
    assert residual_norm[0] < plain_norm[0] - 0.3


def test_transfer_learning_beats_starting_from_nothing() -> None:
    results = importlib.import_module("transfer").compare()
    assert results["frozen"] > results["from scratch"] + 0.02
    assert results["fine-tuned"] > results["from scratch"] + 0.02
    assert results["fine-tuned"] > results["frozen"] - 0.01


@pytest.mark.parametrize("name", ["convolution", "pointwise"])
def test_examples_print(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    sys.argv[1:], keep = [], sys.argv[1:]
    try:
        importlib.import_module(name).main()
    finally:
        sys.argv[1:] = keep
    assert capsys.readouterr().out.count("\n") > 2


def test_every_example_says_how_to_run_it() -> None:
    scripts = [path for path in EXAMPLES.glob("*.py") if path.stem != "common"]
    assert len(scripts) >= 7
    for path in scripts:
        assert f"python examples/{path.name}" in path.read_text()
