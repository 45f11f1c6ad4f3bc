"""The models: torchvision's parameter names and counts, shapes, gradients, files of weights."""

import os
from pathlib import Path

import numpy as np
import pytest

import fastconv
from fastconv import Tensor, models
from fastconv.serialization import save_weights

RNG = np.random.default_rng(2)

# (parameters with 1000 classes, entries of the state dictionary), as published by torchvision
SIZES = {
    "googlenet": (13_004_888, 364),
    "mobilenet_v2": (3_504_872, 314),
    "resnet18": (11_689_512, 122),
    "resnet34": (21_797_672, 218),
    "resnet50": (25_557_032, 320),
    "resnet101": (44_549_160, 626),
    "resnext50_32x4d": (25_028_904, 320),
    "vgg11": (132_863_336, 22),
}

# A few of torchvision's names per model: where ours could plausibly differ.
NAMES = {
    "googlenet": [
        "conv1.conv.weight",
        "conv1.bn.running_mean",
        "inception4e.branch1.bn.weight",
        "inception3a.branch2.1.conv.weight",
        "inception5b.branch4.1.conv.weight",
        "aux1.conv.conv.weight",
        "aux2.fc2.bias",
        "fc.weight",
    ],
    "mobilenet_v2": [
        "features.0.0.weight",
        "features.1.conv.0.0.weight",
        "features.1.conv.1.weight",
        "features.2.conv.1.1.num_batches_tracked",
        "features.17.conv.3.running_var",
        "features.18.1.bias",
        "classifier.1.weight",
    ],
    "resnet18": ["bn1.running_var", "layer2.0.downsample.1.bias", "layer4.1.conv2.weight"],
    "resnet50": ["layer1.0.downsample.0.weight", "layer3.5.bn3.weight", "fc.bias"],
    "vgg16_bn": ["features.0.weight", "features.41.running_mean", "classifier.6.bias"],
    "vgg11": ["features.18.bias", "classifier.0.weight"],
}


@pytest.mark.parametrize("name", SIZES)
def test_size_and_names(name: str) -> None:
    if name.startswith("vgg"):
        model = models.get_model(name, init_weights=False)
    else:
        model = models.get_model(name)
    parameters = sum(p.data.size for p in model.parameters())
    state = model.state_dict()
    expected, entries = SIZES[name]
    assert (parameters, len(state)) == (expected, entries)
    assert not set(NAMES.get(name, ())) - state.keys()


def test_names_and_order_are_torchvisions() -> None:
    torchvision = pytest.importorskip("torchvision.models")
    for name in models.list_models():
        if name == "simple_cnn":
            continue
        options = {"init_weights": False} if name.startswith(("vgg", "goog")) else {}
        theirs = getattr(torchvision, name)(weights=None, **options).state_dict()
        ours = models.get_model(name, **options).state_dict()
        assert list(ours) == list(theirs), name
        assert all(ours[k].shape == tuple(theirs[k].shape) for k in theirs), name


SMALL = {
    "simple_cnn": 32,
    "googlenet": 64,
    "mobilenet_v2": 32,
    "resnet18": 32,
    "resnet50": 32,
    "resnext50_32x4d": 32,
}


@pytest.mark.parametrize("name", SMALL)
def test_a_step_of_training_lowers_the_loss(name: str) -> None:
    fastconv.manual_seed(0)
    fastconv.manual_seed(0)
    model = models.get_model(name, num_classes=7)
    size = SMALL[name]
    x = Tensor(np.random.default_rng(0).normal(size=(4, 3, size, size)).astype(np.float32))
    labels = Tensor(np.array([0, 6, 2, 3]))
    optimizer = fastconv.optim.SGD(model.parameters(), lr=0.005)
    criterion = fastconv.nn.CrossEntropyLoss()
    losses = []
    for _ in range(4):
        fastconv.manual_seed(1)  # the same dropout each time
        out = model(x)
        heads = list(out) if isinstance(out, tuple) else [out]
        assert all(head.shape == (4, 7) for head in heads)
        assert len(heads) == (3 if name == "googlenet" else 1)
        loss = criterion(heads[0], labels)
        for head in heads[1:]:
            loss = loss + 0.3 * criterion(head, labels)
        optimizer.zero_grad()
        loss.backward()
        assert all(p.grad is not None for p in model.parameters())
        optimizer.step()
        losses.append(loss.item())
    # Batch norms over four pictures make single steps of the deep ones erratic, in float64 too.
    assert losses[-1] < losses[0]
    model.eval()
    with fastconv.no_grad():
        assert model(x).shape == (4, 7)


@pytest.mark.parametrize("suffix", [".safetensors", ".npz"])
def test_weights_from_a_file(tmp_path: Path, suffix: str) -> None:
    fastconv.manual_seed(3)
    model = models.resnet18(num_classes=5).eval()
    path = tmp_path / f"w{suffix}"
    save_weights(path, model.state_dict())
    again = models.resnet18(weights=path, num_classes=5).eval()
    x = Tensor(RNG.normal(size=(2, 3, 48, 48)).astype(np.float32))
    np.testing.assert_array_equal(again(x).data, model(x).data)
    with pytest.raises(RuntimeError, match="size mismatch"):
        models.resnet18(weights=path, num_classes=6)
    with pytest.raises(RuntimeError, match="Missing"):
        models.resnet34(weights=path, num_classes=5)


def test_pytorchs_weights_give_pytorchs_outputs(tmp_path: Path) -> None:
    """A ResNet block written in PyTorch, saved by it, loaded here: the same numbers."""
    torch = pytest.importorskip("torch")

    class Block(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            conv, norm = torch.nn.Conv2d, torch.nn.BatchNorm2d
            self.conv1, self.bn1 = conv(8, 16, 3, 2, 1, bias=False), norm(16)
            self.conv2, self.bn2 = conv(16, 16, 3, 1, 1, bias=False), norm(16)
            self.downsample = torch.nn.Sequential(conv(8, 16, 1, 2, bias=False), norm(16))

        def forward(self, x):
            y = torch.relu(self.bn1(self.conv1(x)))
            return torch.relu(self.bn2(self.conv2(y)) + self.downsample(x))

    theirs = Block()
    torch.save(theirs.state_dict(), tmp_path / "block.pth")
    shortcut = fastconv.nn.Sequential(
        fastconv.nn.Conv2d(8, 16, 1, 2, bias=False), fastconv.nn.BatchNorm2d(16)
    )
    from fastconv.models.resnet import BasicBlock
    from fastconv.serialization import load_weights

    ours = BasicBlock(8, 16, 2, shortcut)
    ours.load_state_dict(load_weights(tmp_path / "block.pth"))
    x = RNG.normal(size=(3, 8, 20, 20)).astype(np.float32)
    for mode in (True, False):
        theirs.train(mode)
        ours.train(mode)
        expected = theirs(torch.tensor(x)).detach().numpy()
        np.testing.assert_allclose(ours(Tensor(x)).data, expected, atol=2e-5)


def test_unknown_models_and_depths() -> None:
    with pytest.raises(ValueError, match="simple_cnn"):
        models.get_model("resnet9000")
    with pytest.raises(ValueError, match="depth must be one of"):
        models.VGG(12)
    with pytest.raises(ValueError, match="4 entries"):
        models.ResNet(models.resnet.BasicBlock, (1, 2, 3))
    assert len(models.list_models()) == len(set(models.list_models())) >= 15


def test_zero_init_residual_starts_as_the_identity() -> None:
    model = models.ResNet(models.resnet.Bottleneck, (1, 1, 1, 1), zero_init_residual=True)
    assert all(not block.bn3.weight.data.any() for block in (model.layer1[0], model.layer4[0]))


@pytest.mark.skipif("FASTCONV_TEST_LARGE" not in os.environ, reason="half a minute")
def test_vgg_on_a_small_picture() -> None:
    x = Tensor(np.zeros((1, 3, 32, 32), np.float32))
    assert models.vgg11_bn(num_classes=3).eval()(x).shape == (1, 3)
