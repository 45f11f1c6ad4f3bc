"""Written for PyTorch, as people write networks and training loops for CIFAR-10.

`train` is called with `torch` here, and with fastconv in its place; see test_swapped_script.py.
"""

import math
import os
from collections import OrderedDict

import numpy as np
import torch
import torch.backends.cudnn as cudnn
import torch.nn as nn
import torch.nn.functional as F
import torch.nn.init as init
import torch.optim as optim
from torch.autograd import Variable
from torch.utils.data import DataLoader, TensorDataset


class PreActBlock(nn.Module):
    """Pre-activation residual block with squeeze and excitation."""

    expansion = 1

    def __init__(self, in_planes, planes, stride=1):
        super(PreActBlock, self).__init__()  # noqa: UP008 - as such code has it
        self.bn1 = nn.BatchNorm2d(in_planes)
        self.conv1 = nn.Conv2d(
            in_planes, planes, kernel_size=3, stride=stride, padding=1, bias=False
        )
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, kernel_size=3, stride=1, padding=1, bias=False)
        if stride != 1 or in_planes != self.expansion * planes:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_planes, self.expansion * planes, kernel_size=1, stride=stride)
            )
        self.fc1 = nn.Conv2d(planes, planes // 16, kernel_size=1)
        self.fc2 = nn.Conv2d(planes // 16, planes, kernel_size=1)

    def forward(self, x):
        out = F.relu(self.bn1(x))
        shortcut = self.shortcut(out) if hasattr(self, "shortcut") else x
        out = self.conv1(out)
        out = self.conv2(F.relu(self.bn2(out)))
        w = F.avg_pool2d(out, out.size(2))
        w = F.relu(self.fc1(w))
        w = torch.sigmoid(self.fc2(w))
        out = out * w
        out += shortcut
        return out


class Inception(nn.Module):
    def __init__(self, cin):
        super().__init__()
        self.b1 = nn.Sequential(nn.Conv2d(cin, 8, 1), nn.BatchNorm2d(8), nn.ReLU(True))
        self.b2 = nn.Sequential(
            OrderedDict(
                [
                    ("conv", nn.Conv2d(cin, 8, 3, padding=1)),
                    ("act", nn.LeakyReLU(0.1, inplace=True)),
                ]
            )
        )
        self.b3 = nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), nn.Conv2d(cin, 16, 1))

    def forward(self, x):
        return torch.cat([self.b1(x), self.b2(x), self.b3(x)], 1)


class ShuffleBlock(nn.Module):
    def __init__(self, groups=2):
        super().__init__()
        self.groups = groups

    def forward(self, x):
        n, c, h, w = x.size()
        g = self.groups
        return x.view(n, g, c // g, h, w).permute(0, 2, 1, 3, 4).reshape(n, c, h, w)


class Net(nn.Module):
    cfg = (16, "M", 32)

    def __init__(self, num_classes=10):
        super().__init__()
        layers = []
        in_channels = 3
        for x in self.cfg:
            if x == "M":
                layers += [nn.MaxPool2d(kernel_size=2, stride=2)]
            else:
                layers += [
                    nn.Conv2d(in_channels, x, kernel_size=3, padding=1),
                    nn.BatchNorm2d(x),
                    nn.ReLU(inplace=True),
                ]
                in_channels = x
        self.features = nn.Sequential(*layers)
        self.block = PreActBlock(32, 32, 2)
        self.inc = Inception(32)
        self.shuffle = ShuffleBlock()
        self.scale = nn.Parameter(torch.ones(1, 32, 1, 1))
        self.register_buffer("mean", torch.zeros(1, 32, 1, 1))
        self.linear = nn.Linear(32, num_classes)
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                n = m.kernel_size[0] * m.kernel_size[1] * m.out_channels
                m.weight.data.normal_(0, math.sqrt(2.0 / n))
                if m.bias is not None:
                    m.bias.data.zero_()
            elif isinstance(m, nn.BatchNorm2d):
                m.weight.data.fill_(1)
                m.bias.data.zero_()
            elif isinstance(m, nn.Linear):
                init.normal_(m.weight, std=1e-2)
                init.constant_(m.bias, 0)

    def forward(self, x):
        out = self.features(x)
        out = self.block(out)
        out = self.shuffle(self.inc(out)) * self.scale - self.mean
        out = F.avg_pool2d(out, 4)
        out = out.view(out.size(0), -1)
        return self.linear(out)


def train(images, labels, folder, state=None):
    """Two epochs; the weights at the start and at the end, and what the loop saw."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    net = Net().to(device)
    if device == "cuda":
        net = torch.nn.DataParallel(net)
        cudnn.benchmark = True
    if state is not None:
        net.load_state_dict(state)
    first = OrderedDict((k, v.clone()) for k, v in net.state_dict().items())
    dataset = TensorDataset(torch.from_numpy(images), torch.from_numpy(labels))
    loader = DataLoader(dataset, batch_size=8, shuffle=False, num_workers=0, drop_last=True)
    criterion = nn.CrossEntropyLoss()
    decay = [p for n, p in net.named_parameters() if p.ndim > 1 and not n.endswith(".bias")]
    others = [p for n, p in net.named_parameters() if p.ndim <= 1 or n.endswith(".bias")]
    optimizer = optim.SGD(
        [{"params": others, "weight_decay": 0.0}, {"params": decay, "weight_decay": 5e-4}],
        lr=0.01,
        momentum=0.9,
    )
    scheduler = optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=200)
    log = []
    for _ in range(2):
        net.train()
        train_loss, correct, total = 0, 0, 0
        for inputs, targets in loader:
            inputs, targets = Variable(inputs.to(device)), Variable(targets.to(device))
            optimizer.zero_grad()
            outputs = net(inputs)
            loss = criterion(outputs, targets)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
            optimizer.step()
            train_loss += loss.item()
            _, predicted = outputs.max(1)
            total += targets.size(0)
            correct += predicted.eq(targets).sum().item()
        scheduler.step()
        net.eval()
        with torch.no_grad():
            test_loss = 0
            for x, y in loader:
                test_loss += F.cross_entropy(net(x), y, reduction="sum").item()
            out = net(dataset.tensors[0])
            pred = out.argmax(dim=1, keepdim=True)
            acc = pred.eq(dataset.tensors[1].view_as(pred)).sum().item()
            top, _ = F.softmax(out, dim=1).topk(5, 1, True, True)
        rate = optimizer.param_groups[0]["lr"]
        log.append((train_loss / total, correct / total, test_loss, acc, rate, float(top.sum())))
    path = os.path.join(folder, "ckpt.pth")
    torch.save({"net": net.state_dict(), "epoch": 2, "optim": optimizer.state_dict()}, path)
    checkpoint = torch.load(path)
    net.load_state_dict(checkpoint["net"])
    optimizer.load_state_dict(checkpoint["optim"])
    last = {k: np.asarray(v) for k, v in net.state_dict().items()}
    return first, np.array(log), last
