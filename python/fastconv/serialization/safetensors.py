"""The safetensors format: a length, a JSON header, then the bytes of every tensor.

Layout: 8 bytes little-endian header length, the header, data.  The header maps names to
``{"dtype", "shape", "data_offsets": [begin, end)}``, and ``"__metadata__"`` to strings.  It is read
here, not with the package of that name, because that package cannot give bfloat16 to NumPy and the
core needs NumPy alone; the tests hold both against each other.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .files import replacing
from .limits import MAX_TENSORS, as_bytes, bfloat16_to_float32, checked_bytes, fail

__all__ = ["read", "read_header", "write"]

MAX_HEADER = 64 * 2**20
_DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2",
    "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "|i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "|u1", "BOOL": "|b1",
}  # fmt: skip
_NAMES = {np.dtype(v): k for k, v in _DTYPES.items() if k != "BF16"}


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("a name appears twice")
    return table


def _header(file: BufferedReader, path: Path) -> tuple[dict[str, Any], int, int]:
    """The parsed header, where the data begins and how many bytes of it there are."""
    size = os.fstat(file.fileno()).st_size
    length = int.from_bytes(file.read(8), "little")
    if size < 8 or length > min(size - 8, MAX_HEADER):
        raise fail(path, "not a safetensors file, or cut off (header length out of range)")
    try:
        header = json.loads(file.read(length), object_pairs_hook=_no_duplicates)
    except (ValueError, RecursionError) as error:
        raise fail(path, f"not a safetensors file (header: {error})") from None
    if not isinstance(header, dict) or len(header) > MAX_TENSORS:
        raise fail(path, "not a safetensors file (the header is no table of tensors)")
    return header, 8 + length, size - 8 - length


def read_header(path: Path) -> tuple[dict[str, tuple[str, list[int]]], dict[str, str]]:
    """Names with dtype and shape, and the metadata, of a checked file; no data is read."""
    with path.open("rb") as file:
        header, _, stored = _header(file, path)
    metadata = _metadata(header, path)
    _check(header, stored, path)
    names = {name: _dtype_name(entry["dtype"]) for name, entry in header.items()}
    return {name: (names[name], entry["shape"]) for name, entry in header.items()}, metadata


def _dtype_name(code: str) -> str:
    return "bfloat16" if code == "BF16" else np.dtype(_DTYPES[code]).name


def _metadata(header: dict[str, Any], path: Path) -> dict[str, str]:
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise fail(path, "__metadata__ must map names to strings")
    return metadata


def _check(header: dict[str, Any], stored: int, path: Path) -> None:
    """Every tensor lies in the file, has the bytes its shape needs, and shares none."""
    spans = []
    for name, entry in header.items():
        try:
            dtype, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
        except (TypeError, KeyError, ValueError):
            raise fail(path, f"tensor {name!r} has an incomplete header entry") from None
        if not isinstance(dtype, str) or dtype not in _DTYPES:
            raise fail(path, f"tensor {name!r} has dtype {dtype!r}, which NumPy has not")
        if not isinstance(shape, list) or type(begin) is not int or type(end) is not int:
            raise fail(path, f"tensor {name!r} has a malformed header entry")
        needed = checked_bytes(path, name, shape, np.dtype(_DTYPES[dtype]).itemsize)
        if not 0 <= begin <= end <= stored or end - begin != needed:
            raise fail(
                path,
                f"tensor {name!r} of shape {shape} needs {needed} bytes, but the header places it "
                f"at {begin}..{end} of {stored} bytes of data",
            )
        spans.append((begin, end))
    position = 0
    for begin, end in sorted(spans):
        if begin != position:
            raise fail(path, "the tensors overlap or leave gaps between them")
        position = end
    if position != stored:
        raise fail(path, f"{stored - position} bytes at the end belong to no tensor")


def read(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """All tensors, bfloat16 widened to float32, and the metadata."""
    with path.open("rb") as file:
        header, start, stored = _header(file, path)
        metadata = _metadata(header, path)
        _check(header, stored, path)
        tensors: dict[str, NDArray[Any]] = {}
        for name, entry in header.items():
            array = np.empty(entry["shape"], np.dtype(_DTYPES[entry["dtype"]]))
            file.seek(start + entry["data_offsets"][0])
            if file.readinto(as_bytes(array)) != array.nbytes:
                raise fail(path, f"cut off in tensor {name!r}")
            if entry["dtype"] == "BF16":
                array = bfloat16_to_float32(array)
            elif entry["dtype"] == "BOOL" and array.view(np.uint8).max(initial=0) > 1:
                raise fail(path, f"tensor {name!r} has bytes that are neither true nor false")
            tensors[name] = array.astype(array.dtype.newbyteorder("="), copy=False)
    return tensors, metadata


def write(
    path: Path, tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, str] | None
) -> None:
    """Write tensors and metadata; the file appears whole or not at all."""
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    arrays, position = [], 0
    # Wider types first keep every tensor aligned to its item size, as the package does.
    for name in sorted(tensors, key=lambda n: (-tensors[n].dtype.itemsize, n)):
        array = tensors[name]
        dtype = array.dtype.newbyteorder("<")
        if dtype not in _NAMES:
            raise TypeError(f"save_weights: {name!r} has dtype {array.dtype}, which has no place")
        # ascontiguousarray would make a 0-d array 1-d; only its bytes are wanted here
        arrays.append(np.ascontiguousarray(array.astype(dtype, copy=False)))
        offsets = [position, position + array.nbytes]
        header[name] = {
            "dtype": _NAMES[dtype], "shape": list(array.shape), "data_offsets": offsets
        }  # fmt: skip
        position += array.nbytes
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    with replacing(path) as file:
        file.write(len(text).to_bytes(8, "little"))
        file.write(text)
        for array in arrays:
            file.write(as_bytes(array))
