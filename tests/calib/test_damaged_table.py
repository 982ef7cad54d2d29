"""Damaged and malicious range tables are refused with a code, never with a traceback."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeseg.calib.histogram import Histogram
from edgeseg.calib.range import RangeTable
from edgeseg.errors import EdgeSegError, FormatError

INFINITY = float("inf")


def table_with(**changes: Any) -> str:
    """A table of one tensor; `changes` are of the table, or of the row where the row has the key."""
    histogram = Histogram()
    row: dict[str, Any] = {
        "name": "x", "minimum": -1.0, "maximum": 2.0, "average_minimum": -0.5, "average_maximum": 1.5,
        "histogram": histogram.to_dict(), "channels": {"mean": "AAAAAA==", "absmax": "AACAPw=="},
    }  # fmt: skip
    data = {"schema": 1, "model": "m", "graph_id": "g", "images": 3, "images_sha256": "s", "tensors": {"a": row}}
    for key, value in changes.items():
        (row if key in row else data)[key] = value
    return json.dumps(data)


def test_the_valid_table_is_read() -> None:
    table = RangeTable.from_json(table_with())
    assert (table.images, table.tensors["a"].maximum) == (3, 2.0)


@pytest.mark.parametrize(
    "changes",
    [
        {"minimum": float("nan")},
        {"maximum": INFINITY},
        {"minimum": -INFINITY},
        {"maximum": 1e300},  # no float32
        {"maximum": 10**400},
        {"minimum": 3.0},  # above the maximum
        {"minimum": "-1"},
        {"minimum": True},
        {"minimum": None},
        {"average_minimum": float("nan")},
        {"average_minimum": 1.75},
        {"average_maximum": [1]},
        {"name": 7},
        {"histogram": []},
        {"histogram": {"exponent": 10**9, "first": 0, "counts": ""}},
        {"histogram": {"exponent": 0.5, "first": 0, "counts": ""}},
        {"histogram": {"exponent": 0, "first": 0, "counts": "/////////////////wE="}},  # a count of more than 64 bits
        {"histogram": {"exponent": 0, "first": "0", "counts": "AQ=="}},
        {"channels": {"mean": "AADAfw==", "absmax": "AACAPw=="}},  # a mean that is NaN
        {"channels": {"mean": "AAAAAA==", "absmax": "AACAfw=="}},  # a magnitude that is infinite
        {"channels": {"mean": "AAAAAA==", "absmax": "AACAvw=="}},  # one below zero
        {"channels": {"mean": 1, "absmax": 1}},
        {"images": -1},
        {"images": "3"},
        {"model": None},
        {"graph_id": {}},
        {"images_sha256": 1},
        {"tensors": []},
        {"tensors": {"a": 1}},
    ],
)
def test_a_table_with_an_impossible_value_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(FormatError) as error:
        RangeTable.from_json(table_with(**changes))
    assert error.value.code == "ES-FORMAT"


@pytest.mark.parametrize("text", ["[" * 100_000, '{"schema": 1, "tensors": ' + '{"a":' * 100_000])
def test_a_deeply_nested_table_is_refused(text: str) -> None:
    with pytest.raises(FormatError) as error:
        RangeTable.from_json(text)
    assert error.value.code == "ES-FORMAT"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
PLACES = ["schema", "model", "graph_id", "images", "images_sha256", "tensors"]
PLACES += ["name", "minimum", "maximum", "average_minimum", "average_maximum", "histogram", "channels"]


@given(st.dictionaries(st.sampled_from(PLACES), JSON, min_size=1, max_size=2))
def test_any_table_is_read_or_refused(changes: dict[str, Any]) -> None:
    try:
        table = RangeTable.from_json(table_with(**changes))
    except EdgeSegError as problem:
        assert problem.code in ("ES-FORMAT", "ES-MISMATCH")
    else:
        assert all(stats.minimum <= stats.maximum < INFINITY for stats in table.tensors.values())
