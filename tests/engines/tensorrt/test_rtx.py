"""Real plans of TensorRT-RTX, built without a GPU: every bundled model in every precision and form."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeseg.artifact import Artifact
from edgeseg.calib.float16 import fp16_from_ranges
from edgeseg.calib.quantize import int8_from_ranges
from edgeseg.calib.range import RangeTable
from edgeseg.engines.build import engine_from_onnx
from edgeseg.engines.options import BuildOptions
from edgeseg.recipe import bundled_ranges
from edgeseg.spec import Output, Precision
from edgeseg.weights import BUNDLED

pytest.importorskip("torch")
pytest.importorskip("tensorrt_rtx")

GATES = ("context.refine32.gate.0", "context.refine16.gate.0", "fusion.gate.0", "fusion.gate.2")
FLOAT = {  # the convolutions that an int8 plan computes in floating point: gates, and the head
    "bisenetv2-street": ("head.2",),
    "bisenetv2-camvid": ("head.2",),
    "bisenetv1-camvid": (*GATES, "head.1"),
    "icnet-camvid": ("classify",),
    "segformer-camvid": ("decoder.classify",),
}
QUICK = {("bisenetv2-street", Output.LOGITS), ("bisenetv2-street", Output.MASK)}
FORMS = {"one": BuildOptions(), "one to four": BuildOptions(batch=(1, 2, 4), level=2, gpus=("8.6", "8.9"))}


def source(onnx: Artifact, precision: Precision, table: RangeTable) -> Artifact:
    """The ONNX of a precision, beside the float one."""
    out = onnx.path.with_suffix(f".{precision}.onnx")
    if precision is Precision.INT8:
        return int8_from_ranges(onnx.path, table, target="tensorrt_rtx", out=out)
    return onnx if precision is Precision.FP32 else fp16_from_ranges(onnx.path, table, out=out)


@pytest.mark.parametrize(
    ("name", "output"),
    [
        # one plan of each output belongs to every run; a plan takes half a minute and more
        pytest.param(name, output, marks=pytest.mark.slow if (name, output) in QUICK else pytest.mark.nightly)
        for name in BUNDLED
        for output in Output
    ],
)
def test_every_bundled_model_becomes_a_plan_of_the_precision_that_is_asked_for(
    name: str, output: Output, tmp_path: Path, shared_exports: None
) -> None:
    from edgeseg.conversion import float_onnx

    onnx, _ = float_onnx(name, tmp_path, output=output)
    path = bundled_ranges(name)
    assert path is not None
    table = RangeTable.open(path)
    for precision in (Precision.FP32, Precision.FP16, Precision.INT8):
        made = source(onnx, precision, table)
        for form, options in FORMS.items():
            plan = engine_from_onnx(made.path, "tensorrt_rtx", out_dir=tmp_path / form, options=options)
            asking = [layer for layer in plan.layers if layer.requested]
            assert [layer.obtained for layer in asking] == [layer.requested for layer in asking]
            share = sum(layer.obtained == precision for layer in asking) / len(asking)
            kept = {layer.name for layer in asking if layer.obtained != "int8" and layer.name.endswith("/Conv")}
            assert precision is not Precision.INT8 or kept == {f"{layer}/Conv" for layer in FLOAT[name]}
            # of a transformer the products of attention stay float too
            assert share >= (0.8 if precision is Precision.INT8 else 1.0)
            assert [shape[0] for shape in plan.build.profile] == ([] if form == "one" else [1, 2, 4])
            assert plan.build.options.get("gpus", []) == list(options.gpus)
            assert len(plan.build.layers) >= len(asking) > 20
