"""Two engines side by side."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_plan import HEAD, LAYERS, STEM, small_plan

from edgeseg.engines.tensorrt.plan_layers import PlanLayer
from edgeseg.inspection.difference import Change, difference
from edgeseg.inspection.row import Row, rows_from_plan

ROWS = rows_from_plan(small_plan(), LAYERS)


def timed(rows: tuple[Row, ...], milliseconds: float) -> list[Row]:
    return [dataclasses.replace(row, layer=dataclasses.replace(row.layer, milliseconds=milliseconds)) for row in rows]


def test_an_engine_differs_from_itself_in_nothing_but_what_has_no_node() -> None:
    found = difference(ROWS, ROWS)
    assert found.changes == ()
    assert found.matched == 4
    assert found.only_before == found.only_after == ("y/DequantizeLinear", "__myl_Tran_myl0_6")


def test_precision_tactic_and_sizes_that_changed_are_told() -> None:
    after = list(ROWS)
    layer = dataclasses.replace(ROWS[1].layer, tactic="other", constants=())
    after[1] = dataclasses.replace(ROWS[1], layer=layer, precision="fp16")
    assert difference(ROWS, after).changes == (
        Change(STEM, "precision", "int8", "fp16"),
        Change(STEM, "tactic", "kernel", "other"),
        Change(STEM, "weight bytes", "320", "0"),
    )


def test_a_kernel_is_the_same_whatever_hash_ends_its_name() -> None:
    after = [
        dataclasses.replace(row, layer=dataclasses.replace(row.layer, tactic=row.layer.tactic.replace("1a", "ff")))
        for row in ROWS
    ]
    assert difference(ROWS, after).changes == ()


@pytest.mark.parametrize(("after", "changed"), [(1.04, False), (1.2, True), (0.5, True)])
def test_time_counts_beyond_its_noise(after: float, changed: bool) -> None:
    found = difference(timed(ROWS, 1.0), timed(ROWS, after))
    assert {change.what for change in found.changes} == ({"milliseconds"} if changed else set())


def test_layers_of_one_side_only_are_listed() -> None:
    found = difference([row for row in ROWS if row.label != HEAD], [row for row in ROWS if row.label != STEM])
    assert (STEM in found.only_before, HEAD in found.only_after) == (True, True)


rows = st.lists(
    st.builds(
        lambda nodes, computes: Row(
            PlanLayer("n", "op", nodes=tuple(nodes)), "label", "compute" if computes else "other",
            tuple(nodes) if computes else (),
        ),
        st.lists(st.sampled_from("abcd"), max_size=3, unique=True),
        st.booleans(),
    ),
    max_size=8,
)  # fmt: skip


@given(rows, rows)
def test_each_row_is_matched_at_most_once_and_none_gets_lost(before: list[Row], after: list[Row]) -> None:
    found = difference(before, after)
    assert found.matched + len(found.only_before) == len(before)
    assert found.matched + len(found.only_after) == len(after)
