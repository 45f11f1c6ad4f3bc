"""Written for PyTorch, as tutorials write a generator and a discriminator of small pictures.

`train` is called with `torch` here, and with fastconv in its place; see test_swapped_script.py.
"""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.parallel
import torch.optim as optim

NOISE, WIDTH = 16, 8
REAL, FAKE = 1.0, 0.0


def weights_init(m):
    classname = m.__class__.__name__
    if classname.find("Conv") != -1:
        nn.init.normal_(m.weight.data, 0.0, 0.02)
    elif classname.find("BatchNorm") != -1:
        nn.init.normal_(m.weight.data, 1.0, 0.02)
        nn.init.constant_(m.bias.data, 0)


class Generator(nn.Module):
    def __init__(self):
        super().__init__()
        self.main = nn.Sequential(
            nn.ConvTranspose2d(NOISE, WIDTH * 4, 4, 1, 0, bias=False),
            nn.BatchNorm2d(WIDTH * 4),
            nn.ReLU(True),
            nn.ConvTranspose2d(WIDTH * 4, WIDTH * 2, 4, 2, 1, bias=False),
            nn.BatchNorm2d(WIDTH * 2),
            nn.ReLU(True),
            nn.ConvTranspose2d(WIDTH * 2, 3, 4, 2, 1, bias=False),
            nn.Tanh(),
        )

    def forward(self, input):
        return self.main(input)


class Discriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(3, WIDTH, 4, 2, 1, bias=False),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(WIDTH, WIDTH * 2, 4, 2, 1, bias=False),
            nn.BatchNorm2d(WIDTH * 2),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(WIDTH * 2, 1, 4, 1, 0, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, input):
        return self.main(input)


def train(images, labels, folder, state=None):
    """Weights at first, losses of every step, weights at last."""
    device = torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    both = nn.ModuleDict({"g": Generator(), "d": Discriminator()}).to(device)
    both.apply(weights_init)
    if state is not None:
        both.load_state_dict(state)
    first = {k: v.detach().clone() for k, v in both.state_dict().items()}
    netG, netD = both["g"], nn.DataParallel(both["d"])
    criterion = nn.BCELoss()
    optimizerD = optim.Adam(netD.parameters(), lr=2e-3, betas=(0.5, 0.999))
    optimizerG = optim.Adam(netG.parameters(), lr=2e-3, betas=(0.5, 0.999))
    rng, log = np.random.default_rng(1), []
    for start in (0, 20, 0, 20):
        netD.zero_grad()
        real = torch.from_numpy(images[start : start + 20]).to(device)
        label = torch.full((real.size(0),), REAL, dtype=torch.float, device=device)
        errD_real = criterion(netD(real).view(-1), label)
        errD_real.backward()
        noise = rng.normal(size=(real.size(0), NOISE, 1, 1)).astype("float32")
        fake = netG(torch.from_numpy(noise))
        label.fill_(FAKE)
        errD_fake = criterion(netD(fake.detach()).view(-1), label)
        errD_fake.backward()
        optimizerD.step()
        netG.zero_grad()
        label.fill_(REAL)
        errG = criterion(netD(fake).view(-1), label)
        errG.backward()
        optimizerG.step()
        log.append([(errD_real + errD_fake).item(), errG.item()])
    return first, np.array(log), {k: v.detach().numpy() for k, v in both.state_dict().items()}
