"""Files of weights: round trips, the peers' own files, and hostile ones."""

import io
import json
import pickle
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

import fastconv
from fastconv.serialization import load_metadata, load_weights, pickled, save_weights
from fastconv.serialization.files import replacing

RNG = np.random.default_rng(8)
STATE = {
    "conv.weight": RNG.normal(size=(5, 3, 3, 3)).astype(np.float32),
    "conv.bias": RNG.normal(size=5),
    "half": RNG.normal(size=(2, 2)).astype(np.float16),
    "steps": np.array(7),
    "flags": np.array([True, False]),
    "bytes": np.arange(3, dtype=np.uint8),
    "nothing": np.empty((0, 3), dtype=np.float32),
    "turned": np.arange(6, dtype=np.int32).reshape(2, 3).T,
}


def same(a: dict, b: dict) -> None:
    assert a.keys() == b.keys()
    for name in a:
        assert a[name].dtype == b[name].dtype, name
        assert a[name].shape == b[name].shape, name
        np.testing.assert_array_equal(a[name], b[name])


@pytest.mark.parametrize("suffix", [".safetensors", ".npz"])
def test_round_trip(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"weights{suffix}"
    save_weights(path, STATE, {"model": "simple_cnn", "note": 'ä "quoted"'})
    same(load_weights(path), STATE)
    assert load_metadata(path) == {"model": "simple_cnn", "note": 'ä "quoted"'}
    save_weights(path, {})
    assert load_weights(path) == {}
    assert load_metadata(path) == {}
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_the_safetensors_package_reads_ours_and_we_read_its(tmp_path: Path) -> None:
    package = pytest.importorskip("safetensors.numpy")
    ours, theirs = tmp_path / "ours.safetensors", tmp_path / "theirs.safetensors"
    state = {name: np.ascontiguousarray(a) if a.ndim else a for name, a in STATE.items()}
    save_weights(ours, state, {"a": "b"})
    same(package.load_file(ours), state)
    package.save_file(state, theirs, {"a": "b"})
    same(load_weights(theirs), state)
    assert load_metadata(theirs) == {"a": "b"}
    assert ours.read_bytes()[8:9] == b"{"


def test_numpy_reads_our_npz_and_we_read_its(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    save_weights(path, STATE)
    with np.load(path, allow_pickle=False) as archive:
        same(dict(archive), STATE)
    for save in (np.savez, np.savez_compressed):
        save(path, **STATE)
        same(load_weights(path), STATE)


def test_pytorchs_files(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    path = tmp_path / "a.pth"
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    state = OrderedDict(module.state_dict())
    state["transposed"] = torch.randn(3, 4).T
    state["slice"] = torch.arange(10)[3:7]
    state["parameter"] = torch.nn.Parameter(torch.ones(2))
    state["flag"] = torch.tensor([True, False])
    expected = {name: value.detach().numpy() for name, value in state.items()}
    for zipped in (True, False):
        for protocol in (2, 3, 4, 5):
            torch.save(state, path, pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
            same(load_weights(path), expected)
        checkpoint = {"epoch": 3, "state_dict": state, "optimizer": {"lr": [0.1]}}
        torch.save(checkpoint, path, _use_new_zipfile_serialization=zipped)
        same(load_weights(path), expected)
        torch.save({"w": torch.tensor([1.5, -3.0]).bfloat16()}, path)
        assert load_weights(path)["w"].tolist() == [1.5, -3.0]
        torch.save(module, path, _use_new_zipfile_serialization=zipped)
        with pytest.raises(ValueError, match="load_weights"):
            load_weights(path)


class Trap:
    """Unpickled, it would leave a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.touch, (self.path,)


def test_nothing_in_a_pickle_is_executed(tmp_path: Path) -> None:
    mark, path = tmp_path / "executed", tmp_path / "evil.pth"
    payload = pickle.dumps({"w": Trap(mark), "state_dict": {"w": Trap(mark)}}, protocol=2)
    path.write_bytes(payload)
    with pytest.raises(ValueError, match="load_weights"):
        load_weights(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", payload)
    with pytest.raises(ValueError, match=r"nothing is executed|unreadable"):
        load_weights(path)
    assert not mark.exists()
    pickle.loads(payload)  # the trap is a real one
    assert mark.exists()


@pytest.mark.parametrize("protocol", range(2, 6))
def test_pickles_are_parsed_as_data(protocol: int) -> None:
    value = {"a": [1, 2.5, None, True], "b": (1, (2, 3, 4, 5)), "c": {"d": "ü", 7: 2**70}}
    assert pickled.parse(pickle.dumps(value, protocol))[0] == value


@pytest.mark.parametrize(
    "data",
    [b"", b".", b"\x80\x02", b"\x80\x02}q\x00h\x05.", b"(((", b"N0N0.", b"\x80\x02Nb.", b"Nte."],
)
def test_broken_pickles(data: bytes) -> None:
    with pytest.raises(ValueError, match="unreadable pickle"):
        pickled.parse(data)


def safetensors_bytes(header: object, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


ENTRY = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"1234567",
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", 100) + b"{}",
        safetensors_bytes(b"[]"),
        safetensors_bytes(b"{nonsense"),
        safetensors_bytes(b"\xff\xfe"),
        safetensors_bytes(b"[" * 100_000),
        safetensors_bytes({"w": 3}),
        safetensors_bytes({"w": {}}),
        safetensors_bytes({"w": ENTRY}),
        safetensors_bytes({"w": ENTRY}, b"1234"),
        safetensors_bytes({"w": ENTRY}, b"x" * 9),
        safetensors_bytes({"w": ENTRY, "v": ENTRY}, b"x" * 8),
        safetensors_bytes(b'{"w":{"dtype":"I8","shape":[1],"data_offsets":[0,1]},"w":3}', b"x"),
        safetensors_bytes({"w": {**ENTRY, "dtype": "F7"}}, b"x" * 8),
        safetensors_bytes({"w": {**ENTRY, "dtype": ["F32"]}}, b"x" * 8),
        safetensors_bytes({"w": {**ENTRY, "shape": [-2]}}, b"x" * 8),
        safetensors_bytes({"w": {**ENTRY, "shape": [2.0]}}, b"x" * 8),
        safetensors_bytes({"w": {**ENTRY, "shape": "2"}}, b"x" * 8),
        safetensors_bytes({"w": {**ENTRY, "shape": [2**62, 4]}}, b"x" * 8),
        safetensors_bytes({"w": {**ENTRY, "shape": [2**40, 2**40, 0]}}, b"x" * 8),
        safetensors_bytes({"w": {**ENTRY, "shape": [1] * 40 + [2]}}, b"x" * 8),
        safetensors_bytes({"w": {**ENTRY, "data_offsets": [0]}}, b"x" * 8),
        safetensors_bytes({"w": {**ENTRY, "data_offsets": [8, 0]}}, b"x" * 8),
        safetensors_bytes({"w": {**ENTRY, "data_offsets": [-8, 0]}}, b"x" * 8),
        safetensors_bytes({"w": {**ENTRY, "data_offsets": [4, 12]}}, b"x" * 12),
        safetensors_bytes({"w": {**ENTRY, "data_offsets": [0, True]}}, b"x"),
        safetensors_bytes({"w": {"dtype": "BOOL", "shape": [1], "data_offsets": [0, 1]}}, b"\2"),
        safetensors_bytes({"__metadata__": {"a": 1}}),
    ],
)
def test_broken_safetensors(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"load_weights: .*w\.safetensors"):
        load_weights(path)


def npy_bytes(header: str, data: bytes = b"") -> bytes:
    text = header.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"nonsense",
        npy_bytes("{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", b"1234"),
        npy_bytes("{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", b"x" * 9),
        npy_bytes("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999,)}"),
        npy_bytes("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}"),
        npy_bytes("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", b"x" * 8),
        npy_bytes("{'descr': '<U3', 'fortran_order': False, 'shape': (1,)}", b"x" * 12),
        npy_bytes("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}", b"x" * 4),
        npy_bytes("__import__('os').getcwd()"),
    ],
)
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_broken_npz(tmp_path: Path, content: bytes, method: int) -> None:
    path = tmp_path / "w.npz"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("w.npy", content)
    with pytest.raises(ValueError, match=r"load_weights: .*w\.npz"):
        load_weights(path)


def test_npz_that_is_no_zip_or_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "w.npz"
    path.write_bytes(b"PK\x03\x04 but no more")
    with pytest.raises(ValueError, match="load_weights"):
        load_weights(path)
    np.savez_compressed(path, w=RNG.normal(size=200))
    whole = path.read_bytes()
    for position in range(0, len(whole), 7):
        damaged = bytearray(whole)
        damaged[position] ^= 0xFF
        path.write_bytes(damaged)
        try:
            load_weights(path)
        except ValueError as error:
            assert "load_weights" in str(error)  # noqa: PT017


def test_every_cut_of_every_format_is_refused(tmp_path: Path) -> None:
    paths = [tmp_path / "a.safetensors", tmp_path / "a.npz"]
    for path in paths:
        save_weights(path, {"w": np.arange(9.0), "v": np.ones(2, np.float32)})
    try:
        import torch

        for zipped in (True, False):
            paths.append(tmp_path / f"{zipped}.pth")
            torch.save({"w": torch.ones(3)}, paths[-1], _use_new_zipfile_serialization=zipped)
    except ImportError:
        pass
    for path in paths:
        whole = path.read_bytes()
        load_weights(path)
        for length in range(0, len(whole) - 1, max(1, len(whole) // 60)):
            path.write_bytes(whole[:length])
            with pytest.raises(ValueError, match="load_weights"):
                load_weights(path)


def test_random_damage_is_refused_or_harmless(tmp_path: Path) -> None:
    """Nothing but ValueError comes of a damaged file, whatever zipfile thinks of it."""
    save_weights(tmp_path / "a.safetensors", STATE, {"m": "x"})
    save_weights(tmp_path / "a.npz", STATE, {"m": "x"})
    np.savez_compressed(tmp_path / "b.npz", **STATE)
    wholes = [(path.suffix, path.read_bytes()) for path in tmp_path.iterdir()]
    rng = np.random.default_rng(0)
    for i in range(600):
        suffix, whole = wholes[i % len(wholes)]
        damaged = bytearray(whole)
        for _ in range(int(rng.choice([1, 2, 8]))):
            at, length = int(rng.integers(len(damaged))), int(rng.integers(1, 9))
            replacement = rng.bytes(length) if rng.random() < 0.7 else b""
            damaged[at : at + length] = replacement
        path = tmp_path / f"z{suffix}"
        path.write_bytes(damaged)
        try:
            load_weights(path)
        except ValueError as error:
            assert "load_weights: " in str(error)  # noqa: PT017


def test_other_suffixes_and_types(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="suffix"):
        load_weights(tmp_path / "a.pkl")
    with pytest.raises(ValueError, match="suffix"):
        save_weights(tmp_path / "a.pkl", {})
    with pytest.raises(FileNotFoundError):
        load_weights(tmp_path / "none.npz")
    for suffix in (".npz", ".safetensors"):
        with pytest.raises(TypeError, match="'w'"):
            save_weights(tmp_path / f"a{suffix}", {"w": np.array(["text"])})
        with pytest.raises(TypeError, match="'w' is no array"):
            save_weights(tmp_path / f"a{suffix}", {"w": [1, 2]})
    assert not list(tmp_path.iterdir())


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")

    def interrupted() -> None:
        with replacing(path) as file:
            file.write(b"half of the n")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin"]


def test_save_and_load_as_pytorch_code_calls_them(tmp_path: Path) -> None:
    import fastconv
    from fastconv.models import simple_cnn

    model, again = simple_cnn(), simple_cnn()
    path = tmp_path / "net.safetensors"
    fastconv.save(model.state_dict(), path)
    again.load_state_dict(fastconv.load(path, map_location="cpu", weights_only=True))
    same(
        {name: np.asarray(value.data) for name, value in model.state_dict().items()},
        {name: np.asarray(value.data) for name, value in again.state_dict().items()},
    )
    with pytest.raises(TypeError, match="state dictionary"):
        fastconv.save(model, path)
    for name in ("checkpoint.pth.tar", "net"):  # PyTorch's format, whatever the suffix
        fastconv.save({"epoch": 3, "state": model.state_dict()}, tmp_path / name)
        loaded = fastconv.load(tmp_path / name)
        assert loaded["epoch"] == 3
        again.load_state_dict(loaded["state"])


def test_checkpoints_in_pytorchs_format(tmp_path: Path) -> None:
    """Nests of containers written to .pth come back, here and in PyTorch, and from it."""
    import fastconv

    path, weight = tmp_path / "net.pth", np.arange(6.0).reshape(2, 3).T
    state = OrderedDict(w=weight, b=np.array(7), half=np.ones(3, np.float16), none=np.ones((0, 2)))
    checkpoint = {
        "epoch": 3, "best": 0.25, "huge": -(2**70), "name": "ü", "done": False, "nothing": None,
        "state_dict": state, "again": weight, "optimizer": {"state": {0: {"m": weight}},
        "param_groups": [{"lr": 1e-3, "betas": (0.9, 0.99), "params": [0, 1]}]},
    }  # fmt: skip

    def check(loaded: dict) -> None:
        assert list(loaded) == list(checkpoint)
        for key in ("epoch", "best", "huge", "name", "done", "nothing"):
            assert loaded[key] == checkpoint[key]
            assert type(loaded[key]) is type(checkpoint[key])
        arrays = {k: np.asarray(v) for k, v in loaded["state_dict"].items()}
        same(arrays, dict(state))
        assert loaded["optimizer"]["param_groups"] == checkpoint["optimizer"]["param_groups"]
        np.testing.assert_array_equal(loaded["optimizer"]["state"][0]["m"], weight)
        np.testing.assert_array_equal(loaded["again"], weight)

    fastconv.save(checkpoint, path)
    check(fastconv.load(path))
    same(load_weights(path), dict(state))
    assert isinstance(fastconv.load(path)["again"], fastconv.Tensor)
    try:
        import torch
    except ImportError:
        return
    loaded = torch.load(path, weights_only=True)
    check(loaded)
    for zipped in (True, False):
        torch.save(loaded, path, _use_new_zipfile_serialization=zipped)
        check(fastconv.load(path))


def test_what_is_not_written_to_pytorchs_format(tmp_path: Path) -> None:
    import fastconv

    path, ring = tmp_path / "a.pth", []
    ring.append(ring)
    for obj, error, words in (
        ({"model": fastconv.nn.ReLU()}, TypeError, r"obj\['model'\] is a ReLU"),
        ({"w": np.array(["text"])}, TypeError, r"obj\['w'\] has dtype"),
        ({(1, 2): 3}, TypeError, "a tuple as a key"),
        (ring, ValueError, "contains itself"),
    ):
        with pytest.raises(error, match=words):
            fastconv.save(obj, path)
    assert not path.exists()


def test_a_nest_that_shares_its_parts_is_read_in_no_time(tmp_path: Path) -> None:
    import fastconv

    nest: list = []
    for _ in range(100):  # 2^100 lists, written out
        nest = [nest, nest]
    path = tmp_path / "a.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", pickle.dumps(nest, protocol=2))
    assert len(fastconv.load(path)) == 2


def test_open_files() -> None:
    """What scripts do that keep checkpoints in memory."""
    buffer = io.BytesIO()
    fastconv.save({"epoch": 3, "w": fastconv.ones(2, 3)}, buffer)
    buffer.seek(0)
    loaded = fastconv.load(buffer, map_location="cpu")
    assert loaded["epoch"] == 3
    np.testing.assert_array_equal(loaded["w"].numpy(), np.ones((2, 3)))
    with pytest.raises(ValueError, match="unreadable pickle"):
        fastconv.load(io.BytesIO(b"nothing of that kind"))
