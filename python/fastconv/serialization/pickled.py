"""Reading the pickles in PyTorch's files as data: nothing in them is ever executed.

``pickletools`` splits a pickle into opcodes; the small machine here knows the dozen that build
plain containers and leaves everything else a name.  Where a real unpickler would import and call,
this one records a `Call` of a `Name`, and `pth` recognises the few that describe tensors.
"""

from __future__ import annotations

import io
import pickletools
from dataclasses import dataclass
from typing import Any

__all__ = ["Call", "Name", "Persistent", "parse"]


@dataclass(frozen=True)
class Name:
    """A global that the pickle mentions."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(eq=False)
class Call:
    """A call that the pickle asks for, and that is not made; ``state`` is what follows it."""

    function: Name
    args: Any
    state: Any = None

    def __post_init__(self) -> None:
        self.items: dict[Any, Any] = {}  # what SETITEM puts in, for ordered dictionaries


@dataclass(eq=False)
class Persistent:
    """A reference to something outside the pickle: PyTorch's storages."""

    id: Any


_MARK = object()
_CONSTANTS = {
    "NONE": None,
    "NEWTRUE": True,
    "NEWFALSE": False,
    "EMPTY_TUPLE": (),
}
_VALUES = {
    "BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT", "INT", "LONG", "FLOAT",
    "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "UNICODE", "BINSTRING", "SHORT_BINSTRING",
    "STRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8",
}  # fmt: skip


class _Machine:
    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def mark(self) -> list[Any]:
        """Pop everything above the last mark."""
        for position in range(len(self.stack) - 1, -1, -1):
            if self.stack[position] is _MARK:
                items = self.stack[position + 1 :]
                del self.stack[position:]
                return items
        raise ValueError("no mark")

    def step(self, name: str, arg: Any) -> None:
        stack = self.stack
        if name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in _VALUES:
            stack.append(arg)
        elif name in ("EMPTY_DICT", "EMPTY_LIST"):
            stack.append({} if name == "EMPTY_DICT" else [])
        elif name == "MARK":
            stack.append(_MARK)
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            count = int(name[-1])
            if len(stack) < count:
                raise IndexError("stack too short")
            stack[-count:] = [tuple(stack[-count:])]
        elif name in ("TUPLE", "LIST", "DICT"):
            items = self.mark()
            stack.append(
                tuple(items) if name == "TUPLE" else items if name == "LIST" else _pairs(items)
            )
        elif name in ("BINPUT", "LONG_BINPUT", "PUT"):
            self.memo[int(arg)] = stack[-1]
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET", "GET"):
            stack.append(self.memo[int(arg)])
        elif name == "GLOBAL":
            stack.append(Name(*arg.split(" ", 1)))
        elif name == "STACK_GLOBAL":
            attribute, module = stack.pop(), stack.pop()
            if not isinstance(module, str) or not isinstance(attribute, str):
                raise ValueError("names something that is no text")
            stack.append(Name(module, attribute))
        elif name in ("REDUCE", "NEWOBJ"):
            args, function = stack.pop(), stack.pop()
            if not isinstance(function, Name):
                raise ValueError("calls something that is no name")
            stack.append(Call(function, args))
        elif name == "BUILD":
            state, target = stack.pop(), stack[-1]
            if not isinstance(target, Call):
                raise ValueError("sets the state of something that is no object")
            target.state = state
        elif name == "BINPERSID":
            stack.append(Persistent(stack.pop()))
        elif name in ("SETITEM", "SETITEMS"):
            items = self.mark() if name == "SETITEMS" else [stack.pop(-2), stack.pop()]
            target = stack[-1]
            table = target.items if isinstance(target, Call) else target
            if not isinstance(table, dict):
                raise ValueError("sets an item of something that is no dictionary")
            table.update(_pairs(items))
        elif name in ("APPEND", "APPENDS"):
            items = self.mark() if name == "APPENDS" else [stack.pop()]
            if not isinstance(stack[-1], list):
                raise ValueError("appends to something that is no list")
            stack[-1].extend(items)
        elif name in ("POP", "POP_MARK"):
            stack.pop() if name == "POP" else self.mark()
        elif name not in ("PROTO", "FRAME"):
            raise ValueError(f"has the opcode {name}, which weights do not need")


def _pairs(items: list[Any]) -> dict[Any, Any]:
    if len(items) % 2:
        raise ValueError("a key without a value")
    # Nested tuples that share their parts can take for ever to hash, so keys are scalars.
    if not all(isinstance(key, (str, int, float, bytes, type(None))) for key in items[::2]):
        raise ValueError("a key that is neither text nor number")
    return dict(zip(items[::2], items[1::2], strict=True))


def parse(data: bytes, start: int = 0) -> tuple[Any, int]:
    """The value that a pickle describes, and where in ``data`` it ends.

    Raises
    ------
    ValueError
        If it is damaged or holds anything but plain containers, names, calls and references.
    """
    machine = _Machine()
    stream = io.BytesIO(data)  # reads no more than is there, whatever length is declared
    stream.seek(start)
    try:
        for opcode, arg, _ in pickletools.genops(stream):
            if opcode.name == "STOP":
                value = machine.stack.pop()
                if value is _MARK:
                    raise ValueError("ends at a mark")
                return value, stream.tell()
            machine.step(opcode.name, arg)
    except (ValueError, IndexError, KeyError, TypeError, OverflowError) as error:
        raise ValueError(f"unreadable pickle: {error}") from None
    raise ValueError("unreadable pickle: it does not end")
