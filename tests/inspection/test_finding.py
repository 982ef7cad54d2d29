"""What the explorer remarks on, and what it keeps quiet about."""

from __future__ import annotations

from small_plan import LAYERS, STEM, small_plan

from edgeseg.artifact import Layer
from edgeseg.inspection.finding import findings
from edgeseg.inspection.row import rows_from_layers, rows_from_plan

ROWS = rows_from_plan(small_plan(), LAYERS)


def test_the_small_plan_has_one_of_each() -> None:
    found = {finding.code: finding for finding in findings(ROWS, LAYERS)}
    assert list(found) == ["lone-qdq", "float-detour", "copies", "largest-activations"]
    assert found["lone-qdq"].layers == ("__myl_CastMul_myl0_4",)
    assert found["float-detour"].layers == ("stem.0/Conv_myl0_2",)
    assert found["copies"].layers == ("__myl_Tran_myl0_6",)
    assert "1x8x8x16 fp32" in found["largest-activations"].message


def test_lost_precision_comes_first_and_names_the_nodes() -> None:
    layers = [Layer(STEM, "correlation", "int8", "fp32"), Layer("gone/Conv", "", "int8", ""), LAYERS[1]]
    first, second, *_ = findings(ROWS, layers)
    assert first.code == "lost-precision"
    assert f"{STEM} (fp32)" in first.message
    assert first.layers == (STEM,)
    assert (second.code, second.layers) == ("fused-away", ("gone/Conv",))


def test_an_onnx_that_was_not_built_has_lost_nothing() -> None:
    layers = [Layer(STEM, "Conv", "int8", "")]
    assert findings(rows_from_layers(layers), layers) == ()


def test_a_convolution_that_writes_int8_makes_no_detour() -> None:
    rows = [row for row in ROWS if row.label != "stem.1/Relu"]
    assert "float-detour" not in {finding.code for finding in findings(rows)}
