"""Layers beside PyTorch's: text, state, results; refusals, initial weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastconv
import fastconv.nn as nn
import fastconv.nn.functional as F
from gradients import torch

LAYERS = [
    "Conv1d(3, 6, 5, 2, 1)",
    "Conv2d(3, 6, (3, 5), stride=2, padding=(1, 2), groups=3, bias=False)",
    "Conv2d(3, 6, 3, padding='same', padding_mode='reflect')",
    "Conv3d(3, 6, 3, dilation=2)",
    "ConvTranspose2d(4, 6, 3, 2, 1, 1, groups=2)",
    "Linear(3, 4, bias=False)",
    "Embedding(10, 3)",
    "Embedding(10, 3, padding_idx=-1, max_norm=1.0, scale_grad_by_freq=True)",
    "BatchNorm2d(5)",
    "InstanceNorm1d(5, affine=True)",
    "GroupNorm(2, 6)",
    "LayerNorm((3, 4))",
    "LocalResponseNorm(5)",
    "MaxPool2d(3, 2, ceil_mode=True)",
    "AvgPool2d(3)",
    "AdaptiveAvgPool2d((1, None))",
    "AdaptiveMaxPool1d(3)",
    "LPPool2d(2, 3)",
    "MaxUnpool2d(2)",
    "ReLU()",
    "ReLU(inplace=True)",
    "ReLU6()",
    "LeakyReLU(0.2)",
    "ELU(1.5, inplace=True)",
    "GELU()",
    "SiLU()",
    "Hardswish()",
    "Hardtanh(-2.0, 2.0)",
    "PReLU(3)",
    "Softmax(dim=1)",
    "Sigmoid()",
    "Softplus()",
    "Threshold(0.1, 20)",
    "Dropout(0.3)",
    "Dropout2d()",
    "Flatten()",
    "Unflatten(1, (2, 3))",
    "Identity()",
    "ZeroPad2d(2)",
    "ConstantPad1d(2, 1.5)",
    "ReflectionPad2d((1, 2, 3, 0))",
    "ReplicationPad3d(1)",
    "CircularPad1d(1)",
    "Upsample(scale_factor=2)",
    "Upsample((3, 4), mode='bilinear')",
    "PixelShuffle(2)",
    "PixelUnshuffle(2)",
    "ChannelShuffle(2)",
    "Unfold(3)",
    "Fold(4, 3)",
    "CrossEntropyLoss()",
    "MSELoss()",
    "Sequential(nn.Conv2d(1, 2, 3), nn.Sequential(nn.ReLU(), nn.Flatten()))",
    "ModuleDict({'a': nn.ReLU()})",
]


@pytest.mark.skipif(torch is None, reason="compares with PyTorch")
@pytest.mark.parametrize("source", LAYERS)
def test_text_and_state_as_pytorch(source: str) -> None:
    ours, theirs = eval(f"nn.{source}", {"nn": nn}), eval(f"nn.{source}", {"nn": torch.nn})
    assert repr(ours) == repr(theirs)
    mine, peers = ours.state_dict(), theirs.state_dict()
    assert [(k, v.shape, v.dtype.name) for k, v in mine.items()] == [
        (k, tuple(v.shape), str(v.dtype).removeprefix("torch.")) for k, v in peers.items()
    ]


RUNS = [
    ("Conv1d(3, 6, 5, 2, 1)", (2, 3, 9)),
    ("Conv2d(3, 6, 3, padding='same', padding_mode='reflect')", (2, 3, 5, 6)),
    ("Conv2d(3, 6, 3, 2, 2, padding_mode='circular')", (2, 3, 5, 6)),
    ("Conv2d(3, 6, 3, 1, (3, 1), padding_mode='replicate')", (2, 3, 5, 6)),
    ("ConvTranspose1d(3, 6, 4, 3, 1, 2)", (2, 3, 5)),
    ("ConvTranspose3d(3, 2, 2, 2)", (1, 3, 2, 3, 2)),
    ("BatchNorm1d(3)", (4, 3)),
    ("BatchNorm1d(3, momentum=None)", (4, 3, 5)),
    ("BatchNorm2d(3, affine=False)", (4, 3, 2, 2)),
    ("BatchNorm2d(3, track_running_stats=False)", (4, 3, 2, 2)),
    ("BatchNorm3d(3)", (4, 3, 2, 2, 1)),
    ("InstanceNorm2d(3, affine=True, track_running_stats=True)", (4, 3, 2, 3)),
    ("InstanceNorm1d(3)", (3, 5)),
    ("PReLU(3)", (2, 3, 4)),
    ("Bilinear", None),
    ("Softmax2d()", (2, 3, 4, 4)),
    ("LPPool1d(2, 2)", (2, 3, 8)),
    ("Upsample(scale_factor=2, mode='bilinear')", (1, 2, 3, 4)),
    ("UpsamplingBilinear2d(5)", (1, 2, 3, 4)),
    ("UpsamplingNearest2d(scale_factor=3)", (1, 2, 3, 4)),
]


@pytest.mark.skipif(torch is None, reason="compares with PyTorch")
@pytest.mark.parametrize(("source", "shape"), [r for r in RUNS if r[1]])
def test_layers_run_as_pytorch(source: str, shape: tuple[int, ...]) -> None:
    ours, theirs = eval(f"nn.{source}", {"nn": nn}), eval(f"nn.{source}", {"nn": torch.nn})
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    rng = np.random.default_rng(0)
    for training in (True, True, False):
        ours.train(training)
        theirs.train(training)
        x = rng.normal(2, 3, shape).astype(np.float32)
        y = ours(fastconv.tensor(x)).detach().numpy()
        expected = theirs(torch.tensor(x)).detach().numpy()
        np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)
    for (key, mine), peer in zip(
        ours.state_dict().items(), theirs.state_dict().values(), strict=True
    ):
        np.testing.assert_allclose(mine.numpy(), peer.numpy(), rtol=1e-5, err_msg=key)


def test_output_size_of_transposed_convolution() -> None:
    layer = nn.ConvTranspose2d(2, 3, 3, stride=2, padding=1)
    x = fastconv.ones(1, 2, 6, 6)
    assert layer(x).shape == (1, 3, 11, 11)
    assert layer(x, output_size=(12, 11)).shape == (1, 3, 12, 11)
    with pytest.raises(ValueError, match=r"requested an output size of \(13, 13\)"):
        layer(x, output_size=(13, 13))


BAD = [
    (lambda: nn.Conv2d(3, 4, 3, groups=2), "in_channels must be divisible by groups"),
    (lambda: nn.Conv2d(4, 3, 3, groups=2), "out_channels must be divisible by groups"),
    (lambda: nn.Conv2d(4, 4, 3, groups=0), "groups must be a positive integer"),
    (lambda: nn.Conv2d(4, 4, 3, padding="full"), "padding must be"),
    (lambda: nn.Conv2d(4, 4, 3, stride=2, padding="same"), "not supported for strided"),
    (lambda: nn.Conv2d(4, 4, 3, padding_mode="mirror"), "padding_mode must be one of"),
    (lambda: nn.Conv2d(4, 4, 0), "must be positive"),
    (lambda: nn.Conv2d(4, 4, 3, stride=0), "must be positive"),
    (lambda: nn.ConvTranspose2d(4, 4, 3, padding="same"), "padding must be numbers"),
    (lambda: nn.ConvTranspose2d(4, 4, 3, padding_mode="reflect"), "Only 'zeros'"),
    (lambda: nn.GroupNorm(2, 3), "divisible by num_groups"),
    (lambda: nn.Dropout(2), "between 0 and 1"),
    (lambda: nn.ZeroPad2d((1, 2)), "padding must be an int or 4 ints"),
    (lambda: nn.BatchNorm2d(3)(fastconv.ones(2, 3)), r"expected 4D input \(got 2D input\)"),
]


@pytest.mark.parametrize(("call", "message"), BAD)
def test_bad_input(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_initial_weights() -> None:
    fastconv.manual_seed(0)
    conv = nn.Conv2d(8, 64, 3, groups=2)
    bound = 1 / np.sqrt(4 * 9)
    weight = conv.weight.detach().numpy()
    assert np.abs(weight).max() <= bound
    assert abs(weight.std() - bound / np.sqrt(3)) < 0.05 * bound
    w = fastconv.empty(256, 128, 3, 3)
    nn.init.kaiming_normal_(w, mode="fan_out", nonlinearity="relu")
    assert abs(w.numpy().std() - np.sqrt(2 / (256 * 9))) < 1e-3
    nn.init.xavier_uniform_(w)
    assert abs(np.abs(w.numpy()).max() - np.sqrt(6 / (384 * 9))) < 1e-3
    nn.init.trunc_normal_(w, std=1.0, a=-0.5, b=2)
    assert w.numpy().min() >= -0.5
    q = nn.init.orthogonal_(fastconv.empty(5, 8)).numpy()
    np.testing.assert_allclose(q @ q.T, np.eye(5), atol=1e-6)
    d = nn.init.dirac_(fastconv.empty(3, 3, 3, 3)).numpy()
    x = np.random.default_rng(0).normal(size=(1, 3, 5, 5)).astype(np.float32)
    np.testing.assert_allclose(F.conv2d(x, d, padding=1), x)
    assert nn.init.constant_(w, 2.0).numpy().min() == 2
    assert nn.init.calculate_gain("leaky_relu", 0.2) == pytest.approx(np.sqrt(2 / 1.04))
    with pytest.raises(ValueError, match="fewer than 2 dimensions"):
        nn.init.kaiming_uniform_(fastconv.empty(3))
