"""Layers that TensorRT-RTX fuses into kernels of its own: a plan is not refused for what its dump does not name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto
from residual_onnx import Builder
from small_onnx import SPEC, frames, onnx_model

from edgeseg.artifact import Artifact, write_onnx
from edgeseg.calib.calibrate import ranges_from_images
from edgeseg.calib.float16 import fp16_from_ranges
from edgeseg.engines.build import engine_from_onnx


def gemm_and_transposed_convolution(folder: Path) -> Artifact:
    """A float ONNX: a gate that a Gemm makes, and a transposed convolution before a normalisation."""
    b = Builder(0, "")
    x = b.node("Cast", ["rgb"], "float", to=TensorProto.FLOAT)
    x = b.node("Transpose", [x], "planar", perm=[0, 3, 1, 2])
    x = b.node("Mul", [x, b.constant("scale", np.full((1, 3, 1, 1), 1 / 60, np.float32))], "image")
    stem = b.relu(b.conv(x, "stem", (3, 8), stride=2), "stem.relu")
    pool = b.node("Flatten", [b.node("GlobalAveragePool", [stem], "pool")], "flat")
    dense = b.constant("dense.w", b.rng.normal(0, 0.5, (8, 8)).astype(np.float32))
    gate = b.node("Sigmoid", [b.node("Gemm", [pool, dense], "dense", transB=1)], "dense.sigmoid")
    gate = b.node("Reshape", [gate, b.constant("shape", np.array([1, 8, 1, 1], np.int64))], "gate")
    down = b.relu(b.conv(b.node("Mul", [stem, gate], "gated"), "down", (8, 8), stride=2), "down.relu")
    kernel = b.constant("up.w", b.rng.normal(0, 0.2, (8, 8, 2, 2)).astype(np.float32))
    up = b.node("ConvTranspose", [down, kernel], "up", strides=[2, 2])
    statistics = [b.constant(f"norm.{name}", np.full(8, value, np.float32)) for name, value in
                  {"scale": 1.5, "bias": 0.1, "mean": 0.2, "variance": 0.9}.items()]  # fmt: skip
    norm = b.relu(b.node("BatchNormalization", [up, *statistics], "norm"), "norm.relu")
    b.conv(norm, "logits", (8, 5), 1)
    size = SPEC.input
    model = onnx_model(
        b.nodes,
        [("rgb", TensorProto.UINT8, [1, size.height, size.width, 3])],
        [("logits", TensorProto.FLOAT, [1, 5, size.height // 2, size.width // 2])],
        b.constants,
    )
    artifact = Artifact(folder / "fused.onnx", SPEC)
    write_onnx(model, artifact)
    return artifact


def test_an_fp16_plan_with_a_gemm_and_a_transposed_convolution_is_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("tensorrt_rtx")
    source = gemm_and_transposed_convolution(tmp_path)
    half = fp16_from_ranges(source.path, ranges_from_images(source.path, frames(8)), out=tmp_path / "half.onnx")
    plan = engine_from_onnx(half.path, "tensorrt_rtx", out_dir=tmp_path / "out")
    obtained = {layer.name: layer.obtained for layer in plan.layers if layer.requested}
    assert obtained == {
        **dict.fromkeys(("stem/Conv", "down/Conv", "up/ConvTranspose", "logits/Conv"), "fp16"),
        "dense/Gemm": "",  # a multiplication and a sum in a kernel that is called neither
    }
    assert plan.path.exists()
    (warning,) = [message for message in caplog.messages if "dense/Gemm" in message]
    assert "1 of 5 layers" in warning
