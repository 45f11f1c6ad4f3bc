"""Transforms against Pillow, against plain truths, and seeded."""

import numpy as np
import pytest

import fastconv
from fastconv import Tensor
from fastconv.data import transforms as T
from fastconv.data.resample import resample_matrix, resize_array
from fastconv.data.rng import seeded

RNG = np.random.default_rng(4)
COLOUR = RNG.integers(0, 256, size=(20, 31, 3), dtype=np.uint8)

RANDOM = [
    T.RandomCrop((12, 9), padding=2),
    T.RandomResizedCrop(14),
    T.RandomHorizontalFlip(),
    T.RandomVerticalFlip(),
    T.RandomRotation(45),
    T.RandomRotation(45, "bilinear", expand=True),
    T.RandomAffine(20, (0.2, 0.1), (0.8, 1.2), 15),
    T.RandomAffine(20, (0.2, 0.1), (0.8, 1.2), (-5, 5, -9, 9), "bilinear", fill=0.5),
    T.ColorJitter(0.5, 0.5, 0.5, 0.3),
    T.GaussianNoise(),
    T.RandomErasing(p=1.0),
    T.RandomErasing(p=1.0, value="random"),
    T.RandomGrayscale(0.5),
    T.RandomApply([T.RandomVerticalFlip(1.0)]),
    T.RandomChoice([T.RandomVerticalFlip(1.0), T.RandomHorizontalFlip(1.0)]),
]


@pytest.mark.parametrize("transform", RANDOM, ids=str)
def test_random_transforms_are_seeded_and_keep_kind(transform) -> None:
    tensor = T.ToTensor()(COLOUR)
    for given in (COLOUR, tensor):
        before = np.array(given.data if isinstance(given, Tensor) else given)
        results = []
        for _ in range(2):
            fastconv.manual_seed(11)
            results.append([transform(given) for _ in range(6)])
        arrays = [
            [np.asarray(r.data if isinstance(r, Tensor) else r) for r in rs] for rs in results
        ]
        assert all(type(r) is type(given) for r in results[0])
        assert all(a.dtype == before.dtype and a.ndim == 3 for a in arrays[0])
        for a, b in zip(*arrays, strict=True):
            np.testing.assert_array_equal(a, b)
        assert any(a.tobytes() != arrays[0][0].tobytes() for a in arrays[0][1:])
        np.testing.assert_array_equal(given.data if given is tensor else given, before)


@pytest.mark.parametrize("transform", RANDOM, ids=str)
def test_pictures_and_tensors_are_changed_alike(transform) -> None:
    """The same seed does the same to a picture as to the tensor made of it."""
    if any(word in repr(transform) for word in ("'random'", "RandomAffine")):
        return  # noise and fill have the range of the dtype
    with seeded(3):
        picture = transform(COLOUR)
    with seeded(3):
        tensor = transform(T.ToTensor()(COLOUR))
    np.testing.assert_allclose(T.ToTensor()(picture).data, tensor.data, atol=4 / 255)


@pytest.mark.parametrize("mode", ["nearest", "box", "bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(7, 9), (20, 31), (10, 62), (45, 50)])
def test_resize_is_pillows(mode: str, size: tuple[int, int]) -> None:
    Image = pytest.importorskip("PIL.Image")
    theirs = Image.fromarray(COLOUR).resize(size[::-1], Image.Resampling[mode.upper()])
    ours = resize_array(COLOUR, *size, mode)
    # Pillow rounds and saturates between its two passes, which shows where bicubic overshoots.
    difference = np.abs(ours.astype(int) - np.asarray(theirs).astype(int))
    assert difference.mean() < 0.6
    if mode != "bicubic":
        assert difference.max() <= 1


def test_resampling_weights_sum_to_one() -> None:
    for mode in ("nearest", "box", "bilinear", "bicubic"):
        for sizes in ((8, 32), (32, 8), (7, 5), (1, 9), (9, 1)):
            np.testing.assert_allclose(resample_matrix(*sizes, mode).sum(axis=1), 1, atol=1e-6)
    with pytest.raises(ValueError, match="nearest, box, bilinear, bicubic"):
        resample_matrix(3, 4, "lanczos")


def test_resize_by_the_shorter_side() -> None:
    assert T.Resize(10)(COLOUR).shape == (10, 15, 3)
    assert T.Resize(10)(COLOUR.transpose(1, 0, 2)).shape == (15, 10, 3)
    assert T.Resize(10, max_size=12)(COLOUR).shape == (8, 12, 3)
    assert T.Resize((5, 6))(COLOUR[..., 0]).shape == (5, 6)
    assert T.Resize((5, 6))(T.ToTensor()(COLOUR)).shape == (3, 5, 6)


def test_crops_and_flips_are_slices() -> None:
    np.testing.assert_array_equal(T.CenterCrop((10, 11))(COLOUR), COLOUR[5:15, 10:21])
    assert T.CenterCrop(40)(COLOUR).shape == (40, 40, 3)
    np.testing.assert_array_equal(T.RandomHorizontalFlip(1.0)(COLOUR), COLOUR[:, ::-1])
    np.testing.assert_array_equal(T.RandomVerticalFlip(1.0)(COLOUR), COLOUR[::-1])
    windows = {COLOUR[i : i + 19, j : j + 30].tobytes() for i in range(2) for j in range(2)}
    seen = {T.RandomCrop((19, 30))(COLOUR).tobytes() for _ in range(80)}
    assert seen == windows


def test_pad() -> None:
    padded = T.Pad((1, 2, 3, 4), fill=(9, 8, 7))(COLOUR)
    assert padded.shape == (26, 35, 3)
    assert padded[0, 0].tolist() == [9, 8, 7]
    np.testing.assert_array_equal(padded[2:-4, 1:-3], COLOUR)
    np.testing.assert_array_equal(
        T.Pad(2, padding_mode="reflect")(COLOUR)[:, 0],
        T.Pad((0, 2), padding_mode="reflect")(COLOUR)[:, 2],
    )


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
def test_quarter_turns_are_exact(mode: str) -> None:
    square = COLOUR[:, :20]
    for turns in range(4):
        angle = 90 * turns
        turned = T.RandomRotation((angle, angle), mode, expand=True)(square)
        np.testing.assert_array_equal(turned, np.rot90(square, turns))


def test_affine_shift_scale_and_shear() -> None:
    shifted = T.RandomAffine(0, translate=(0, 0))(COLOUR)
    np.testing.assert_array_equal(shifted, COLOUR)
    doubled = T.RandomAffine(0, scale=(2, 2))(COLOUR[:20, :20])
    np.testing.assert_array_equal(doubled, np.repeat(np.repeat(COLOUR[5:15, 5:15], 2, 0), 2, 1))
    line = np.zeros((21, 21), np.uint8)
    line[10] = 255
    sheared = T.RandomAffine(0, shear=(0, 0, 45, 45))(line)
    np.testing.assert_array_equal(sheared, np.diag(np.full(21, 255, np.uint8))[::-1])
    row = np.arange(40, dtype=np.uint8)[None].repeat(3, 0)
    moves = {int(T.RandomAffine(0, translate=(0.1, 0))(row)[1, 20]) for _ in range(200)}
    assert moves == set(range(16, 25))


def test_colours() -> None:
    np.testing.assert_array_equal(T.ColorJitter(brightness=(0, 0))(COLOUR), 0 * COLOUR)
    gray = T.Grayscale(3)(COLOUR)
    np.testing.assert_array_equal(T.ColorJitter(saturation=(0, 0))(COLOUR), gray)
    assert np.ptp(T.ColorJitter(contrast=(0, 0))(gray)) == 0
    primary = np.eye(3, dtype=np.uint8)[None] * 255
    third = T.ColorJitter(hue=(1 / 3, 1 / 3))(primary)
    np.testing.assert_array_equal(third[0], np.roll(primary[0], 1, axis=1))
    np.testing.assert_array_equal(T.ColorJitter()(COLOUR), COLOUR)
    assert T.Grayscale()(COLOUR).shape == (20, 31, 1)
    assert T.Grayscale(3)(COLOUR[..., 0]).shape == (20, 31, 3)


def test_erasing() -> None:
    tensor = Tensor(np.ones((3, 40, 40), np.float32))
    shares = [float((T.RandomErasing(1.0)(tensor).data == 0).mean()) for _ in range(100)]
    assert min(shares) > 0.01
    assert max(shares) < 0.36
    assert T.RandomErasing(0.0)(tensor) is tensor
    inplace = T.RandomErasing(1.0, inplace=True)
    assert inplace(tensor) is tensor
    assert (tensor.data == 0).any()


def test_noise() -> None:
    flat = np.full((64, 64), 0.5)
    noisy = T.GaussianNoise(0.1, 0.05)(flat)
    assert abs(noisy.mean() - 0.6) < 0.01
    assert abs(noisy.std() - 0.05) < 0.005
    assert T.GaussianNoise(5.0)(flat).max() == 1
    assert T.GaussianNoise(5.0, clip=False)(flat).max() > 4


def test_to_tensor_and_normalize() -> None:
    Image = pytest.importorskip("PIL.Image")
    tensor = T.ToTensor()(COLOUR)
    assert tensor.shape == (3, 20, 31)
    assert tensor.data.dtype == np.float32
    assert tensor.data.max() <= 1
    np.testing.assert_array_equal(T.ToTensor()(Image.fromarray(COLOUR)).data, tensor.data)
    assert T.ToTensor()(COLOUR[..., 0]).shape == (1, 20, 31)
    assert T.ToTensor()(COLOUR / 255).data.dtype == np.float64
    normal = T.Normalize((0.5, 0.4, 0.3), (0.1, 0.2, 0.3))(tensor)
    np.testing.assert_allclose(normal.data[1], (tensor.data[1] - 0.4) / 0.2, rtol=1e-5, atol=1e-6)
    assert normal.data.dtype == np.float32
    inplace = T.Normalize(0.5, 0.5, inplace=True)
    assert inplace(tensor) is tensor


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: T.Normalize(0.5, 0.0), ValueError, "std must not be zero"),
        (lambda: T.Normalize(0.5, 0.5)(COLOUR), TypeError, "ToTensor"),
        (lambda: T.Normalize((1, 2), (1, 2))(T.ToTensor()(COLOUR)), ValueError, "mean has 2"),
        (lambda: T.ToTensor()("a.png"), TypeError, "ToTensor: expected a picture"),
        (lambda: T.ToTensor()(np.zeros(3, np.uint8)), ValueError, r"\(H, W\)"),
        (lambda: T.ToTensor()(np.zeros((3, 3), np.int32)), TypeError, "uint8, float32"),
        (lambda: T.Resize(0), ValueError, "Resize: size"),
        (lambda: T.Resize((3, 4, 5)), ValueError, "Resize: size"),
        (lambda: T.Resize(4, "lanczos"), ValueError, "interpolation must be one of"),
        (lambda: T.Resize(4, max_size=3), ValueError, "max_size"),
        (lambda: T.Resize(4)(COLOUR[:0]), ValueError, "empty"),
        (lambda: T.CenterCrop(-1), ValueError, "CenterCrop: size"),
        (lambda: T.RandomCrop(50)(COLOUR), ValueError, "smaller than"),
        (lambda: T.RandomResizedCrop(5, scale=(0, 1)), ValueError, "scale"),
        (lambda: T.RandomHorizontalFlip(1.5), ValueError, "between 0 and 1"),
        (lambda: T.Pad((1, 2, 3)), ValueError, "one, two or four"),
        (lambda: T.Pad(1, padding_mode="wrap"), ValueError, "padding_mode"),
        (lambda: T.Pad(1, fill=(1, 2))(COLOUR), ValueError, "one per channel"),
        (lambda: T.RandomRotation(-5), ValueError, "RandomRotation: a single degrees"),
        (lambda: T.RandomRotation((5, 1)), ValueError, "degrees"),
        (lambda: T.RandomRotation(5, expand=True, center=(1, 1)), ValueError, "center"),
        (lambda: T.RandomAffine(5, translate=(2, 0)), ValueError, "translate"),
        (lambda: T.RandomAffine(5, scale=(0, 1)), ValueError, "scale"),
        (lambda: T.ColorJitter(hue=0.7), ValueError, "hue"),
        (lambda: T.ColorJitter(brightness=-1), ValueError, "brightness"),
        (lambda: T.RandomErasing(value="noise"), ValueError, "value"),
        (lambda: T.RandomErasing(1.0, value=(1, 2))(COLOUR), ValueError, "value has 2"),
        (lambda: T.GaussianNoise(sigma=-1), ValueError, "sigma"),
        (lambda: T.Grayscale(2), ValueError, "1 or 3"),
        (lambda: T.Lambda(3), TypeError, "callable"),
        (lambda: T.RandomChoice([]), ValueError, "RandomChoice"),
    ],
)
def test_bad_input_is_named(call, error, message) -> None:
    with pytest.raises(error, match=message):
        call()


def test_compose_and_repr() -> None:
    both = T.Compose([T.Resize(8), T.Lambda(lambda a: a[:, :8]), T.ToTensor()])
    assert both(COLOUR).shape == (3, 8, 8)
    assert repr(both).splitlines()[0] == "Compose("
    assert "Resize(8" in repr(both)
