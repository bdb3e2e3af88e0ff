"""Reads pickles of others without unpickling: an interpreter that knows plain data only, so nothing in them can run."""

from __future__ import annotations

import ast
import datetime
import math
import pickletools
import re
from collections.abc import Callable, Iterable, Sized
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from deo_bench.errors import UserError

LARGEST = 1 << 24
"""Bytes that a pickle may have; descriptions of samples and tasks take a few thousand."""

_RECORDS = ("geobench", "ccb", "affine", "rasterio")
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_FRESH: dict[str, Callable[[], Any]] = {
    **{"NONE": lambda: None, "NEWTRUE": lambda: True, "NEWFALSE": lambda: False},
    **{"EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_SET": set},
}
_PUSHED = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
}
_MARK = object()


@dataclass
class Record:
    """An object of a class that is named but never imported: what it was made from, and its attributes."""

    module: str
    name: str
    arguments: tuple[Any, ...] = ()
    state: dict[str, Any] = field(default_factory=dict)

    def get(self, key: str, default: Any = None) -> Any:
        """An attribute, or the default."""
        return self.state.get(key, default)


def read_pickle(data: bytes, where: str) -> Any:
    """What a pickle describes: plain data, arrays, dates, and a `Record` for each object of GEO-Bench and rasterio.

    Anything else in it (a function, another library's class, a persistent id) is a UserError that starts with `where`.
    Memory stays within a small multiple of `len(data)`.
    """
    if len(data) > LARGEST:
        raise UserError(f"{where}: a description of {len(data)} bytes; at most {LARGEST} are read")
    try:
        return _Reader(len(data)).run(data)
    except _RefusedError as refused:
        raise UserError(f"{where}: refused, it asks for {refused}, which no data set needs; nothing was run") from None
    except Exception as error:  # whatever bytes of a stranger provoke is one thing to the user: not readable
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise UserError(f"{where}: its description cannot be read: {reason}") from None


def read_pickle_text(text: str, where: str) -> Any:
    """As `read_pickle`, of the `repr` of the bytes (`"b'...'"`), which is how GEO-Bench keeps them in an attribute."""
    if len(text) > 4 * LARGEST:
        raise UserError(f"{where}: a description of {len(text)} letters; at most {4 * LARGEST} are read")
    try:
        if text[:2] not in ("b'", 'b"'):
            raise ValueError("not the text of a bytes object")
        data = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
        raise UserError(f"{where}: its description cannot be read: {' '.join(str(error).split())[:120]}") from None
    return read_pickle(data, where)


class _RefusedError(Exception):
    """Something in a pickle that is not data."""


@dataclass(frozen=True)
class _Symbol:
    """A class or function by name; it is never looked up."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass
class _Unfinished:
    """An array or a number type between its making and its state."""

    kind: str
    made_from: str = ""
    memo: int | None = None


class _Reader:
    """A stack machine for the opcodes that build data."""

    def __init__(self, size: int) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.budget = 10_000 + 2 * size

    def run(self, data: bytes) -> Any:
        """The value that the pickle leaves; what follows its end is not looked at."""
        for opcode, argument, _ in pickletools.genops(data):
            name = opcode.name
            if name in _PUSHED:
                self.stack.append(argument)
            elif name == "STOP":
                break
            elif name not in ("PROTO", "FRAME"):
                self._step(name, argument)
        (value,) = self.stack
        return value

    def _step(self, name: str, argument: Any) -> None:
        """One opcode that is neither a literal nor bookkeeping."""
        stack = self.stack
        if name in ("MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT"):
            self._remember(len(self.memo) if name == "MEMOIZE" else int(argument))
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(self.memo[int(argument)])
        elif name in _FRESH:
            stack.append(_FRESH[name]())
        elif name == "POP":
            self._pop(1)
        elif name in _TUPLES:
            stack.append(tuple(self._pop(_TUPLES[name])))
        elif name == "MARK":
            stack.append(_MARK)
        elif name in _GATHERED:
            stack.append(_GATHERED[name](self._pop_mark()))
        elif name in _ADDED:
            count, kind, add = _ADDED[name]
            items = self._pop(count) if count else self._pop_mark()
            add(_of(kind, stack[-1]), items)
        else:
            self._object(name, argument)

    def _object(self, name: str, argument: Any) -> None:
        """One opcode that names a class or makes an object; all that are left are refused."""
        if name == "GLOBAL":
            module, _, attribute = argument.partition(" ")
            self.stack.append(_allowed(module, attribute))
        elif name == "STACK_GLOBAL":
            self.stack.append(_allowed(*self._pop(2)))
        elif name in ("REDUCE", "NEWOBJ"):
            symbol, arguments = self._pop(2)
            self._spend(arguments)
            self.stack.append(_made(_of(_Symbol, symbol), _of(tuple, arguments)))
        elif name == "NEWOBJ_EX":
            symbol, arguments, named = self._pop(3)
            self._spend((arguments, named))
            made = _made(_of(_Symbol, symbol), _of(tuple, arguments))
            _of(Record, made).state.update(_of(dict, named))
            self.stack.append(made)
        elif name == "BUILD":
            target, state = self._pop(2)
            self._spend((state, *state) if isinstance(state, tuple) else (state,))
            built = _built(target, state)
            if isinstance(target, _Unfinished) and target.memo is not None:
                self.memo[target.memo] = built
            self.stack.append(built)
        else:
            raise _RefusedError(f"opcode {name}")

    def _spend(self, parts: Any) -> None:
        """Count what is about to be copied: one large value used a million times must not become a million."""
        self.budget -= sum(len(part) for part in parts if isinstance(part, Sized))
        if self.budget < 0:
            raise _RefusedError("far more memory than it has bytes")

    def _remember(self, place: int) -> None:
        top = self.stack[-1]
        if isinstance(top, _Unfinished):
            top.memo = place
        self.memo[place] = top

    def _pop(self, count: int) -> list[Any]:
        if count == 0:
            return []
        items = self.stack[-count:]
        if len(items) != count or any(item is _MARK for item in items):
            raise ValueError("it ends too early")
        del self.stack[-count:]
        return items

    def _pop_mark(self) -> list[Any]:
        for place in range(len(self.stack) - 1, -1, -1):
            if self.stack[place] is _MARK:
                items = self.stack[place + 1 :]
                del self.stack[place:]
                return items
        raise ValueError("a list of items has no beginning")


def _of(kind: type, value: Any) -> Any:
    if not isinstance(value, kind):
        raise ValueError(f"a {type(value).__name__} where a {kind.__name__} must be")
    return value


def _pairs(items: list[Any]) -> dict[Any, Any]:
    keys = items[::2]
    _members(keys)
    return dict(zip(keys, items[1::2], strict=True))


def _members(items: Iterable[Any]) -> set[Any]:
    """Keys are plain: the hash of nested tuples that share their parts would take for ever."""
    items = list(items)
    for item in items:
        if not isinstance(item, str | int | float | bytes | datetime.date | None):
            raise ValueError(f"a {type(item).__name__} cannot be a key")
    return set(items)


def _allowed(module: Any, name: Any) -> _Symbol:
    """A name that data may use; every other is refused before anything is made of it."""
    symbol = _Symbol(_of(str, module), _of(str, name))
    if str(symbol) in _MAKERS or module.split(".")[0] in _RECORDS:
        return symbol
    raise _RefusedError(str(symbol)[:100])


def _made(symbol: _Symbol, arguments: tuple[Any, ...]) -> Any:
    maker = _MAKERS.get(str(symbol))
    return maker(*arguments) if maker else Record(symbol.module, symbol.name, arguments)


def _built(target: Any, state: Any) -> Any:
    """What an object is after its state was set; arrays and number types become real only now."""
    if isinstance(target, _Unfinished):
        return _finished(target, _of(tuple, state))
    attributes = state
    if isinstance(state, tuple):
        attributes = {}
        for part in state:
            attributes.update(part if isinstance(part, dict) else {})
    if isinstance(attributes, dict):
        _of(Record, target).state.update(attributes)
    return target


def _finished(target: _Unfinished, state: tuple[Any, ...]) -> Any:
    if target.kind == "dtype":
        order = _of(str, state[1])
        return _number_type(target.made_from).newbyteorder(order if order in "<>" else "|")
    _, shape, dtype, fortran, raw = state
    return _array(raw, dtype, shape, "F" if fortran else "C")


def _number_type(text: Any) -> np.dtype:
    """A type of numbers or text; objects are none."""
    if not re.fullmatch(r"[<>|=]?[biufSU]\d{1,9}", _of(str, text)):
        raise _RefusedError(f"an array of type {text[:20]!r}")
    return np.dtype(text)


def _array(raw: Any, dtype: Any, shape: Any, order: str = "C") -> np.ndarray:
    """An array, its claimed size compared with the bytes that are there."""
    dtype = dtype if isinstance(dtype, np.dtype) else _number_type(_of(_Unfinished, dtype).made_from)
    sizes = [_of(int, length) for length in _of(tuple, shape)]
    raw = bytes(raw) if isinstance(raw, bytearray) else _of(bytes, raw)
    if min(sizes, default=0) < 0 or math.prod(sizes) * dtype.itemsize != len(raw):
        raise ValueError(f"an array claims {shape} of {dtype} and has {len(raw)} bytes")
    flat = np.frombuffer(raw, dtype=dtype) if dtype.itemsize else np.empty(math.prod(sizes), dtype)
    return flat.reshape(sizes[::-1]).T if order == "F" else flat.reshape(sizes)


def _scalar(dtype: Any, raw: Any = b"") -> Any:
    return _array(raw, dtype, (1,))[0].item()


def _dtype(text: Any, *_: Any) -> _Unfinished:
    _number_type(text)
    return _Unfinished("dtype", text)


def _record(symbol: Any, *_: Any) -> Record:
    found = _of(_Symbol, symbol)
    if found.module.split(".")[0] not in _RECORDS:
        raise _RefusedError(str(found))
    return Record(found.module, found.name)


def _of_bytes(kind: type) -> Callable[..., Any]:
    """A date's constructor for the bytes it is pickled as, and for nothing else."""

    def make(raw: Any, *zone: Any) -> Any:
        return kind(_of(bytes, raw), *zone)

    return make


def _days(*parts: Any) -> datetime.timedelta:
    return datetime.timedelta(*(_of(int, part) for part in parts))


def _zone(*parts: Any) -> datetime.timezone:
    return datetime.timezone(*parts)


def _latin(text: Any, *_: Any) -> bytes:
    return str(_of(str, text)).encode("latin1")


def _collected(kind: Callable[[Any], Any]) -> Callable[..., Any]:
    def make(items: Iterable[Any] = ()) -> Any:
        return kind(_of(list, items) if items != () else ())

    return make


def _entries(items: Iterable[Any]) -> dict[Any, Any]:
    return _pairs([part for pair in items for part in _of(list, pair)])


def _never(*_: Any) -> None:
    raise _RefusedError("making a bare object")


_GATHERED: dict[str, Callable[[list[Any]], Any]] = {
    "TUPLE": tuple,
    "LIST": list,
    "DICT": _pairs,
    "FROZENSET": _members,
}
_ADDED: dict[str, tuple[int, type, Callable[[Any, list[Any]], None]]] = {
    "APPEND": (1, list, lambda target, items: target.extend(items)),
    "APPENDS": (0, list, lambda target, items: target.extend(items)),
    "SETITEM": (2, dict, lambda target, items: target.update(_pairs(items))),
    "SETITEMS": (0, dict, lambda target, items: target.update(_pairs(items))),
    "ADDITEMS": (0, set, lambda target, items: target.update(_members(items))),
}
_MAKERS: dict[str, Callable[..., Any]] = {
    "numpy.dtype": _dtype,
    "numpy.ndarray": _never,
    **{f"numpy.{core}.multiarray._reconstruct": lambda *_: _Unfinished("array") for core in ("core", "_core")},
    **{f"numpy.{core}.multiarray.scalar": _scalar for core in ("core", "_core")},
    **{f"numpy.{core}.numeric._frombuffer": _array for core in ("core", "_core")},
    "datetime.date": _of_bytes(datetime.date),
    "datetime.datetime": _of_bytes(datetime.datetime),
    "datetime.timedelta": _days,
    "datetime.timezone": _zone,
    "collections.OrderedDict": _collected(_entries),
    **{f"{module}._reconstructor": _record for module in ("copyreg", "copy_reg")},
    **{f"{module}.object": _never for module in ("builtins", "__builtin__")},
    **{
        f"{module}.{kind}": _collected(_members)
        for module in ("builtins", "__builtin__")
        for kind in ("set", "frozenset")
    },
    **{f"{module}.bytes": lambda: b"" for module in ("builtins", "__builtin__")},
    "_codecs.encode": _latin,
}
