"""The lecture's SimpleCNN, letter by letter, with nothing but its imports changed."""

from __future__ import annotations

import numpy as np
import pytest

import fastconv as torch
import fastconv.nn as nn
import fastconv.nn.functional as F
import fastconv.optim as optim
from gradients import torch as pytorch

# fmt: off
# ruff: noqa: UP008, W291, RET504

class SimpleCNN(nn.Module):
    def __init__(self):
        super(SimpleCNN, self).__init__() 
        self.name = "large"
        self.conv1 = nn.Conv2d(3, 5, 5)
        self.pool = nn.MaxPool2d(2, 2)
        self.conv2 = nn.Conv2d(5, 10, 5)
        self.fc1 = nn.Linear(10*5*5, 32)
        self.fc2 = nn.Linear(32, 10)
    def forward(self, x):
        x = self.pool(F.relu(self.conv1(x)))
        x = self.pool(F.relu(self.conv2(x)))
        x = x.view(-1, 10*5*5)
        x = F.relu(self.fc1(x))
        x = self.fc2(x)
        return x

# fmt: on


def stripes(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Pictures with stripes of one of four directions, noisy, and their directions."""
    labels = rng.integers(0, 4, count)
    rows, columns = np.mgrid[:32, :32]
    angle = labels[:, None, None, None] * np.pi / 4
    phase = rng.uniform(0, 2 * np.pi, (count, 1, 1, 1))
    wave = np.sin(0.8 * (np.cos(angle) * rows + np.sin(angle) * columns) + phase)
    return (wave + rng.normal(0, 0.3, (count, 3, 32, 32))).astype(np.float32), labels


def test_it_learns():
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    model = SimpleCNN()
    criterion = nn.CrossEntropyLoss()
    optimizer = optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
    for _ in range(60):
        images, labels = stripes(rng, 32)
        optimizer.zero_grad()
        loss = criterion(model(torch.from_numpy(images)), torch.from_numpy(labels))
        loss.backward()
        optimizer.step()
    model.eval()
    images, labels = stripes(rng, 128)
    with torch.no_grad():
        predicted = model(torch.from_numpy(images)).argmax(1)
    assert (predicted == torch.from_numpy(labels)).float().mean().item() > 0.95


@pytest.mark.skipif(pytorch is None, reason="compares with PyTorch")
def test_it_agrees_with_pytorch():
    source = {"conv1": (3, 5, 5), "conv2": (5, 10, 5), "fc1": (250, 32), "fc2": (32, 10)}
    peer = pytorch.nn.ModuleDict(
        {
            name: (pytorch.nn.Conv2d if name.startswith("conv") else pytorch.nn.Linear)(*sizes)
            for name, sizes in source.items()
        }
    )
    model = SimpleCNN()
    model.load_state_dict({k: v.numpy() for k, v in peer.state_dict().items()})
    assert list(model.state_dict()) == list(peer.state_dict())

    def their_forward(x):
        relu, pool = pytorch.relu, pytorch.nn.functional.max_pool2d
        x = pool(relu(peer["conv1"](x)), 2)
        x = pool(relu(peer["conv2"](x)), 2)
        return peer["fc2"](relu(peer["fc1"](x.view(-1, 250))))

    images, labels = stripes(np.random.default_rng(1), 16)
    ours = F.cross_entropy(model(torch.from_numpy(images)), torch.from_numpy(labels))
    theirs = pytorch.nn.functional.cross_entropy(
        their_forward(pytorch.from_numpy(images)), pytorch.from_numpy(labels)
    )
    np.testing.assert_allclose(ours.item(), theirs.item(), rtol=1e-5)
    ours.backward()
    theirs.backward()
    peers = dict(peer.named_parameters())
    for name, parameter in model.named_parameters():
        np.testing.assert_allclose(
            parameter.grad.numpy(), peers[name].grad.numpy(), rtol=1e-3, atol=1e-6, err_msg=name
        )
