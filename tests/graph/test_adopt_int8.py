"""Adopted graphs go on to int8, whatever their normalisation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from foreign_onnx import CLASSES, FRAME, QUARTER, Net, adopted, plain

from edgeseg.calib.calibrate import ranges_from_images
from edgeseg.calib.quantize import int8_from_ranges
from edgeseg.graph.adopt.normalise import PRESETS
from edgeseg.graph.adopt.wishes import Wishes


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
    made = adopted(tmp_path, net(), Wishes(color="rgb", normalize=normalize))
    table = ranges_from_images(made.artifact.path, [FRAME])
    quantised = int8_from_ranges(made.artifact.path, table, target=target, out=tmp_path / "int8.onnx")
    assert quantised.provenance.target == target
