"""Readers of published data sets, on small files in their formats, and hostile ones."""

import gzip
import hashlib
import http.server
import io
import struct
import tarfile
import threading
from pathlib import Path

import numpy as np
import pytest

from fastconv.data import CIFAR10, MNIST, ImageFolder, cifar, mnist
from fastconv.data.download import RemoteFile, fetch
from fastconv.data.folder import load_picture
from fastconv.data.mnist import read_idx

RNG = np.random.default_rng(6)


def idx(array: np.ndarray) -> bytes:
    head = struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + array.astype(np.uint8).tobytes()


def write_mnist(root: Path, count: int = 12, zipped: bool = True) -> tuple[np.ndarray, np.ndarray]:
    folder = root / "MNIST" / "raw"
    folder.mkdir(parents=True)
    images = RNG.integers(0, 256, size=(count, 28, 28), dtype=np.uint8)
    labels = np.arange(count) % 10
    for part in ("train", "t10k"):
        for name, array in (("images-idx3", images), ("labels-idx1", labels)):
            path = folder / f"{part}-{name}-ubyte{'.gz' if zipped else ''}"
            data = idx(array)
            path.write_bytes(gzip.compress(data) if zipped else data)
    return images, labels


@pytest.mark.parametrize("zipped", [True, False])
def test_mnist(tmp_path: Path, zipped: bool) -> None:
    images, labels = write_mnist(tmp_path, zipped=zipped)
    for train in (True, False):
        data = MNIST(tmp_path, train)
        np.testing.assert_array_equal(data.data, images)
        assert data.targets.tolist() == labels.tolist()
        assert data[3][0].shape == (28, 28)
        assert data[3][1] == 3
    assert MNIST(tmp_path, transform=lambda p: p.sum(), target_transform=str)[2][1] == "2"


def test_mnist_that_is_not_there_says_what_to_put_where(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"train-images-idx3-ubyte\.gz .*into .*raw"):
        MNIST(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0\0\x08",
        b"\0\0\x0d\x03" + b"\0" * 12,
        idx(np.zeros((2, 3), np.uint8)),
        idx(np.zeros((2, 3, 4), np.uint8))[:-1],
        idx(np.zeros((2, 3, 4), np.uint8)) + b"x",
        b"\0\0\x08\x03" + b"\xff" * 12,
        b"\0\0\x08\x03" + b"\0\0\0\1",
        gzip.compress(b"\0\0\x08\x03" + b"\xff" * 12),
        gzip.compress(idx(np.zeros((2, 3, 4), np.uint8)))[:-9],
        b"\x1f\x8b nonsense",
    ],
)
def test_broken_idx(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=str(path)):
        read_idx(path, 3)


def test_mnist_refuses_what_does_not_fit(tmp_path: Path) -> None:
    write_mnist(tmp_path, zipped=False)
    labels = tmp_path / "MNIST" / "raw" / "train-labels-idx1-ubyte"
    labels.write_bytes(idx(np.zeros(3, np.uint8)))
    with pytest.raises(ValueError, match="3 labels"):
        MNIST(tmp_path)
    labels.write_bytes(idx(np.full(12, 10, np.uint8)))
    with pytest.raises(ValueError, match="label 10"):
        MNIST(tmp_path)


def cifar_records(count: int) -> tuple[bytes, np.ndarray, np.ndarray]:
    pictures = RNG.integers(0, 256, size=(count, 32, 32, 3), dtype=np.uint8)
    labels = (np.arange(count) % 10).astype(np.uint8)
    rows = np.column_stack([labels, pictures.transpose(0, 3, 1, 2).reshape(count, -1)])
    return rows.tobytes(), pictures, labels


def write_cifar_archive(path: Path, data: bytes, extra: list[tarfile.TarInfo] = ()) -> None:  # type: ignore[assignment]
    with tarfile.open(path, "w:gz") as tar:
        for info in extra:
            tar.addfile(info, io.BytesIO(b"x" * info.size))
        for name in [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]:
            info = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def test_cifar(tmp_path: Path) -> None:
    data, pictures, labels = cifar_records(7)
    outside = tarfile.TarInfo("../outside")
    outside.size = 3
    write_cifar_archive(tmp_path / "cifar-10-binary.tar.gz", data, [outside])
    train, test = CIFAR10(tmp_path), CIFAR10(tmp_path, train=False)
    assert len(train) == 35
    np.testing.assert_array_equal(test.data, pictures)
    assert test.targets.tolist() == labels.tolist()
    assert test.classes[test[1][1]] == "automobile"
    unpacked = sorted(p.name for p in tmp_path.rglob("*") if p.is_file())
    assert "outside" not in unpacked
    assert len(unpacked) == 7
    assert not (tmp_path.parent / "outside").exists()
    (tmp_path / "cifar-10-binary.tar.gz").unlink()
    assert len(CIFAR10(tmp_path)) == 35  # from the unpacked files


def test_cifar_refuses(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"put cifar-10-binary\.tar\.gz"):
        CIFAR10(tmp_path)
    archive = tmp_path / "cifar-10-binary.tar.gz"
    archive.write_bytes(b"no archive")
    with pytest.raises(ValueError, match="damaged"):
        CIFAR10(tmp_path)
    write_cifar_archive(archive, b"123")
    with pytest.raises(ValueError, match="has 3 bytes"):
        CIFAR10(tmp_path, train=False)
    with tarfile.open(archive, "w:gz"):
        pass
    with pytest.raises(ValueError, match=r"does not hold .*data_batch_1\.bin"):
        CIFAR10(tmp_path)
    data = bytearray(cifar_records(2)[0])
    data[0] = 10
    (tmp_path / "cifar-10-batches-bin" / "test_batch.bin").write_bytes(data)
    with pytest.raises(ValueError, match="label 10"):
        CIFAR10(tmp_path, train=False)


@pytest.fixture
def server(tmp_path: Path):
    """A web server of this machine that serves ``served/``."""
    served = tmp_path / "served"
    served.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args) -> None:
            super().__init__(*args, directory=str(served))

        def log_message(self, *args) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}/", served
        running.shutdown()
        thread.join()


def test_download(tmp_path: Path, server) -> None:
    url, served = server
    content = RNG.bytes(600_000)
    (served / "a.bin").write_bytes(content)
    digest = hashlib.md5(content).hexdigest()
    target = tmp_path / "here" / "a.bin"
    remote = RemoteFile("a.bin", [url + "missing", url + "a.bin"], digest, 10**6)
    assert fetch(remote, target.parent, True, "Test") == target
    assert target.read_bytes() == content
    (served / "a.bin").unlink()
    assert fetch(remote, target.parent, True, "Test") == target  # not asked for again
    assert [p.name for p in target.parent.iterdir()] == ["a.bin"]


def test_download_refuses_what_is_not_as_published(tmp_path: Path, server) -> None:
    url, served = server
    (served / "a.bin").write_bytes(b"x" * 5000)
    for digest, limit, message in (
        ("0" * 32, 10**6, "checksum"),
        (hashlib.md5(b"x" * 5000).hexdigest(), 4999, "more than the 4999 bytes"),
    ):
        remote = RemoteFile("a.bin", [url + "a.bin"], digest, limit)
        with pytest.raises(RuntimeError, match=f"{message}.*Without network: put a.bin"):
            fetch(remote, tmp_path / "here", True, "Test")
        assert not list((tmp_path / "here").iterdir())


def test_published_addresses_are_encrypted_and_digests_whole() -> None:
    assert all(url.startswith("https://") for url in (*mnist._MIRRORS, *cifar._ARCHIVE.urls))
    assert all(len(md5) == 32 for md5 in (*mnist._DIGESTS.values(), cifar._ARCHIVE.md5))


def test_a_folder_of_pictures(tmp_path: Path) -> None:
    Image = pytest.importorskip("PIL.Image")
    for name, level in (("cats", 10), ("dogs", 200)):
        (tmp_path / name / "more").mkdir(parents=True)
        for i, suffix in enumerate((".png", ".JPG")):
            picture = Image.fromarray(np.full((4 + i, 5, 3), level, np.uint8))
            picture.save(tmp_path / name / ("more" if i else ".") / f"{i}{suffix}")
        (tmp_path / name / "notes.txt").write_text("not a picture")
    (tmp_path / ".hidden").mkdir()
    folder = ImageFolder(tmp_path)
    assert folder.classes == ("cats", "dogs")
    assert folder.class_to_idx == {"cats": 0, "dogs": 1}
    assert folder.targets.tolist() == [0, 0, 1, 1]
    assert [folder[i][0].shape for i in range(2)] == [(4, 5, 3), (5, 5, 3)]
    assert folder[3][0].mean() > 190
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="empty holds no pictures"):
        ImageFolder(tmp_path)
    with pytest.raises(FileNotFoundError, match="no sub-folders"):
        ImageFolder(tmp_path / "empty")
    with pytest.raises(FileNotFoundError, match="not a folder"):
        ImageFolder(tmp_path / "none")


def test_pictures_of_every_mode(tmp_path: Path) -> None:
    Image = pytest.importorskip("PIL.Image")
    gray = RNG.integers(0, 256, size=(6, 7), dtype=np.uint8)
    modes = {
        "L": gray,
        "1": gray > 128,
        "RGB": np.stack([gray] * 3, axis=2),
        "I;16": gray.astype(np.uint16) * 257,
    }
    for name, array in modes.items():
        path = tmp_path / f"{name.replace(';', '')}.png"
        Image.fromarray(array).save(path)
        picture = load_picture(path)
        assert picture.shape == (6, 7, 3)
        assert picture.dtype == np.uint8
        expected = (gray > 128) * 255 if name == "1" else gray
        assert np.abs(picture[..., 0].astype(int) - expected).max() <= (name == "I;16") * 3
    clear = np.zeros((2, 2, 4), np.uint8)
    clear[0, 0] = (10, 20, 30, 255)
    Image.fromarray(clear).save(tmp_path / "clear.png")
    shown = load_picture(tmp_path / "clear.png")
    assert shown[0, 0].tolist() == [10, 20, 30]
    assert shown[1, 1].tolist() == [255, 255, 255]  # transparent is white paper


def test_pictures_that_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image = pytest.importorskip("PIL.Image")
    path = tmp_path / "a.png"
    with pytest.raises(FileNotFoundError):
        load_picture(path)
    path.write_bytes(b"nothing")
    with pytest.raises(ValueError, match="not a picture"):
        load_picture(path)
    Image.fromarray(RNG.integers(0, 256, size=(60, 60), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(ValueError, match=r"a\.png"):
        load_picture(path)
    Image.fromarray(np.zeros((60, 60), np.uint8)).save(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 3000)
    with pytest.raises(ValueError, match="too large"):
        load_picture(path)
