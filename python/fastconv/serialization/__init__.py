"""Files of weights: ``.safetensors``, ``.npz`` and PyTorch's ``.pth``, both ways.

A file is data from strangers.  Headers, counts and sizes are checked against the bytes that are
there before memory is allocated, nothing in a file is executed, and a file is written whole or not
at all.
"""

from __future__ import annotations

import errno
import json
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from . import npz, pth, pth_write, safetensors
from .limits import fail

__all__ = [
    "describe_weights",
    "load",
    "load_metadata",
    "load_weights",
    "save",
    "save_weights",
]

_READABLE = (".safetensors", ".npz", ".pth", ".pt")
_WRITABLE = _READABLE
_PYTORCH = (".pth", ".pt")
_OWN = (".safetensors", ".npz")


def _suffix(name: str, path: str | os.PathLike[str], known: tuple[str, ...]) -> Path:
    path = Path(path)
    if path.suffix not in known:
        raise ValueError(f"{name}: {path}: the file's suffix must be one of {', '.join(known)}")
    return path


# What the standard library raises for a damaged archive, in one version of Python or another.
_DAMAGE = (
    ValueError, KeyError, IndexError, TypeError, OverflowError, EOFError, RuntimeError,
    zipfile.BadZipFile, zlib.error, struct.error,
)  # fmt: skip


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Whatever is wrong with a file's content becomes one kind of error, which names the file."""
    try:
        yield
    except _DAMAGE as error:
        if str(error).startswith("load_weights: "):
            raise
        raise fail(path, f"damaged ({type(error).__name__}: {error})") from None
    except OSError as error:
        if error.errno != errno.EINVAL:  # that is a seek to where no file can be
            raise
        raise fail(path, "damaged (an offset is out of range)") from None


def load_weights(path: str | os.PathLike[str]) -> dict[str, NDArray[Any]]:
    """Read a file of weights into arrays by name.

    Parameters
    ----------
    path : path
        A ``.safetensors`` or ``.npz`` file, or PyTorch's ``.pth`` with a state dictionary.

    Returns
    -------
    dict of str to ndarray
        What ``Module.load_state_dict`` takes; bfloat16 comes as float32.

    Raises
    ------
    ValueError
        If the file is damaged, hostile, or of another format; nothing in it is executed.
    OSError
        If it cannot be opened.
    """
    path = _suffix("load_weights", path, _READABLE)
    with _reading(path):
        if path.suffix == ".safetensors":
            return safetensors.read(path)[0]
        if path.suffix == ".npz":
            return npz.read(path)
        return pth.read(path)


def describe_weights(path: str | os.PathLike[str]) -> dict[str, tuple[str, list[int]]]:
    """The dtype and shape of every tensor in a file, whose data stay unread but for .pth.

    Raises what `load_weights` raises.
    """
    path = _suffix("describe_weights", path, _READABLE)
    with _reading(path):
        if path.suffix == ".safetensors":
            return safetensors.read_header(path)[0]
        if path.suffix == ".npz":
            return npz.read_header(path)
        return {name: (str(a.dtype), list(a.shape)) for name, a in pth.read(path).items()}


def load_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """The metadata that `save_weights` stored in a ``.safetensors`` or ``.npz`` file."""
    path = _suffix("load_metadata", path, _READABLE)
    if path.suffix == ".safetensors":
        with _reading(path):
            return safetensors.read_header(path)[1]
    if path.suffix != ".npz":
        return {}
    with _reading(path):
        metadata = json.loads(npz.read_metadata(path))
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise fail(path, "metadata must map names to strings")
    return metadata


def save_weights(
    path: str | os.PathLike[str],
    tensors: Mapping[str, Any],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write tensors or arrays to a file (.safetensors, .npz or .pth), whole or not at all.

    Raises
    ------
    ValueError
        If the suffix is another, or for `metadata` in a ``.pth``, which has no place for it.
    TypeError
        If something is not an array of numbers.
    """
    path = _suffix("save_weights", path, _WRITABLE)
    arrays: dict[str, NDArray[Any]] = {}
    for name, value in tensors.items():
        array = getattr(value, "data", None) if not isinstance(value, np.ndarray) else value
        if not isinstance(array, np.ndarray):
            raise TypeError(f"save_weights: {name!r} is no array but {type(value).__name__}")
        arrays[name] = array
    if path.suffix in _PYTORCH:
        if metadata is not None:
            raise ValueError(f"save_weights: {path}: there is no place for metadata in this format")
        pth_write.write(path, arrays)
    elif path.suffix == ".safetensors":
        safetensors.write(path, arrays, metadata)
    else:
        text = None if metadata is None else json.dumps(dict(metadata)).encode()
        npz.write(path, arrays, text)


def save(obj: Any, f: str | os.PathLike[str] | BinaryIO) -> None:
    """As ``torch.save``.

    Parameters
    ----------
    obj
        A state dictionary; in PyTorch's format any nest of dictionaries, lists and
        tuples with tensors, arrays, numbers and text in it, such as a checkpoint.
    f : path or open binary file
        ``.safetensors`` and ``.npz`` say those formats; with any other suffix, or none, it is
        PyTorch's, which ``torch.load`` reads.

    Raises
    ------
    TypeError
        If ``obj`` holds anything else: whole models are not pickled.
    """
    if not isinstance(f, (str, os.PathLike)):
        with TemporaryDirectory() as folder:
            save(obj, Path(folder, "archive.pth"))
            f.write(Path(folder, "archive.pth").read_bytes())
        return
    path = Path(f)
    if path.suffix not in _OWN:
        pth_write.write(path, obj)
        return
    if not isinstance(obj, Mapping):
        raise TypeError(f"save: expected a state dictionary, got {type(obj).__name__}")
    save_weights(path, obj)


def load(
    f: str | os.PathLike[str] | BinaryIO, map_location: Any = None, *, weights_only: bool = True
) -> Any:
    """As ``torch.load``: what was saved, with tensors in it; see `load_weights` for files.

    An open binary file is read in PyTorch's format.

    ``map_location`` and ``weights_only`` are accepted for PyTorch's sake; there is one device, and
    nothing but containers of tensors, numbers and text is ever read.
    """
    from ..tensor import Tensor

    if not isinstance(f, (str, os.PathLike)):
        with TemporaryDirectory() as folder:
            Path(folder, "archive.pth").write_bytes(f.read())
            return load(Path(folder, "archive.pth"))
    path = Path(f)
    if path.suffix in _OWN:
        return {name: Tensor(array) for name, array in load_weights(path).items()}
    with _reading(path):
        return pth.read_object(path, Tensor)
