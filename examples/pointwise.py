"""Pointwise convolution: a 1x1 kernel is a linear map of the channels, the same at every pixel.

python examples/pointwise.py
"""

import numpy as np
from common import count, fit

import fastconv
from fastconv import nn


def is_a_matrix_product() -> float:
    """A 1x1 convolution and a matrix product over channels: how far apart they are."""
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(2, 64, 9, 9)), rng.normal(size=(16, 64))
    convolved = fastconv.conv2d(x, w[:, :, None, None])  # (2, 16, 9, 9)
    return float(np.abs(convolved - np.einsum("kc,nchw->nkhw", w, x)).max())


def learn_a_pixelwise_map(relu: bool) -> float:
    """Teach 1x1 convolutions, 3 -> 16 -> 1 channels, the contrast |red - green|: the final error.

    No linear map is that, so without ReLU it cannot be learned.
    """
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, size=(64, 3, 8, 8)).astype(np.float32)
    y = np.abs(x[:, :1] - x[:, 1:2])
    fastconv.manual_seed(0)
    between = [nn.ReLU()] if relu else []
    model = nn.Sequential(nn.Conv2d(3, 16, 1), *between, nn.Conv2d(16, 1, 1))
    return fit(model, (x, y), epochs=40, lr=0.1, batch_size=16, loss_of=nn.MSELoss())[-1]


def bottleneck_parameters() -> tuple[int, int]:
    """A 3x3 convolution of 256 channels, direct and through 1x1 convolutions to 64 and back."""
    direct = nn.Conv2d(256, 256, 3, padding=1)
    through = nn.Sequential(
        nn.Conv2d(256, 64, 1), nn.ReLU(), nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(),
        nn.Conv2d(64, 256, 1),
    )  # fmt: skip
    return count(direct), count(through)


def main() -> None:
    print(f"1x1 convolution and matrix product differ by {is_a_matrix_product():.1e}")
    with_relu, without = learn_a_pixelwise_map(True), learn_a_pixelwise_map(False)
    print(f"error of learning |red - green|: with ReLU {with_relu:.4f}, without {without:.4f}")
    direct, through = bottleneck_parameters()
    print(f"256 channels, 3x3: {direct:,} parameters; through 64 channels: {through:,}")


if __name__ == "__main__":
    main()
