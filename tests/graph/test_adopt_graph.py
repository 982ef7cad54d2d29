"""The insides of other people's ONNX files: old operators, batch norms, weights beside them, and what int8 needs."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from foreign_onnx import (
    CLASSES,
    HEIGHT,
    QUARTER,
    STATED,
    UINT8,
    WIDTH,
    Net,
    adopted,
    heads,
    operators,
    plain,
    run,
    street_frames,
)
from onnx import helper

from edgeseg.artifact import read_onnx
from edgeseg.calib.calibrate import ranges_from_images
from edgeseg.calib.quantize import int8_from_ranges
from edgeseg.errors import FormatError
from edgeseg.graph.adopt.adopt import adopt_onnx
from edgeseg.graph.adopt.check import LOGIT_TOLERANCE
from edgeseg.graph.core import core_from_model
from edgeseg.spec import Precision


@pytest.mark.parametrize("opset", [7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 21])
def test_every_opset_since_7_is_taken(tmp_path: Path, opset: int) -> None:
    def listed(proto: Any) -> None:
        """Weights among the inputs, as files before IR version 4 must have them."""
        for tensor in proto.graph.initializer:
            proto.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
        proto.ir_version = 3 if opset < 9 else proto.ir_version

    made = adopted(tmp_path, plain(opset=opset), STATED, listed)
    model = read_onnx(made.artifact.path)
    assert [value.name for value in model.graph.input] == ["rgb"]
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", max(opset, 17))]
    assert made.agreement.logit_difference <= LOGIT_TOLERANCE


@pytest.mark.parametrize("opset", [7, 9, 10])
@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_an_old_enlargement_keeps_its_coordinates(tmp_path: Path, opset: int, mode: str) -> None:
    scales = np.array([1, 1, 4, 4], np.float32)
    net = Net(opset=opset).body(norm=False)
    if opset == 7:
        net.add("Upsample", mode=mode, scales=scales.tolist())
    else:
        net.add("Upsample" if opset == 9 else "Resize", net.constant(scales), mode=mode)
    made = adopted(tmp_path, net.out((1, CLASSES, HEIGHT, WIDTH)))
    assert made.agreement.logit_difference <= LOGIT_TOLERANCE
    (resize,) = (node for node in read_onnx(made.artifact.path).graph.node if node.op_type == "Resize")
    rules = {each.name: helper.get_attribute_value(each) for each in resize.attribute}
    assert rules["coordinate_transformation_mode"] == b"asymmetric"


def old_pad(net: Net) -> Net:
    return net.add("Pad", mode="constant", pads=[0, 0, 1, 1, 0, 0, 1, 1], value=0.5).add(
        "Slice", axes=[2, 3], starts=[1, 1], ends=[9, 17]
    )


def old_squeeze(net: Net) -> Net:
    return net.add("Squeeze", axes=[0]).add("Unsqueeze", axes=[0])


def old_mean(net: Net) -> Net:
    trunk = net.x
    net.add("ReduceMean", axes=[2, 3], keepdims=1)
    return net.add("Add", trunk)


def old_split(net: Net) -> Net:
    net.nodes.append(helper.make_node("Split", [net.x], ["s0", "s1"], axis=1, split=[2, 3]))
    net.nodes.append(helper.make_node("Concat", ["s1", "s0"], ["swapped"], axis=1))
    net.x = "swapped"
    return net


def old_clip(net: Net) -> Net:
    return net.add("Clip", min=-1.0, max=6.0).add("LeakyRelu", alpha=0.1)


def old_softmax(net: Net) -> Net:
    return net.add("Softmax", axis=1)


def old_dropout(net: Net) -> Net:
    return net.add("Dropout", ratio=0.5)


OLD = [old_pad, old_squeeze, old_mean, old_split, old_clip, old_softmax, old_dropout]


@pytest.mark.parametrize("grown", OLD)
def test_operators_that_changed_since_opset_8_still_compute_the_same(tmp_path: Path, grown: Any) -> None:
    made = adopted(tmp_path, grown(Net(opset=8).body()).out(QUARTER))
    assert made.agreement.logit_difference <= LOGIT_TOLERANCE
    assert made.agreement.labels >= 0.999  # only near-ties may differ


def test_a_batch_norm_is_folded_into_the_convolution_before_it(tmp_path: Path) -> None:
    made = adopted(tmp_path, plain())
    assert "BatchNormalization" not in operators(made)


def test_what_depends_on_shapes_alone_is_computed(tmp_path: Path) -> None:
    net = Net().body()
    logits = net.x
    shape = net.add("Shape").x
    net.x = logits
    net.add("Reshape", net.constant(np.array([1, -1], np.int64))).add("Reshape", shape)
    made = adopted(tmp_path, net.out(QUARTER))
    assert "Shape" not in operators(made)


def test_names_that_the_deploy_head_uses_are_free_for_it(tmp_path: Path) -> None:
    net = Net()
    net.input = ("rgb", *net.input[1:])
    net.x = "rgb"
    net.body()
    net.nodes[0].output[0] = net.nodes[1].input[0] = "logits"
    net.nodes[2].output[0] = net.nodes[3].input[0] = "frame_0"
    net.nodes[3].name = "heads/Conv"
    made = adopted(tmp_path, net.out(QUARTER))
    assert made.agreement.logit_difference <= LOGIT_TOLERANCE
    core = core_from_model(ir.from_proto(read_onnx(made.artifact.path)))
    assert [value.name for value in core.outputs] == ["logits"]


def test_an_adopted_network_goes_on_to_int8(tmp_path: Path) -> None:
    for name, net, request in (
        ("one", plain(), STATED),
        ("two", heads(), dataclasses.replace(STATED, outputs=("road", "lane"))),
    ):
        made = adopted(tmp_path, net, dataclasses.replace(request, name=name))
        table = ranges_from_images(made.artifact.path, street_frames(WIDTH, HEIGHT))
        artifact = int8_from_ranges(made.artifact.path, table, target="onnxruntime", out=tmp_path / f"{name}.int8.onnx")
        got = run(dataclasses.replace(made, artifact=artifact))
        want = run(made)
        assert np.mean(got.argmax(1) == want.argmax(1)) >= 0.9  # eight bits of random weights move some near-ties
        nodes = [node.op_type for node in read_onnx(artifact.path).graph.node]
        assert nodes.count("DequantizeLinear") > 2


def test_dead_channels_do_not_break_int8(tmp_path: Path) -> None:
    net = plain()
    net.constants["k0"][0] = 1e-42  # what a batch norm with a scale near zero leaves: below the smallest normal float
    made = adopted(tmp_path, net)
    table = ranges_from_images(made.artifact.path, street_frames(WIDTH, HEIGHT))
    artifact = int8_from_ranges(made.artifact.path, table, target="openvino", out=tmp_path / "int8.onnx")
    assert artifact.precision is Precision.INT8


def test_weights_beside_the_file_are_read(tmp_path: Path) -> None:
    def save(location: str) -> Path:
        path = tmp_path / "net.onnx"
        onnx.save(plain().proto(), path, save_as_external_data=True, location=location, size_threshold=0)
        return path

    made = adopt_onnx(save("net.data"), STATED, tmp_path / "out", frames=street_frames)
    assert made.agreement.logit_difference <= LOGIT_TOLERANCE
    (tmp_path / "net.data").unlink()
    with pytest.raises(FormatError) as caught:
        adopt_onnx(tmp_path / "net.onnx", STATED, tmp_path / "out", frames=street_frames)
    assert caught.value.code == "ES-FILE-MISSING"
    assert str(tmp_path / "net.data") in caught.value.hint


def test_weights_outside_the_folder_are_not_read(tmp_path: Path) -> None:
    proto = plain().proto()
    path = tmp_path / "net.onnx"
    onnx.save(proto, path, save_as_external_data=True, location="net.data", size_threshold=0)
    proto = onnx.load(path, load_external_data=False)
    for tensor in proto.graph.initializer:
        for entry in tensor.external_data:
            entry.value = "../net.data" if entry.key == "location" else entry.value
    path.write_bytes(proto.SerializeToString())
    with pytest.raises(FormatError, match=r"\.\./net\.data"):
        adopt_onnx(path, STATED, tmp_path / "out", frames=street_frames)


def test_a_function_of_the_file_is_put_in_its_place(tmp_path: Path) -> None:
    def with_function(proto: Any) -> None:
        opset = helper.make_opsetid("", 17)
        body = [helper.make_node("Neg", ["x"], ["y"])]
        proto.functions.append(helper.make_function("mine", "Turned", ["x"], ["y"], body, [opset]))
        proto.opset_import.append(helper.make_opsetid("mine", 1))

    made = adopted(tmp_path, Net().body().add("Turned", domain="mine").out(QUARTER), STATED, with_function)
    assert "Neg" in operators(made)


def test_a_relu6_is_fused_with_the_convolution_before_it(tmp_path: Path) -> None:
    net = Net().conv(3, 8, stride=2)
    net.add("Clip", net.constant(np.float32(0)), net.constant(np.float32(6))).conv(8, CLASSES, stride=2)
    made = adopted(tmp_path, net.out(QUARTER))
    table = ranges_from_images(made.artifact.path, street_frames(WIDTH, HEIGHT))
    artifact = int8_from_ranges(made.artifact.path, table, target="onnxruntime", out=tmp_path / "int8.onnx")
    nodes = {node.output[0]: node for node in read_onnx(artifact.path).graph.node}
    clip = next(node for node in nodes.values() if node.op_type == "Clip")
    assert nodes[clip.input[0]].op_type == "Conv"  # no pair between them, which would stretch over what Clip cuts off
    (pair,) = (node for node in nodes.values() if node.op_type == "QuantizeLinear" and node.input[0] == clip.output[0])
    zero = next(each for each in read_onnx(artifact.path).graph.initializer if each.name == pair.input[2])
    assert zero.data_type == UINT8
    assert onnx.numpy_helper.to_array(zero) == 0
