"""Adopted graphs go on to int8, whatever their normalisation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from foreign_onnx import CLASSES, FRAME, QUARTER, Net, adopted, operators, plain
from onnx import helper

from edgeseg.calib.calibrate import ranges_from_images
from edgeseg.calib.quantize import int8_from_ranges
from edgeseg.engines.build import engine_from_onnx
from edgeseg.graph.adopt.normalise import PRESETS
from edgeseg.graph.adopt.request import AdoptionRequest


def pooled() -> Net:
    """A net whose first layer passes the picture's values on: they share its range."""
    net = Net().add("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
    return net.conv(3, 8, norm=True).add("Relu").conv(8, CLASSES, stride=2).out(QUARTER)


@pytest.mark.parametrize("normalize", PRESETS)
@pytest.mark.parametrize("net", [plain, pooled])
@pytest.mark.parametrize("target", ["canonical", "onnxruntime", "openvino"])
def test_every_normalisation_can_be_quantised(
    normalize: str, target: str, net: Callable[[], Net], tmp_path: Path
) -> None:
    made = adopted(tmp_path, net(), AdoptionRequest(color="rgb", normalize=normalize))
    table = ranges_from_images(made.artifact.path, [FRAME])
    quantised = int8_from_ranges(made.artifact.path, table, target=target, out=tmp_path / "int8.onnx")
    assert quantised.provenance.target == target


def branched() -> Net:
    """A convolution beside a pooling, their Concat, and a batch norm that evens all of its channels."""
    net = Net()
    net.conv(3, 8, stride=2)
    wide, net.x = net.x, "image"
    net.add("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
    net.nodes.append(helper.make_node("Concat", [wide, net.x], ["both"], "nboth", axis=1))
    net.x = "both"
    gains = np.geomspace(0.01, 1, 11, dtype=np.float32)
    parts = (1 / gains, 0 * gains, 0 * gains, gains**0)
    net.add("BatchNormalization", *map(net.constant, parts)).add("Relu")
    return net.conv(11, CLASSES, stride=2).out(QUARTER)


def test_a_batch_norm_behind_a_concat_folds_into_its_convolution(tmp_path: Path) -> None:
    made = adopted(tmp_path, branched())
    assert made.agreement.labels == 1.0
    order = [op for op in operators(made) if op in ("Conv", "MaxPool", "BatchNormalization", "Concat", "Relu")]
    assert order == ["MaxPool", "BatchNormalization", "Conv", "Concat", "Relu", "Conv"]


def test_int8_of_a_batch_norm_behind_a_concat_keeps_its_convolution(tmp_path: Path) -> None:
    source = adopted(tmp_path, branched()).artifact
    table = ranges_from_images(source.path, [FRAME])
    made = int8_from_ranges(source.path, table, target="onnxruntime", out=tmp_path / "int8.onnx")
    built = engine_from_onnx(
        made.path, "onnxruntime", out_dir=tmp_path, reference=source.path, frames=np.stack([FRAME] * 2)
    )
    assert built.agreement.labels > 0.95  # 128 labels: seen was 0.97
    assert [layer.obtained for layer in built.layers if layer.op == "QLinearConv"] == ["int8"]
