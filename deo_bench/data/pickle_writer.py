"""Writes pickles that name classes without importing them, as GEO-Bench's files need."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import numpy as np


class Made:
    """An object of a class that is not imported, only named: module, class, attributes."""

    def __init__(self, module: str, name: str, /, **state: Any) -> None:
        self.module, self.name, self.state = module, name, state


def pickled(value: Any) -> bytes:
    """Plain values, arrays and `Made` objects as a pickle (protocol 4, without a memo)."""
    return b"\x80\x04" + emitted(value) + b"."


def emitted(value: Any) -> bytes:
    """The opcodes that push a value."""
    for kinds, emit in _OPCODES:
        if isinstance(value, kinds):
            return emit(value)
    raise TypeError(f"a {type(value).__name__} has no place in this format")


def _global(module: str, name: str) -> bytes:
    return emitted(module) + emitted(name) + b"\x93"


def _emit_array(array: np.ndarray) -> bytes:
    """As numpy pickles an array; `numpy.core` is the spelling that every version of numpy reads."""
    array = np.ascontiguousarray(array)
    kind = array.dtype.newbyteorder("<")
    order = "|" if kind.itemsize == 1 else "<"
    made = _global("numpy.core.multiarray", "_reconstruct") + b"("
    made += _global("numpy", "ndarray") + emitted((0,)) + emitted(b"b") + b"tR"
    dtype = _global("numpy", "dtype") + emitted((f"{kind.kind}{kind.itemsize}", False, True)) + b"R"
    dtype += emitted((3, order, None, None, None, -1, -1, 0)) + b"b"
    state = (
        b"(" + emitted(1) + emitted(array.shape) + dtype + emitted(False) + emitted(array.astype(kind).tobytes()) + b"t"
    )
    return made + state + b"b"


def _emit_text(value: str) -> bytes:
    text = value.encode()
    return b"X" + struct.pack("<I", len(text)) + text


def _emit_dict(value: dict[Any, Any]) -> bytes:
    return b"}(" + b"".join(emitted(key) + emitted(item) for key, item in value.items()) + b"u"


def _emit_object(value: Made) -> bytes:
    return _global(value.module, value.name) + b")\x81" + emitted(value.state) + b"b"


_OPCODES: tuple[tuple[type, Callable[[Any], bytes]], ...] = (
    (type(None), lambda value: b"N"),
    (bool, lambda value: b"\x88" if value else b"\x89"),
    (int, lambda value: b"J" + struct.pack("<i", value)),
    (float, lambda value: b"G" + struct.pack(">d", value)),
    (str, _emit_text),
    (bytes, lambda value: b"B" + struct.pack("<I", len(value)) + value),
    (tuple, lambda value: b"(" + b"".join(map(emitted, value)) + b"t"),
    (list, lambda value: b"](" + b"".join(map(emitted, value)) + b"e"),
    (dict, _emit_dict),
    (np.ndarray, _emit_array),
    (Made, _emit_object),
)
