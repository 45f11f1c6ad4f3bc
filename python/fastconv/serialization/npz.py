"""NumPy archives (.npz), read with every declared size checked first and no object arrays."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from .files import replacing
from .limits import MAX_BYTES, MAX_TENSORS, as_bytes, checked_bytes, fail

__all__ = ["METADATA", "read", "read_header", "read_metadata", "write"]

METADATA = "__metadata__.json"  # the member that holds the metadata, as UTF-8 JSON bytes
_DEFLATE_LIMIT = 1032  # no deflate stream can expand more than this
_MAX_METADATA = 2**20


def _npy_header(file: IO[bytes], path: Path, name: str) -> tuple[tuple[int, ...], bool, Any, int]:
    """(shape, fortran order, dtype, bytes of data) of a member, checked."""
    try:
        version = npy.read_magic(file)
        if version == (1, 0):
            shape, fortran, dtype = npy.read_array_header_1_0(file)
        elif version == (2, 0):
            shape, fortran, dtype = npy.read_array_header_2_0(file)
        else:
            raise ValueError(f"unknown version {version}")
    except (ValueError, EOFError, SyntaxError, RecursionError, MemoryError) as error:
        raise fail(path, f"{name!r} is not a NumPy array ({error})") from None
    if dtype.kind not in "biuf" or dtype.itemsize > 8:
        raise fail(path, f"{name!r} has dtype {dtype}; only numbers are read, never objects")
    return shape, fortran, dtype, checked_bytes(path, name, shape, dtype.itemsize)


def _members(archive: zipfile.ZipFile, path: Path) -> list[zipfile.ZipInfo]:
    """The archive's members, after checking what they claim about themselves."""
    members = archive.infolist()
    size = path.stat().st_size
    if len(members) > MAX_TENSORS or len({m.filename for m in members}) != len(members):
        raise fail(path, "too many members, or one name twice")
    for member in members:
        if member.flag_bits & 1 or member.compress_type not in (
            zipfile.ZIP_STORED,
            zipfile.ZIP_DEFLATED,
        ):
            raise fail(path, f"member {member.filename!r} is encrypted or oddly compressed")
        if member.compress_size > size or (
            member.file_size > member.compress_size * _DEFLATE_LIMIT + 64
        ):
            raise fail(path, f"member {member.filename!r} declares more bytes than are stored")
    if sum(member.file_size for member in members) > MAX_BYTES:
        raise fail(path, f"declares more than {MAX_BYTES} bytes")
    return members


def read_header(path: Path) -> dict[str, tuple[str, list[int]]]:
    """Names with dtype and shape; no data is read."""
    found = {}
    with _open(path) as archive:
        for member in _members(archive, path):
            if member.filename != METADATA:
                with archive.open(member) as file:
                    shape, _, dtype, _ = _npy_header(file, path, member.filename)
                found[member.filename.removesuffix(".npy")] = (str(dtype), list(shape))
    return found


def _open(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise fail(path, f"not an .npz archive ({error})") from None


def read_metadata(path: Path) -> bytes:
    """The metadata as stored, or an empty table."""
    with _open(path) as archive:
        if not any(member.filename == METADATA for member in _members(archive, path)):
            return b"{}"
        with archive.open(METADATA) as file:
            return file.read(_MAX_METADATA)


def read(path: Path) -> dict[str, NDArray[Any]]:
    """All arrays."""
    tensors: dict[str, NDArray[Any]] = {}
    with _open(path) as archive:
        try:
            for member in _members(archive, path):
                if member.filename == METADATA:
                    continue
                with archive.open(member) as file:
                    name = member.filename.removesuffix(".npy")
                    shape, fortran, dtype, needed = _npy_header(file, path, name)
                    if file.tell() + needed != member.file_size:
                        raise fail(
                            path,
                            f"{name!r} of shape {shape} needs {needed} bytes, "
                            f"but {member.file_size - file.tell()} are there",
                        )
                    array: NDArray[Any] = np.empty(shape, dtype, order="F" if fortran else "C")
                    _fill(file, as_bytes(array), path, name)
                    tensors[name] = array.astype(dtype.newbyteorder("="), copy=False)
                    if file.read(1):
                        raise fail(path, f"{name!r} holds more than it declares")
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
            raise fail(path, f"damaged archive ({error})") from None
    return tensors


def _fill(file: IO[bytes], buffer: memoryview, path: Path, name: str) -> None:
    """Read exactly ``len(buffer)`` bytes."""
    done = 0
    while done < len(buffer):
        chunk = file.read(min(len(buffer) - done, 2**20))
        if not chunk:
            raise fail(path, f"{name!r} is cut off")
        buffer[done : done + len(chunk)] = chunk
        done += len(chunk)


def write(path: Path, tensors: Mapping[str, NDArray[Any]], metadata: bytes | None) -> None:
    """Write an archive that ``np.load`` reads too."""
    for name, array in tensors.items():
        if array.dtype.kind not in "biuf":
            raise TypeError(f"save_weights: {name!r} has dtype {array.dtype}, which has no place")
    with replacing(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, array in tensors.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                npy.write_array(member, array, allow_pickle=False)
        if metadata is not None:
            archive.writestr(METADATA, metadata)
