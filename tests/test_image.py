"""Filters on pictures against SciPy and against what they promise."""

import numpy as np
import pytest

from fastconv import image

RNG = np.random.default_rng(5)
COLOUR = RNG.integers(0, 256, size=(21, 34, 3), dtype=np.uint8)
BORDERS = {"edge": "nearest", "reflect": "mirror", "wrap": "wrap", "zero": "constant"}


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("shape", [(3, 3), (5, 3), (4, 2), (1, 7), (1, 1)])
def test_any_kernel_is_scipys_correlation(border: str, shape: tuple[int, int]) -> None:
    ndimage = pytest.importorskip("scipy.ndimage")
    picture, kernel = RNG.normal(size=(17, 12, 3)), RNG.normal(size=shape)
    planes = [
        ndimage.correlate(p, kernel, mode=BORDERS[border]) for p in picture.transpose(2, 0, 1)
    ]
    result = image.filter2d(picture, kernel, border=border)
    np.testing.assert_allclose(result, np.stack(planes, axis=2), atol=1e-12)
    assert result.dtype == np.float64


def test_a_row_of_weights_is_applied_both_ways() -> None:
    row = np.array([1.0, 2.0, 1.0]) / 4
    twice = image.filter2d(COLOUR / 255.0, row)
    np.testing.assert_allclose(
        twice, image.filter2d(COLOUR / 255.0, np.outer(row, row)), atol=1e-12
    )


def test_blur_is_the_mean_around() -> None:
    ndimage = pytest.importorskip("scipy.ndimage")
    expected = ndimage.uniform_filter(COLOUR.astype(np.float64), (5, 5, 1), mode="nearest")
    assert np.abs(image.blur(COLOUR, 5) - expected).max() <= 0.5 + 1e-3


def test_gaussian_blur_is_scipys() -> None:
    ndimage = pytest.importorskip("scipy.ndimage")
    picture = RNG.random((40, 30))
    expected = ndimage.gaussian_filter(picture, 2.0, mode="nearest", truncate=3)
    np.testing.assert_allclose(image.gaussian_blur(picture, 2.0), expected, atol=1e-6)


def test_edges_are_the_sobel_gradient() -> None:
    step = np.zeros((9, 9))
    step[:, 5:] = 1
    found = image.edges(step)
    assert found[4].tolist() == [0, 0, 0, 0, 1, 1, 0, 0, 0]
    np.testing.assert_array_equal(image.edges(step.T), found.T)
    assert image.edges(np.full((6, 6, 3), 200, np.uint8)).max() == 0


def test_sharpen_raises_contrast_and_amount_0_changes_nothing() -> None:
    soft = image.gaussian_blur(COLOUR, 1.0)
    assert image.sharpen(soft, 1.5).std() > soft.std()
    np.testing.assert_array_equal(image.sharpen(COLOUR, 0.0), COLOUR)


def test_emboss_is_grey_and_flat_where_the_picture_is() -> None:
    flat = np.full((5, 6, 3), 77, np.uint8)
    assert np.unique(image.emboss(flat)).tolist() == [128]
    relief = image.emboss(COLOUR)
    np.testing.assert_array_equal(relief[..., 0], relief[..., 2])


def test_vintage_browns_fades_and_darkens_corners() -> None:
    white = np.full((64, 64, 3), 255, np.uint8)
    aged = image.vintage(white).astype(int)
    red, _, blue = aged[32, 32]
    assert red > blue
    assert aged[0, 0].sum() < aged[32, 32].sum() < 3 * 255
    assert image.vintage(np.zeros((9, 9, 3), np.uint8))[4, 4].min() > 5  # blacks are faded
    np.testing.assert_array_equal(image.vintage(COLOUR, 0.0), COLOUR)


@pytest.mark.parametrize("name", image.FILTERS)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(13, 9), (13, 9, 1), (13, 9, 3), (13, 9, 4), (2, 13, 9, 3)])
def test_every_filter_keeps_shape_and_dtype(name: str, dtype: type, shape: tuple[int, ...]) -> None:
    picture = RNG.integers(0, 256, size=shape).astype(np.uint8)
    given = picture if dtype is np.uint8 else (picture / 255).astype(dtype)
    before = given.copy()
    result = image.FILTERS[name](given)
    assert result.shape == shape
    assert result.dtype == dtype
    np.testing.assert_array_equal(given, before)
    if dtype is not np.uint8:
        # one algorithm, whatever the dtype
        bytes_ = image.FILTERS[name](picture)
        assert np.abs(np.clip(result, 0, 1) * 255 - bytes_).max() < 0.51
    if shape[-1] == 4:
        np.testing.assert_array_equal(result[..., 3], given[..., 3])  # opacity is left alone


@pytest.mark.parametrize("name", image.FILTERS)
def test_a_film_is_filtered_frame_by_frame(name: str) -> None:
    film = np.stack([COLOUR, COLOUR[::-1], COLOUR[:, ::-1]])
    frames = [image.FILTERS[name](frame) for frame in film]
    np.testing.assert_array_equal(image.FILTERS[name](film), np.stack(frames))


def test_views_with_odd_strides_are_taken() -> None:
    view = COLOUR[::2, ::-3]
    np.testing.assert_array_equal(image.blur(view), image.blur(view.copy()))


def test_a_photograph() -> None:
    data = pytest.importorskip("sklearn.datasets")
    photo = data.load_sample_image("china.jpg")
    blurred = image.gaussian_blur(photo, 3.0)
    assert abs(float(blurred.mean()) - float(photo.mean())) < 0.5
    assert image.edges(photo).mean() > 2 * image.edges(blurred).mean()
    assert image.edges(image.sharpen(photo)).mean() > image.edges(photo).mean()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: image.blur(COLOUR.astype(np.int32)), TypeError, "uint8, float32 or float64"),
        (lambda: image.blur(COLOUR[..., :2]), ValueError, "C 1, 3 or 4"),
        (lambda: image.blur(COLOUR[0, 0]), ValueError, r"\(H, W\)"),
        (lambda: image.blur(COLOUR[:0]), ValueError, "empty"),
        (lambda: image.blur(COLOUR, 4), ValueError, "odd"),
        (lambda: image.blur(COLOUR, 0), ValueError, "odd"),
        (lambda: image.blur(COLOUR, border="mirror"), ValueError, "edge, reflect, wrap, zero"),
        (lambda: image.gaussian_blur(COLOUR, 0), ValueError, "sigma"),
        (lambda: image.gaussian_blur(COLOUR, float("nan")), ValueError, "sigma"),
        (lambda: image.vintage(COLOUR, 2), ValueError, "between 0 and 1"),
        (lambda: image.sharpen(COLOUR, float("inf")), ValueError, "finite"),
        (lambda: image.filter2d(COLOUR, np.zeros((2, 2, 2))), ValueError, "kernel"),
        (lambda: image.filter2d(COLOUR, [[np.nan]]), ValueError, "kernel"),
    ],
)
def test_bad_input_is_named(call, error, message) -> None:
    with pytest.raises(error, match=message):
        call()
