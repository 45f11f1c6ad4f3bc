"""PyTorch's files (.pth, .pt), read without PyTorch and without executing anything in them.

Two formats: since PyTorch 1.6 a zip archive of ``data.pkl`` and one raw member per storage; before
that pickles one after another, followed by the storages.  Every tensor is a view of a storage:
(storage, offset, size, stride), checked against the bytes that are really there.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .limits import MAX_BYTES, MAX_TENSORS, bfloat16_to_float32, checked_bytes, fail
from .pickled import Call, Name, Persistent, parse

__all__ = ["read", "read_object"]

MAX_PICKLE = 16 * 2**20
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_DTYPES = {
    "DoubleStorage": "f8", "FloatStorage": "f4", "HalfStorage": "f2", "BFloat16Storage": "u2",
    "LongStorage": "i8", "IntStorage": "i4", "ShortStorage": "i2", "CharStorage": "i1",
    "ByteStorage": "u1", "BoolStorage": "u1",
}  # fmt: skip

_UTILS = "torch._utils"
_REBUILDERS = (f"{_UTILS}._rebuild_tensor_v2", f"{_UTILS}._rebuild_tensor")
_INSIDE = ("state_dict", "model_state_dict", "model")  # where checkpoints keep the weights

Storages = Callable[[str, int], bytes]  # (key, bytes wanted) -> the bytes
Finish = Callable[[Path, Any, Storages], Any]  # what to make of the parsed pickle


def read(path: Path) -> dict[str, NDArray[Any]]:
    """The tensors of a saved state dictionary, under their names.

    A checkpoint that holds the state dictionary under ``state_dict`` or ``model`` is understood.
    """
    state: dict[str, NDArray[Any]] = _read(path, _tensors)
    return state


def read_object(path: Path, tensor: Callable[[NDArray[Any]], Any]) -> Any:
    """All that was saved: nested containers, numbers, text, and what `tensor` makes of arrays."""
    return _read(path, partial(_contents, tensor))


def _read(path: Path, finish: Finish) -> Any:
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise fail(path, f"has {size} bytes; the limit is {MAX_BYTES}")
    if zipfile.is_zipfile(path):
        return _read_zip(path, finish)
    return _read_legacy(path, finish)


def _read_zip(path: Path, finish: Finish) -> Any:
    try:
        with zipfile.ZipFile(path) as archive:
            members = {member.filename: member for member in archive.infolist()}
            pickles = [name for name in members if name.endswith("/data.pkl")]
            if len(pickles) != 1 or len(members) > MAX_TENSORS:
                raise fail(path, "not a PyTorch file (no data.pkl, or too many members)")
            folder = pickles[0][: -len("data.pkl")]
            order = members.get(folder + "byteorder")
            if order is not None and archive.read(order).strip() != b"little":
                raise fail(path, "stored in big-endian order")

            def storage(key: str, wanted: int) -> bytes:
                member = members.get(f"{folder}data/{key}")
                if member is None or member.compress_type != zipfile.ZIP_STORED:
                    raise fail(path, f"storage {key!r} is missing or compressed")
                if member.file_size != wanted or member.compress_size != wanted:
                    raise fail(path, f"storage {key!r} has {member.file_size} bytes, not {wanted}")
                return archive.read(member)

            member = members[pickles[0]]
            if member.file_size > MAX_PICKLE or member.compress_type != zipfile.ZIP_STORED:
                raise fail(path, "data.pkl is too large or compressed")
            value, _ = _parse(path, archive.read(member), 0)
            return finish(path, value, storage)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        raise fail(path, f"damaged archive ({error})") from None


def _read_legacy(path: Path, finish: Finish) -> Any:
    with path.open("rb") as file:
        head = file.read(MAX_PICKLE)  # all five pickles come before the first storage
        magic, position = _parse(path, head, 0)
        if magic != _LEGACY_MAGIC:
            raise fail(path, "not a PyTorch file")
        _, position = _parse(path, head, position)  # protocol version
        system, position = _parse(path, head, position)
        if not isinstance(system, dict) or not system.get("little_endian", True):
            raise fail(path, "stored in big-endian order")
        value, position = _parse(path, head, position)
        keys, position = _parse(path, head, position)
        if not isinstance(keys, list) or not all(isinstance(key, (str, int)) for key in keys):
            raise fail(path, "not a PyTorch file (no list of storages)")
        # Then, for each key: int64 element count and the elements, whose size the tensors know.
        try:
            itemsizes = _storage_sizes(value)
        except ValueError as error:
            raise fail(path, str(error)) from None
        size = path.stat().st_size
        spans: dict[str, tuple[int, int]] = {}
        for key in map(str, keys):
            file.seek(position)
            count = int.from_bytes(file.read(8), "little", signed=True)
            length = count * itemsizes.get(key, 1)
            position += 8
            if count < 0 or position + length > size:
                raise fail(path, f"cut off in storage {key!r}")
            spans[key] = (position, length)
            position += length

        def storage(key: str, wanted: int) -> bytes:
            begin, length = spans.get(key, (0, -1))
            if length != wanted:
                raise fail(path, f"storage {key!r} has {length} bytes, not {wanted}")
            file.seek(begin)
            return file.read(length)

        return finish(path, value, storage)


def _parse(path: Path, data: bytes, start: int) -> tuple[Any, int]:
    try:
        return parse(data, start)
    except ValueError as error:
        raise fail(path, str(error)) from None


def _storage_sizes(value: Any) -> dict[str, int]:
    """Item size of every storage that tensors in ``value`` refer to."""
    sizes: dict[str, int] = {}
    todo, seen = [value], set()
    while todo:
        item = todo.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, Persistent):
            dtype, key, _ = _storage_id(item.id)
            sizes[key] = np.dtype(_DTYPES[dtype]).itemsize
        elif isinstance(item, Call):
            todo += [item.args, item.items]
        elif isinstance(item, dict):
            todo += item.values()
        elif isinstance(item, (list, tuple)):
            todo += item
    return sizes


def _storage_id(reference: Any) -> tuple[str, str, int]:
    """(storage type, key, element count) of ``('storage', type, key, device, count, ...)``."""
    if not isinstance(reference, tuple) or len(reference) < 5 or reference[0] != "storage":
        raise ValueError("refers to something that is no storage")
    kind, key, count = reference[1], reference[2], reference[4]
    if not isinstance(kind, Name) or kind.module != "torch" or kind.name not in _DTYPES:
        named = kind if isinstance(kind, Name) else "unknown type"
        raise ValueError(f"has a storage of {named}, which is not read here")
    if type(count) is not int or count < 0 or not isinstance(key, (str, int)):
        raise ValueError("has a malformed reference to a storage")
    return kind.name, str(key), count


def _tensors(path: Path, value: Any, storage: Storages) -> dict[str, NDArray[Any]]:
    state = _state_dict(value)
    tensors: dict[str, NDArray[Any]] = {}
    total = 0
    loaded: dict[str, NDArray[Any]] = {}
    try:
        for key, item in state.items():
            name = str(key)
            tensor = _rebuild(path, name, item, storage, loaded)
            if tensor is not None:
                total += tensor.nbytes
                if total > MAX_BYTES:
                    raise fail(path, f"holds more than {MAX_BYTES} bytes of tensors")
                tensors[name] = tensor
    except ValueError as error:
        if str(error).startswith("load_weights"):
            raise
        raise fail(path, str(error)) from None
    if not tensors:
        raise fail(path, "holds no tensors; a state_dict is expected, not a whole pickled model")
    return tensors


def _contents(
    tensor: Callable[[NDArray[Any]], Any], path: Path, value: Any, storage: Storages
) -> Any:
    """The whole value. What stands in it twice is converted once, so that no nest explodes."""
    loaded: dict[str, NDArray[Any]] = {}
    done: dict[int, Any] = {}
    total = 0

    def convert(item: Any) -> Any:
        if isinstance(item, Call) and str(item.function) == "collections.OrderedDict":
            item = item.items
        if isinstance(item, (Call, dict, list, tuple)):
            if id(item) not in done:
                done[id(item)] = None  # a container within itself finds nothing
                done[id(item)] = whole(item)
            return done[id(item)]
        if isinstance(item, (Name, Persistent)):
            raise fail(path, f"holds {item}, which is no tensor, number, text or container")
        return item

    def whole(item: Any) -> Any:
        nonlocal total
        if isinstance(item, Call):
            array = _rebuild(path, "a tensor", item, storage, loaded)
            assert array is not None  # for a call there is one, or an error
            total += array.nbytes
            if total > MAX_BYTES:
                raise fail(path, f"holds more than {MAX_BYTES} bytes of tensors")
            return tensor(array)
        if isinstance(item, dict):
            return {key: convert(value) for key, value in item.items()}
        return type(item)([convert(value) for value in item])

    try:
        return convert(value)
    except ValueError as error:
        if str(error).startswith("load_weights"):
            raise
        raise fail(path, str(error)) from None
    except RecursionError:
        raise fail(path, "is nested too deeply") from None


def _state_dict(value: Any) -> dict[Any, Any]:
    """The dictionary of tensors in what was saved, looking one level into checkpoints."""
    for _ in range(3):
        if isinstance(value, Call) and str(value.function) == "collections.OrderedDict":
            value = value.items
        if not isinstance(value, dict):
            return {}
        inside = [value[key] for key in _INSIDE if key in value]
        # a parameter may be called "model" too
        if not inside or (isinstance(inside[0], Call) and inside[0].function.module == _UTILS):
            return value
        value = inside[0]
    return {}


def _rebuild(
    path: Path, name: str, item: Any, storage: Storages, loaded: dict[str, NDArray[Any]]
) -> NDArray[Any] | None:
    """The tensor that a recorded call describes; None for what is no tensor."""
    if not isinstance(item, Call):
        return None
    args = item.args if isinstance(item.args, tuple) else ()
    if str(item.function) == f"{_UTILS}._rebuild_parameter" and args and item is not args[0]:
        item = args[0]
        args = item.args if isinstance(item, Call) and isinstance(item.args, tuple) else ()
    if not isinstance(item, Call) or str(item.function) not in _REBUILDERS:
        raise fail(
            path,
            f"{name!r} would call {getattr(item, 'function', 'something')}; "
            "only plain tensors are read and nothing is executed",
        )
    if len(args) < 4 or not isinstance(args[0], Persistent):
        raise fail(path, f"tensor {name!r} is malformed")
    kind, key, count = _storage_id(args[0].id)
    offset, shape, strides = args[1:4]
    dtype = np.dtype("<" + _DTYPES[kind])
    needed = checked_bytes(path, name, shape if isinstance(shape, tuple) else (-1,), dtype.itemsize)
    if not isinstance(strides, tuple) or len(strides) != len(shape):
        raise fail(path, f"tensor {name!r} has malformed strides")
    if any(type(n) is not int or n < 0 for n in (offset, *strides)):
        raise fail(path, f"tensor {name!r} has a negative or malformed offset or stride")
    elements = math.prod(shape)
    last = offset + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
    # A stride of 0 can make a huge tensor of a small storage; weights never are.
    if elements and (last >= count or needed > count * dtype.itemsize):
        raise fail(path, f"tensor {name!r} of shape {shape} reaches beyond its storage of {count}")
    if key not in loaded:
        loaded[key] = np.frombuffer(storage(key, count * dtype.itemsize), dtype)
    flat = loaded[key]
    if flat.dtype != dtype:
        raise fail(path, f"storage {key!r} is used with two types")
    if not elements:
        return np.empty(shape, dtype)
    steps = [s * dtype.itemsize for s in strides]
    view = np.lib.stride_tricks.as_strided(flat[offset:], shape, steps, writeable=False)
    if kind == "BFloat16Storage":
        return bfloat16_to_float32(view)
    if kind == "BoolStorage":
        return np.asarray(view != 0)
    values: NDArray[Any] = view.astype(dtype.newbyteorder("="), order="C")
    return values
