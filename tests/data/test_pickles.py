"""The reader of pickles: all the data that a data set needs, and nothing that runs."""

from __future__ import annotations

import collections
import datetime
import os
import pickle
import struct
import subprocess
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deo_bench.data.pickle_writer import Made, pickled
from deo_bench.data.pickles import Record, read_pickle, read_pickle_text
from deo_bench.errors import UserError

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
PLAIN: dict[str, Any] = {
    "list": [1, -2.5, "ü", None, True, False, b"\x00y", (1, 2, (3, 4, 5, 6)), (), {}],
    "day": datetime.date(2020, 5, 17),
    "moment": datetime.datetime(2020, 5, 17, 10, 30, tzinfo=datetime.UTC),
    "set": {1, 2},
    "frozen": frozenset(["a"]),
    "ordered": collections.OrderedDict(b=1, a=2),
    "long": 2**100,
    "scalar": np.int64(5),
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_plain_data_of_every_protocol(protocol: int) -> None:
    assert read_pickle(pickle.dumps(PLAIN, protocol), "f") == PLAIN


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype="f4").reshape(2, 3),
        np.asfortranarray(np.arange(6, dtype="u1").reshape(2, 3)),
        np.arange(3, dtype=">i2"),
        np.array(7),
        np.zeros((0, 3)),
        np.array(["ab", "c"]),
        np.array([True, False]),
    ],
    ids=str,
)
def test_arrays_of_every_protocol(array: np.ndarray, protocol: int) -> None:
    twice = read_pickle(pickle.dumps([array, array], protocol), "f")
    for read in twice:
        np.testing.assert_array_equal(read, array)
        assert read.dtype == array.dtype


def test_what_our_writer_writes_the_standard_library_reads() -> None:
    value = {"a": [1, None, True, 2.5, "ü", b"z", (1, (2,))], "v": np.arange(3), "u": np.ones((2, 2), np.uint8)}
    for read in (pickle.loads(pickled(value)), read_pickle(pickled(value), "f")):
        assert read["a"] == value["a"]
        np.testing.assert_array_equal(read["v"], value["v"])
        np.testing.assert_array_equal(read["u"], value["u"])


def test_objects_of_the_library_become_inert_records() -> None:
    made = Made("ccb.io.dataset", "Sentinel2", name="02 - Blue", alt_names=("2", "blue"))
    assert read_pickle(pickled([made]), "f") == [
        Record("ccb.io.dataset", "Sentinel2", (), {"name": "02 - Blue", "alt_names": ("2", "blue")})
    ]


class Evil:
    def __init__(self, call: Any, *arguments: Any) -> None:
        self.call, self.arguments = call, arguments

    def __reduce__(self) -> Any:
        return self.call, self.arguments


class Named:
    """Pickles as the bare name of a function."""


ATTACKS = {
    "system": Evil(os.system, "touch PWNED"),
    "popen": Evil(subprocess.Popen, ["touch", "PWNED"]),
    "eval": Evil(eval, "open('PWNED', 'w')"),
    "exec": Evil(exec, "open('PWNED', 'w')"),
    "import": Evil(__import__, "antigravity"),
    "getattr": Evil(getattr, "x", "upper"),
    "bytearray": Evil(bytearray, 10**12),
    "open": Evil(open, "PWNED", "w"),
    "inside": {"label": [1, (Evil(os.system, "touch PWNED"),)]},
    "objects": np.array([Evil(os.system, "touch PWNED")], dtype=object),
    "name": os.system,
    "numpy": Evil(np.load, "PWNED"),
    "ours": Record("geobench", "x"),
    "range": range(3),
    "complex": 1j,
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("attack", ATTACKS)
def test_code_is_refused_and_nothing_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, attack: str, protocol: int
) -> None:
    monkeypatch.chdir(tmp_path)
    data = pickle.dumps(ATTACKS[attack], protocol)
    with pytest.raises(UserError, match="^some/file.pkl: refused, it asks for") as refused:
        read_pickle(data, "some/file.pkl")
    assert "\n" not in str(refused.value)
    assert not list(tmp_path.iterdir())


def test_a_state_cannot_reach_an_object_of_ours() -> None:
    for data in (
        b"\x80\x04cgeobench\nX\n)\x81}\x8c\x05__class__K\x01sb.",
        b"cnumpy\ndtype\n(Vi8\ntR(Vx\ntb.",
        b"cnumpy\nndarray\n)R.",
        b"cgeobench\nX\n(Va\nt\x81cgeobench\nY\nb.",
    ):
        try:
            read = read_pickle(data, "f")
        except UserError:
            continue
        assert type(read) is Record


def memory_of(data: bytes, said: str) -> int:
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match=said):
            read_pickle(data, "bomb")
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def bombs() -> dict[str, bytes]:
    kilobyte = b"X" + struct.pack("<I", 50_000) + b"x" * 50_000
    return {
        "memo": b"\x80\x04Nr" + struct.pack("<I", 2**32 - 1) + b"0j" + struct.pack("<I", 7) + b".",
        "text": b"\x8d" + struct.pack("<Q", 2**40) + b"abc.",
        "array": b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tC\x01btR(K\x01(J\xff\xff\xff\x7ft"
        b"cnumpy\ndtype\n(Vf8\ntR\x89C\x01xtb.",
        "encode": b"c_codecs\nencode\np0\n0" + kilobyte + b"p1\n0(" + b"g0\n(g1\ntR" * 50_000 + b"l.",
        "state": b"cgeobench\nX\np70000\n0"
        + pickle.dumps(dict.fromkeys(range(20000)), 2)[2:-1]
        + b"p70001\n0("
        + b"g70000\n)\x81g70001\nb" * 20_000
        + b"l.",
        "bytearray": b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b"x.",
        "long": b"\x8b" + struct.pack("<i", 2**31 - 1) + b"x.",
    }


@pytest.mark.parametrize("bomb", list(bombs()))
def test_bombs_take_no_memory(bomb: str) -> None:
    data = bombs()[bomb]
    said = "far more memory" if bomb in ("encode", "state") else "claims" if bomb == "array" else "cannot be read"
    assert memory_of(data, said) < 10_000_000 + 100 * len(data)


def test_nested_keys_do_not_hash_for_ever() -> None:
    nested: Any = ()
    for _ in range(60):
        nested = (nested, nested)
    data = b"\x80\x04}" + pickle.dumps(nested, 2)[2:-1] + b"Ns."
    with pytest.raises(UserError, match="a tuple cannot be a key"):
        read_pickle(data, "f")


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_data_or_a_user_error(data: bytes) -> None:
    try:
        read_pickle(data, "f")
    except UserError as error:
        assert str(error).startswith("f: ")


@settings(max_examples=300, deadline=None)
@given(at=st.integers(0, 100_000), byte=st.integers(0, 255))
def test_a_damaged_description_is_data_or_a_user_error(at: int, byte: int) -> None:
    data = bytearray(pickle.dumps({**PLAIN, "v": np.arange(4)}, 4))
    data[at % len(data)] = byte
    try:
        read_pickle(bytes(data), "f")
    except UserError as error:
        assert str(error).startswith("f: ")


@pytest.mark.parametrize("text", ["", "b'", "open('x')", "[1]", "b'\\x80\\x04N.'+b''", "(" * 100_000, "b'" + "x" * 10])
def test_text_that_is_no_bytes_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="^f: its description cannot be read"):
        read_pickle_text(text, "f")


def test_text_of_bytes_is_read() -> None:
    assert read_pickle_text(str(pickle.dumps({"label": 3})), "f") == {"label": 3}
