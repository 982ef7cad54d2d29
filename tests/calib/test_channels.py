"""Statistics of the range table by channel, and of an average image."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from activations import every_activation
from onnx import TensorProto, helper
from residual_onnx import residual_model, residual_onnx
from small_onnx import SPEC, frames, onnx_model

from edgeseg.artifact import Artifact, read_onnx, write_onnx
from edgeseg.calib.calibrate import ranges_from_images
from edgeseg.calib.range import ChannelStats, RangeTable, TensorStats
from edgeseg.errors import FormatError
from edgeseg.graph.identity import tensor_ids

ROUNDING = 1e-5  # of float32 sums of some thousand values, against those in float64, as a share of the largest value


def by_name(path: Path, table: RangeTable) -> dict[str, TensorStats]:
    return {name: table.tensors[key] for name, key in tensor_ids(ir.from_proto(read_onnx(path))).items()}


def written(folder: Path, model: Any) -> Path:
    artifact = Artifact(folder / "net.onnx", SPEC)
    write_onnx(model, artifact)
    return artifact.path


def check_means(channels: ChannelStats, expected: np.ndarray) -> None:
    np.testing.assert_allclose(channels.mean, expected, rtol=0, atol=ROUNDING * channels.absmax.max())


def check_absmax(channels: ChannelStats, expected: np.ndarray) -> None:
    # the session with the activations as outputs chooses other kernels for convolutions, whose last bits differ
    np.testing.assert_allclose(channels.absmax, expected, rtol=0, atol=ROUNDING * expected.max())


def matmul_net() -> Any:
    """rgb to tokens (1, 2048, 3), a linear layer, and logits (1, 5, 32, 64)."""
    rng = np.random.default_rng(0)
    constants = {
        "mean": np.full((1, 3, 1, 1), 120, np.float32),
        "w1": rng.normal(size=(3, 8)).astype(np.float32),
        "w2": rng.normal(size=(8, 5)).astype(np.float32),
        "flat": np.array([1, 3, -1], np.int64),
        "map": np.array([1, 5, 32, 64], np.int64),
    }
    nodes = [
        helper.make_node("Cast", ["rgb"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["planar"], perm=[0, 3, 1, 2]),
        helper.make_node("Sub", ["planar", "mean"], ["picture"]),
        helper.make_node("Reshape", ["picture", "flat"], ["rows"]),
        helper.make_node("Transpose", ["rows"], ["tokens"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["tokens", "w1"], ["hidden"]),
        helper.make_node("MatMul", ["hidden", "w2"], ["scores"]),
        helper.make_node("Transpose", ["scores"], ["columns"], perm=[0, 2, 1]),
        helper.make_node("Reshape", ["columns", "map"], ["logits"]),
    ]
    inputs = [("rgb", TensorProto.UINT8, [1, 32, 64, 3])]
    return onnx_model(nodes, inputs, [("logits", TensorProto.FLOAT, [1, 5, 32, 64])], constants)


@pytest.mark.parametrize("opset", [13, 18])  # the axes of a reduction are an attribute, or an input
def test_channels_of_what_enters_a_convolution_are_exact(tmp_path, opset):
    model = residual_model()
    for node in [node for node in model.graph.node if node.op_type == "ReduceMean"]:
        node.CopyFrom(helper.make_node("GlobalAveragePool", node.input[:1], node.output, node.name))
    model.graph.initializer.remove(next(each for each in model.graph.initializer if each.name == "axes"))
    model.opset_import[0].version = opset
    path = written(tmp_path, model)
    images = frames(3)
    table = by_name(path, ranges_from_images(path, images))
    entering = {"picture", "stem.relu", "both", "fuse.relu", "depthwise.relu", "squeeze", "gated", "large", "head.relu"}
    assert {name for name, stats in table.items() if stats.channels} == entering
    for name, values in every_activation(path, images).items():
        if name in entering:
            channels = table[name].channels
            assert channels is not None
            check_means(channels, values.mean(axis=(0, 1, 3, 4), dtype=np.float64))
            check_absmax(channels, np.abs(values).max(axis=(0, 1, 3, 4)))
            assert channels.absmax.max() == np.float32(table[name].absmax)


def test_channels_of_what_enters_a_matrix_product_are_those_of_its_last_axis(tmp_path):
    path = written(tmp_path, matmul_net())
    images = frames(3)
    table = by_name(path, ranges_from_images(path, images))
    assert {name for name, stats in table.items() if stats.channels} == {"tokens", "hidden"}
    values = every_activation(path, images)["hidden"]
    channels = table["hidden"].channels
    assert channels is not None
    assert channels.mean.shape == (8,)
    check_means(channels, values.mean(axis=(0, 1, 2), dtype=np.float64))
    check_absmax(channels, np.abs(values).max(axis=(0, 1, 2)))


def test_tensors_that_are_computed_alike_share_a_row_with_channels(tmp_path):
    model = residual_model()
    nodes = model.graph.node
    index = next(i for i, node in enumerate(nodes) if node.output[0] == "stem.relu")
    nodes.insert(index, helper.make_node("Relu", ["stem"], ["twin"], "twin/Relu"))
    next(node for node in nodes if node.name == "pool/MaxPool").input[0] = "twin"
    path = written(tmp_path, model)
    table = by_name(path, ranges_from_images(path, frames(2)))
    assert table["twin"] is table["stem.relu"]
    assert table["twin"].channels is not None


def test_the_average_is_that_of_each_image(tmp_path):
    path = residual_onnx(tmp_path).path
    images = frames(4)
    table = by_name(path, ranges_from_images(path, images))
    for name, values in every_activation(path, images).items():
        each = values.reshape(4, -1)
        averages = (table[name].average_minimum, table[name].average_maximum)
        assert averages == pytest.approx((each.min(axis=1).mean(), each.max(axis=1).mean()), rel=1e-5)


def test_channels_and_averages_survive_the_file(tmp_path):
    table = ranges_from_images(residual_onnx(tmp_path).path, frames(3))
    again = RangeTable.from_json(table.to_json())
    assert again.to_json() == table.to_json()
    for key, stats in table.tensors.items():
        read = again.tensors[key]
        assert (read.average_minimum, read.average_maximum) == (stats.average_minimum, stats.average_maximum)
        assert (read.channels is None) == (stats.channels is None)
        if stats.channels is not None:
            assert read.channels.mean.dtype == read.channels.absmax.dtype == np.float32
            np.testing.assert_array_equal(read.channels.mean, stats.channels.mean)
            np.testing.assert_array_equal(read.channels.absmax, stats.channels.absmax)


def test_a_table_without_them_is_still_read(tmp_path):
    table = ranges_from_images(residual_onnx(tmp_path).path, frames(3))
    data = json.loads(table.to_json())
    for row in data["tensors"].values():
        row.pop("channels", None)
        del row["average_minimum"], row["average_maximum"]
    old = RangeTable.from_json(json.dumps(data))
    for key, stats in old.tensors.items():
        assert (stats.minimum, stats.maximum) == (table.tensors[key].minimum, table.tensors[key].maximum)
        assert stats.average_minimum is stats.average_maximum is stats.channels is None
    assert json.loads(old.to_json()) == data


def test_channels_that_do_not_match_are_refused(tmp_path):
    data = json.loads(ranges_from_images(residual_onnx(tmp_path).path, frames(1)).to_json())
    row = next(row for row in data["tensors"].values() if "channels" in row)
    row["channels"]["mean"] = base64.b64encode(bytes(4 * 2)).decode()
    with pytest.raises(FormatError, match="2 means for 3 channels"):
        RangeTable.from_json(json.dumps(data))
