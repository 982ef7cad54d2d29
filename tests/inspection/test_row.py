"""What a layer is for, where it came from, and what it moves."""

from __future__ import annotations

import pytest
from small_plan import HEAD, LAYERS, STEM, small_plan

from edgeseg.artifact import Layer
from edgeseg.engines.tensorrt.plan_layers import PlanLayer
from edgeseg.inspection.row import kind_of, modules_from_nodes, rows_from_layers, rows_from_plan
from edgeseg.inspection.table import table_from_rows, totals

ROWS = rows_from_plan(small_plan(), LAYERS)


def test_rows_say_what_layers_are_for() -> None:
    assert [(row.kind, row.label) for row in ROWS] == [
        ("other", "frame/Cast"),
        ("compute", STEM),
        ("other", "stem.1/Relu"),
        ("quantize", "y/DequantizeLinear"),
        ("compute", HEAD),
        ("copy", "__myl_Tran_myl0_6"),
    ]
    assert [(row.requested, row.precision) for row in ROWS if row.computes] == [("int8", "int8"), ("fp32", "fp32")]
    assert [row.modules for row in ROWS] == [(), ("stem.0",), ("stem.0", "stem.1"), (), ("head.classify",), ()]


def test_sizes_are_those_of_the_tensors() -> None:
    stem = ROWS[1]
    assert stem.weight_bytes == 8 * 4 * 3 * 3 + 8 * 4  # int8 weights, float scales
    assert stem.activation_bytes == 4 * 8 * 16 + 4 * 8 * 8 * 16
    sums = totals(ROWS)
    assert (sums["layers"], sums["computing"], sums["milliseconds"]) == (6, {"int8": 1, "fp32": 1}, None)
    assert sums["activation_bytes"] == sum(row.activation_bytes for row in ROWS)


@pytest.mark.parametrize(
    ("layer", "kind"),
    [
        (PlanLayer("__myl_ReshConcResh_myl0_2", "kgen", nodes=("a/Conv",)), "copy"),
        (PlanLayer("__myl_ReshMul_myl0_2", "kgen", nodes=("a/Mul",)), "other"),
        (PlanLayer("Reformatting CopyNode for Input Tensor 0 to Conv_9", "Reformat"), "copy"),
        (PlanLayer("QuantizeLinear_2", "Reformat", nodes=("QuantizeLinear_2",)), "quantize"),
        (PlanLayer("x", "CastLayer"), "copy"),
        (PlanLayer("resize", "Resize", nodes=("up/Resize",)), "other"),
        (PlanLayer("conv", "CaskConvolution"), "compute"),
    ],
)
def test_kinds(layer: PlanLayer, kind: str) -> None:
    assert kind_of(layer) == kind


def test_modules_leave_out_what_is_named_after_a_tensor() -> None:
    nodes = (
        "stage4.0.gather.0/Conv",
        "relu_1/QuantizeLinear",
        "a/Conv/weight/DequantizeLinear",
        "/x/conv1/Conv",
        "Conv_9",
    )
    assert modules_from_nodes((*nodes, "relu_1/Cast", "stage4.0.gather.0/Relu")) == ("stage4.0.gather.0", "x/conv1")


def test_an_engine_without_a_plan_has_rows_too() -> None:
    rows = rows_from_layers([Layer("a/Conv", "Conv", "int8", "fp32"), Layer("a/Relu", "Relu", "", "")])
    assert [(row.label, row.kind, row.requested, row.precision) for row in rows] == [
        ("a/Conv", "compute", "int8", "fp32"),
        ("a/Relu", "other", "", ""),
    ]


def test_a_table_leaves_out_what_nobody_knows() -> None:
    columns, lines = table_from_rows(ROWS)
    assert "ms" not in columns
    assert "tactic" not in table_from_rows(ROWS, without=("tactic",))[0]
    assert len(lines) == len(ROWS)
    assert dict(zip(columns, lines[1]))["module"] == "stem.0"
