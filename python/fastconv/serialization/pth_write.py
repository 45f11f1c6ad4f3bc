"""Writing PyTorch's files (.pth, .pt): the zip archive that ``torch.load`` reads since PyTorch 1.6.

The pickle in it is put together here opcode by opcode, of containers, numbers, text and the one
call that PyTorch makes for each tensor. Nothing is pickled by Python, so nothing else can get in.
"""

from __future__ import annotations

import struct
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .files import replacing

__all__ = ["write"]

_STORAGES = {
    "float64": "DoubleStorage", "float32": "FloatStorage", "float16": "HalfStorage",
    "bfloat16": "BFloat16Storage", "int64": "LongStorage", "int32": "IntStorage",
    "int16": "ShortStorage", "int8": "CharStorage", "uint8": "ByteStorage", "bool": "BoolStorage",
}  # fmt: skip


class _Pickle:
    """The opcodes of one value, and the arrays that they refer to."""

    def __init__(self) -> None:
        self.code = bytearray(b"\x80\x02")  # protocol 2
        self.arrays: list[NDArray[Any]] = []
        self.keys: dict[int, int] = {}  # id of an array: its storage
        self.open: list[int] = []  # containers being written

    def value(self, value: Any, where: str) -> None:
        tensor = getattr(value, "data", None) if not isinstance(value, np.ndarray) else value
        if isinstance(value, np.generic):
            value = value.item()
        if value is None:
            self.code += b"N"
        elif isinstance(value, bool):
            self.code += b"\x88" if value else b"\x89"
        elif isinstance(value, int):
            self._int(value)
        elif isinstance(value, float):
            self.code += b"G" + struct.pack(">d", value)
        elif isinstance(value, str):
            text = value.encode()
            self.code += b"X" + struct.pack("<I", len(text)) + text
        elif isinstance(tensor, np.ndarray):
            self._tensor(tensor, where)
        elif isinstance(value, (Mapping, list, tuple)):
            if id(value) in self.open:
                raise ValueError(f"save: {where} contains itself")
            self.open.append(id(value))
            self._container(value, where)
            self.open.pop()
        else:
            raise TypeError(
                f"save: {where} is a {type(value).__name__}; tensors, arrays, numbers, text and "
                "containers of them can be written"
            )

    def _int(self, value: int) -> None:
        if -(2**31) <= value < 2**31:
            self.code += b"J" + struct.pack("<i", value)
            return
        length = value.bit_length() // 8 + 1
        if length > 255:
            raise ValueError(f"save: a number of {length} bytes is too large")
        self.code += b"\x8a" + bytes([length]) + value.to_bytes(length, "little", signed=True)

    def _container(self, value: Any, where: str) -> None:
        if isinstance(value, Mapping):
            ordered = isinstance(value, OrderedDict)
            self.code += b"ccollections\nOrderedDict\n)R(" if ordered else b"}("
            for key, item in value.items():
                if not isinstance(key, (str, int, float)):
                    raise TypeError(f"save: {where} has a {type(key).__name__} as a key")
                self.value(key, where)
                self.value(item, f"{where}[{key!r}]")
            self.code += b"u"
            return
        self.code += b"(" if isinstance(value, tuple) else b"]("
        for i, item in enumerate(value):
            self.value(item, f"{where}[{i}]")
        self.code += b"t" if isinstance(value, tuple) else b"e"

    def _tensor(self, array: NDArray[Any], where: str) -> None:
        storage = _STORAGES.get(array.dtype.name)
        if storage is None:
            raise TypeError(f"save: {where} has dtype {array.dtype}, which PyTorch does not have")
        key = self.keys.setdefault(id(array), len(self.arrays))
        if key == len(self.arrays):
            self.arrays.append(array)
        strides: list[int] = []
        step = 1
        for n in reversed(array.shape):
            strides.insert(0, step)
            step *= max(n, 1)
        self.code += b"ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storage"
        self.code += f"ctorch\n{storage}\n".encode()
        self.value(str(key), where)
        self.value("cpu", where)
        self._int(array.size)
        self.code += b"tQ"  # the reference to the storage
        self._int(0)
        self._container(tuple(array.shape), where)
        self._container(tuple(strides), where)
        self.code += b"\x89ccollections\nOrderedDict\n)RtR"  # no gradient wanted, no hooks


def write(path: Path, value: Any) -> None:
    """Write nested containers of tensors, numbers and text, whole or not at all."""
    pickle = _Pickle()
    pickle.value(value, "obj")
    with replacing(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        folder = path.stem or "archive"
        archive.writestr(f"{folder}/data.pkl", bytes(pickle.code) + b".")
        archive.writestr(f"{folder}/byteorder", "little")
        for key, array in enumerate(pickle.arrays):
            little = array.dtype.newbyteorder("<") if array.dtype.kind in "fiu" else array.dtype
            with archive.open(f"{folder}/data/{key}", "w", force_zip64=True) as member:
                member.write(np.ascontiguousarray(array, little).tobytes())
        archive.writestr(f"{folder}/version", "3\n")
