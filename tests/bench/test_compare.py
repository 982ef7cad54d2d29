"""Records held against each other: the answers, what is refused, which records belong together."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from bench_records import DEVICE, VERSIONS, accuracy_of, bench_record

from edgeseg.bench.compare import CPU, WALL, Comparison, MiouDrop, compare_records, matched_records
from edgeseg.bench.record import BenchRecord
from edgeseg.bench.same_conditions import check_fields, differing_fields
from edgeseg.errors import MismatchError, UnknownNameError
from edgeseg.measure.diagnostic import Diagnostic
from edgeseg.measure.estimate import Estimate
from edgeseg.measure.load import Load

A = bench_record(seed=1)


def slower(factor: float, **changes: Any) -> BenchRecord:
    return bench_record(seed=2, engine_ms=18 * factor, **changes)


def answers(comparison: Comparison) -> set[str]:
    return {figure.answer for figure in comparison.figures}


@pytest.mark.parametrize(("factor", "answer"), [(1.0, "equal"), (1.15, "worse"), (0.85, "better")])
def test_the_answer_is_that_of_every_scope_and_clock(factor: float, answer: str) -> None:
    comparison = compare_records(A, slower(factor), tolerance=0.03)
    assert answers(comparison) == {answer}
    assert {(figure.scope, figure.name) for figure in comparison.figures} == {
        (scope, name) for scope in ("engine", "frame") for name in (CPU, WALL)
    }
    assert comparison.is_regression is (answer == "worse")
    for figure in comparison.figures:
        assert figure.ratio is not None
        assert figure.ratio.low <= figure.b / figure.a <= figure.ratio.high or figure.name == WALL
        assert figure.ratio.value == pytest.approx(factor, rel=0.03)


def test_the_ratio_turns_round_with_the_sides() -> None:
    for figure, other in zip(compare_records(A, slower(1.1)).figures, compare_records(slower(1.1), A).figures):
        assert figure.ratio is not None
        assert other.ratio is not None
        assert figure.ratio.value == pytest.approx(1 / other.ratio.value)


def test_an_interval_that_reaches_beyond_the_tolerance_and_1_is_inconclusive() -> None:
    row = A.rows[0]
    noisy = replace(row, cpu_blocks=tuple(row.cpu_ms * (1 + (-1) ** index * 0.2) for index in range(10)))
    (figure, *_) = compare_records(replace(A, rows=(noisy,)), replace(A, rows=(row,))).figures
    assert (figure.name, figure.answer, figure.reason) == (CPU, "inconclusive", "")


@pytest.mark.parametrize(
    ("change", "reason", "figures"),
    [
        ({"status": "invalid", "diagnostics": (Diagnostic("throttled", "", "", True),)}, "throttled", {CPU, WALL}),
        ({"load": Load(9.0, 16.0, 1.5)}, "1.5 cores", {WALL}),
    ],
)
@pytest.mark.parametrize("side", [0, 1])
def test_a_doubtful_record_gives_no_answer(change: dict[str, Any], reason: str, figures: set[str], side: int) -> None:
    pair = [A, slower(1.15)]
    pair[side] = replace(pair[side], **change)
    comparison = compare_records(*pair)
    assert {figure.name for figure in comparison.figures if figure.answer == "inconclusive"} == figures
    assert all(reason in figure.reason for figure in comparison.figures if figure.name in figures)
    assert comparison.is_regression is (figures == {WALL})


def test_a_row_that_did_not_settle_or_has_no_samples_gives_no_answer() -> None:
    restless = replace(A, rows=(replace(A.rows[0], settled=False),))
    assert answers(compare_records(restless, slower(1.3))) == {"inconclusive"}
    empty = replace(A, rows=(replace(A.rows[0], samples=(), cpu_blocks=()),))
    figures = compare_records(A, empty).figures
    assert {(figure.answer, figure.ratio, bool(figure.reason)) for figure in figures} == {("inconclusive", None, True)}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"device": {**DEVICE, "cpu": "Another"}}, "device.cpu"),
        ({"device": {**DEVICE, "power_mode": "15W"}}, "device.power_mode"),
        ({"versions": {**VERSIONS, "openvino": "2026.5"}}, "versions.openvino"),
        ({"conditions": replace(A.conditions, threads=1)}, "conditions.threads"),
        ({"conditions": replace(A.conditions, scenario="offline")}, "conditions.scenario"),
    ],
)
def test_records_of_other_conditions_are_refused_unless_the_user_allows_them(
    change: dict[str, Any], field: str
) -> None:
    other = replace(A, **change)
    with pytest.raises(MismatchError) as refused:
        compare_records(A, other)
    assert refused.value.code == "ES-MISMATCH-RECORDS"
    group = field.partition(".")[0]
    assert field in refused.value.message
    assert f"--across {group}" in refused.value.hint
    for allowed in (field, group):
        assert compare_records(A, other, across=[allowed]).across == (field,)
    others = {"device", "versions", "conditions"} - {group}
    with pytest.raises(MismatchError):
        compare_records(A, other, across=others)


def test_what_changes_from_one_minute_to_the_next_and_other_packages_are_no_difference() -> None:
    warm = replace(A, device={**DEVICE, "state": {"temperatures": {"cpu": 71.0}}})
    onnxruntime = replace(A, versions={"edgeseg": "0.1.0", "onnxruntime": "1.31", "numpy": "2.4.6"})
    assert differing_fields(A, warm) == differing_fields(A, onnxruntime) == {}


def test_an_unknown_field_names_its_neighbour() -> None:
    with pytest.raises(UnknownNameError) as unknown:
        check_fields(["version"], [A])
    assert "versions" in unknown.value.hint
    onnxruntime = replace(A, versions={"onnxruntime": "1.31"})
    check_fields(["versions.openvino"], [onnxruntime, A])  # one of them has it
    with pytest.raises(UnknownNameError):
        check_fields(["versions.openvino"], [onnxruntime])
    comparison = compare_records(onnxruntime, onnxruntime, across=["versions.openvino"], tolerance=0.03)
    assert answers(comparison) == {"equal"}


@pytest.mark.parametrize(
    ("drop", "answer"),
    [((0.001, 0.001, 0.001), "equal"), ((0.02, 0.01, 0.03), "worse"), ((0.02, -0.01, 0.05), "inconclusive"),
     ((0.001, -0.01, 0.02), "inconclusive"), ((-0.02, -0.03, -0.01), "better"), ((0.0051, 0.0051, 0.0051), "worse")],
)  # fmt: skip
def test_a_drop_of_miou_is_worse_beyond_the_limit_and_beyond_chance(
    drop: tuple[float, float, float], answer: str
) -> None:
    assert MiouDrop("camvid", 60, 0.7, 0.7 - drop[0], Estimate(*drop), 0.005).answer == answer


def test_miou_is_compared_on_the_same_images_alone() -> None:
    lower = replace(A, accuracy=accuracy_of(0.63))
    comparison = compare_records(A, lower, tolerance=0.03)
    assert comparison.miou is not None
    assert (answers(comparison), comparison.miou.answer, comparison.is_regression) == ({"equal"}, "worse", True)
    assert not compare_records(A, lower, max_drop=0.05).is_regression
    elsewhere = replace(A, accuracy=replace(accuracy_of(0.3), data="street:"))
    assert compare_records(A, elsewhere).miou is None
    assert compare_records(A, replace(A, accuracy=None)).miou is None


@pytest.mark.parametrize(
    ("a", "b", "notes"),
    [
        ({}, {}, []),
        ({"accuracy": None}, {"accuracy": None}, []),
        ({}, {"accuracy": None}, ["only A has mIoU"]),
        ({"accuracy": None}, {}, ["only B has mIoU"]),
        ({}, {"accuracy": replace(accuracy_of(0.649), images=9)}, ["233 images of camvid, test, and B of 9 images"]),
        ({}, {"rows": A.rows[:1]}, ["only A has a row of the scope frame"]),
    ],
)
def test_what_only_one_side_has_is_said(a: dict[str, Any], b: dict[str, Any], notes: list[str]) -> None:
    comparison = compare_records(replace(A, **a), replace(A, **b), tolerance=0.03)
    assert len(comparison.not_compared) == len(notes)
    assert all(note in said for note, said in zip(notes, comparison.not_compared))
    assert comparison.is_complete is (notes == [])
    assert comparison.to_dict()["not_compared"] == list(comparison.not_compared)


def test_a_comparison_with_a_figure_that_has_no_answer_is_not_complete() -> None:
    assert not compare_records(A, replace(A, load=Load(9.0, 16.0, 1.5))).is_complete
    assert compare_records(A, slower(1.3)).is_complete


def test_records_of_one_subject_belong_together() -> None:
    older, int8 = slower(1.2, when="2026-01-01"), bench_record(precision="int8")
    offline = bench_record(scenario="offline")
    pairs, alone, others = matched_records([A, int8], [older, offline, replace(A, when="2027-01-01")])
    assert [(before.key, after.when) for before, after in pairs] == [(A.key, "2027-01-01")]
    assert alone == [int8]
    assert {each.key for each in others} == {older.key, offline.key}


def test_of_several_the_one_with_the_same_conditions_is_taken() -> None:
    one = replace(A, conditions=replace(A.conditions, threads=1), when="2027-01-01")
    pairs, alone, others = matched_records([A], [one, A])
    assert (pairs, alone, others) == ([(A, A)], [], [one])
