"""What a damaged disk and a hostile hand make of a file: Hypothesis strategies over bytes, JSON and TOML."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable, Iterator
from typing import Any

from hypothesis import strategies as st

DEEP = 10_000
Keys = tuple[Any, ...]


class Raw(str):
    """A value that is written as it is, between the others."""


NASTY: list[Any] = [
    *(None, True, -1, 0, 1, 0.5, 1_000_000, 2**31, 2**70, 1e308, math.nan, math.inf, -math.inf),
    *("", "x", "../evil", "a\0b", "\ud800", "x" * 100_000, [], {}, [None], [[]], {"schema": 99}, ["x"] * 300),
    *(Raw("[" * DEEP + "]" * DEEP), Raw('{"a":' * DEEP + "1" + "}" * DEEP), Raw("9" * 5000), Raw("@")),
]


@st.composite
def damaged(draw: st.DrawFn, data: bytes) -> bytes:
    """`data` with up to three blocks or bits flipped, deleted, inserted, repeated or cut off."""
    for _ in range(draw(st.integers(1, 3))):
        at, length = draw(st.integers(0, max(len(data) - 1, 0))), draw(st.sampled_from([1, 2, 8, 100, len(data)]))
        block, rest = data[at : at + length], data[at + length :]
        change = draw(st.sampled_from(["flip", "set", "delete", "insert", "repeat", "cut"]))
        if change == "flip":
            block = bytes([block[0] ^ 1 << draw(st.integers(0, 7))]) + block[1:] if block else b""
        elif change == "set":
            block = draw(st.sampled_from([b"\0", b"\xff", b"\x7f", b"9", b"-", b'"', b"["])) * len(block)
        elif change == "insert":
            block = draw(st.binary(min_size=1, max_size=16)) + block
        elif change == "repeat":
            block *= 2
        data = data[:at] + (block if change not in ("delete", "cut") else b"") + (rest if change != "cut" else b"")
    return data


@st.composite
def altered(draw: st.DrawFn, data: Any, write: Callable[[Any], bytes]) -> bytes:
    """`data` with one or two values replaced, deleted, added or given twice, as `write` writes it."""
    for _ in range(draw(st.integers(1, 2))):
        keys = draw(st.sampled_from(list(places(data))))
        change = draw(st.sampled_from(["replace", "replace", "replace", "delete", "add", "twice"]))
        data = changed(data, keys, change, draw(st.sampled_from(NASTY)))
    return write(data)


def places(data: Any, keys: Keys = ()) -> Iterator[Keys]:
    """The keys that lead to each value below `data`."""
    for key, value in data.items() if isinstance(data, dict) else enumerate(data):
        yield (*keys, key)
        if isinstance(value, (dict, list)):
            yield from places(value, (*keys, key))


def changed(data: Any, keys: Keys, change: str, value: Any) -> Any:
    """A copy of `data` with `value` at `keys`, or without what is there, or with both, or with a key more."""
    data = copy.deepcopy(data)
    place = data
    for key in keys[:-1]:
        place = place[key]
    last = keys[-1]
    if change == "delete":
        del place[last]
    elif change == "twice":  # an object gets the key again, a list one value more
        again = f"{json.dumps(last)}: " if isinstance(place, dict) else ""
        place[last] = Raw(f"{as_json(place[last])}, {again}{as_json(value)}")
    elif change == "add" and isinstance(place, dict):
        place["strange"] = value
    else:
        place[last] = value
    return data


def as_json(value: Any) -> str:
    """JSON, with what is raw as it is; NaN and infinity as Python writes them."""
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)}: {as_json(each)}" for key, each in value.items()) + "}"
    return "[" + ", ".join(map(as_json, value)) + "]" if isinstance(value, list) else json.dumps(value)


def as_toml(data: dict[str, Any]) -> bytes:
    """TOML of one line a key, with what is raw as it is."""
    return "".join(f"{json.dumps(key)} = {toml_value(value)}\n" for key, value in data.items()).encode()


def toml_value(value: Any) -> str:
    """One value, tables inline."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {toml_value(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml_value, value)) + "]"
    return str(value) if isinstance(value, (Raw, float)) else json.dumps(value)
