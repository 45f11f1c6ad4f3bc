"""The convolution operator: slide, multiply, sum; padding, stride and the size of what comes out.

python examples/convolution.py [photograph]
"""

import sys

import numpy as np

import fastconv
from fastconv import image
from fastconv.data import Digits


def by_hand(picture: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """What the lecture says, word for word: (H, W) and (R, S) give (H-R+1, W-S+1)."""
    rows, columns = kernel.shape
    out = np.empty((picture.shape[0] - rows + 1, picture.shape[1] - columns + 1))
    for i in range(out.shape[0]):  # slide across all areas of the image
        for j in range(out.shape[1]):
            window = picture[i : i + rows, j : j + columns]
            out[i, j] = (window * kernel).sum()  # multiply, sum, write
    return out


def by_fastconv(picture: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """The same in one call; the leading axes are batch and channel."""
    return fastconv.conv2d(picture[None, None], kernel[None, None])[0, 0]


def sizes() -> list[tuple[int, int, int, int, int]]:
    """(input, kernel, padding, stride, output) for every combination of a few, as computed."""
    rows = []
    for i in (5, 28, 32):
        for k in (1, 3, 5):
            for p in (0, 1, 2):
                for s in (1, 2, 3):
                    x, w = np.zeros((1, 1, i, i)), np.zeros((1, 1, k, k))
                    out = fastconv.conv2d(x, w, stride=s, padding=p).shape[2]
                    rows.append((i, k, p, s, out))
    return rows


def colour_features() -> tuple[int, ...]:
    """A colour picture of 3x28x28 and 5 kernels of 3x8x8: five features of 21x21."""
    rng = np.random.default_rng(0)
    picture, kernels = rng.normal(size=(3, 28, 28)), rng.normal(size=(5, 3, 8, 8))
    return fastconv.conv2d(picture, kernels).shape


def film() -> np.ndarray:
    """A stack of frames, a digit drifting to the right, with the vintage filter on every frame."""
    picture = Digits(None).data[0]
    return image.vintage(np.stack([np.roll(picture, shift, axis=1) for shift in range(8)]))


def main() -> None:
    picture = Digits(None).data[0][..., 0].astype(np.float64)
    blur = np.full((3, 3), 1 / 9)
    difference = np.abs(by_hand(picture, blur) - by_fastconv(picture, blur)).max()
    print(f"averaging filter, by hand and by fastconv: differ by {difference:.1e}")
    print("input kernel padding stride -> output")
    for i, k, p, s, out in sizes()[::10]:
        print(f"{i:5} {k:6} {p:7} {s:6} -> {out} = ({i} + 2*{p} - {k}) // {s} + 1")
    print(f"3x28x28 with 5x3x8x8: {colour_features()}")
    print(f"a film of {film().shape}")
    if len(sys.argv) > 1:
        from PIL import Image

        with Image.open(sys.argv[1]) as opened:
            photo = np.array(opened.convert("RGB"))
        for name, apply in image.FILTERS.items():
            Image.fromarray(apply(photo)).save(f"{name}.png")
            print(f"wrote {name}.png")


if __name__ == "__main__":
    main()
