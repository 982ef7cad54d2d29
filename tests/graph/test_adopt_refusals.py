"""What adopt asks for and what it refuses, by error code, with the option to add or the value that is wrong."""

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
    FLOAT,
    HEIGHT,
    QUARTER,
    STATED,
    UINT8,
    WIDTH,
    Net,
    adopted,
    fact,
    heads,
    plain,
    refused,
    run,
    street_frames,
)
from onnx import TensorProto, helper

from edgeseg.errors import FormatError, SizeError
from edgeseg.graph.adopt import adopt as adopt_module
from edgeseg.graph.adopt import source as source_module
from edgeseg.graph.adopt.adopt import adopt_onnx
from edgeseg.graph.adopt.simplify import constant_folded
from edgeseg.labels import unnamed_labels

STRING = TensorProto.STRING


def free_sides(proto: Any) -> None:
    """Batch, height and width of the input free, as dynamic_axes exports them."""
    for side, name in zip(proto.graph.input[0].type.tensor_type.shape.dim, ("N", "", "H", "W")):
        if name:
            side.dim_param = name
    del proto.graph.output[0].type.tensor_type.shape.dim[:]
    for name in ("N", "C", "h", "w"):
        proto.graph.output[0].type.tensor_type.shape.dim.add().dim_param = name


def test_a_free_size_is_asked_for_and_then_fixed(tmp_path: Path) -> None:
    refused("ES-UNSTATED", "--size WIDTHxHEIGHT", tmp_path, plain(), change=free_sides)
    made = adopted(tmp_path, plain(), dataclasses.replace(STATED, size=(96, 48)), free_sides)
    assert run(made, np.zeros((48, 96, 3), np.uint8)).shape == (1, CLASSES, 12, 24)
    assert fact(made, "input").startswith("96x48 float32: ")
    refused("ES-SIZE", "64x32", tmp_path, plain(), size=(96, 48))


def test_all_that_is_not_stated_is_asked_for_at_once(tmp_path: Path) -> None:
    unstated = {"change": free_sides, "color": None, "normalize": None}
    for option in ("--size WIDTHxHEIGHT", "--input rgb or --input bgr", "--mean R G B", "choose one: --output road"):
        refused("ES-UNSTATED", option, tmp_path, heads(2, 3), **unstated)


def test_a_batch_of_several_images_is_refused(tmp_path: Path) -> None:
    def four(proto: Any) -> None:
        for value in (proto.graph.input[0], proto.graph.output[0]):
            value.type.tensor_type.shape.dim[0].dim_value = 4

    refused("ES-FORMAT", "batch of 4", tmp_path, plain(), change=four)


def test_a_size_that_the_network_does_not_run_at_is_named(tmp_path: Path) -> None:
    net = Net().body()
    net.add("Reshape", net.constant(np.array([1, CLASSES, 8, 16], np.int64))).out(QUARTER)
    refused("ES-FORMAT", "96x48", tmp_path, net, change=free_sides, size=(96, 48))


def all_free(proto: Any) -> None:
    free_sides(proto)
    proto.graph.input[0].type.tensor_type.shape.dim[1].dim_param = "C"


def test_a_layout_that_no_shape_tells_is_asked_for(tmp_path: Path) -> None:
    refused("ES-UNSTATED", "--layout nchw or --layout nhwc", tmp_path, plain(), change=all_free, size=(64, 32))
    stated = dataclasses.replace(STATED, size=(64, 32), layout="nchw")
    assert fact(adopted(tmp_path, plain(), stated, all_free), "layout").startswith("NCHW: ")
    refused("ES-NAME", "nhwc?", tmp_path, plain(), layout="nhcw")
    refused("ES-FORMAT", "NHWC", tmp_path, plain(), layout="nhwc")


@pytest.mark.parametrize(
    ("stated", "code", "detail"),
    [
        ({"normalize": None}, "ES-UNSTATED", "--normalize imagenet|unit|minus1to1|none"),
        ({"color": None}, "ES-UNSTATED", "--input rgb or --input bgr"),
        ({"color": None, "normalize": None}, "ES-UNSTATED", "bgr; add --mean R G B"),
        ({"normalize": None, "mean": (0.5,) * 3}, "ES-UNSTATED", "its std"),
        ({"normalize": None, "std": (0.5,) * 3}, "ES-UNSTATED", "its mean"),
        ({"std": (0.5,) * 3}, "ES-MISMATCH-OPTIONS", "--normalize"),
        ({"normalize": None, "mean": (0.5,) * 3, "std": (0.0,) * 3}, "ES-FORMAT-NUMBERS", "(0.0, 0.0, 0.0)"),
        ({"normalize": None, "mean": (float("nan"),) * 3, "std": (0.5,) * 3}, "ES-FORMAT-NUMBERS", "(nan, nan, nan)"),
        ({"normalize": None, "color": "bgr"}, "ES-UNSTATED", "--mean B G R --std B G R"),
        ({"name": "../out"}, "ES-FORMAT-SPEC", "'../out'"),
    ],
)
def test_a_property_that_no_graph_states_is_asked_for(tmp_path: Path, stated: Any, code: str, detail: str) -> None:
    refused(code, detail, tmp_path, plain(), **stated)


MIXED = {
    "mean for 0..1, std for 0..255": ((0.43, 0.44, 0.41), (72.0, 71.0, 73.0)),
    "mean for 0..255, std for 0..1": ((123.7, 116.3, 103.5), (0.229, 0.224, 0.225)),
    "one mean for 0..1": ((0.485, 116.3, 103.5), (58.4, 57.1, 57.4)),
    "one std for 0..1": ((123.7, 116.3, 103.5), (58.4, 0.224, 57.4)),
}


@pytest.mark.parametrize("case", MIXED)
def test_mean_and_std_of_two_scales_are_refused(tmp_path: Path, case: str) -> None:
    mean, std = MIXED[case]
    with pytest.raises(FormatError) as caught:
        adopted(tmp_path, plain(), dataclasses.replace(STATED, normalize=None, mean=mean, std=std))
    assert caught.value.code == "ES-FORMAT-SCALE"


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -float("inf"), 0.0, -1.0])
@pytest.mark.parametrize("scale", [1.0, 255.0])
def test_a_std_that_nothing_can_be_divided_by_is_refused(tmp_path: Path, wrong: float, scale: float) -> None:
    std = (0.2 * scale, wrong, 0.2 * scale)
    with pytest.raises(FormatError) as caught:
        adopted(tmp_path, plain(), dataclasses.replace(STATED, normalize=None, mean=(0.5 * scale,) * 3, std=std))
    assert caught.value.code == "ES-FORMAT-NUMBERS"


def test_wrong_words_are_answered_with_the_right_ones(tmp_path: Path) -> None:
    refused("ES-NAME", "rgb?", tmp_path, plain(), color="rbg")
    refused("ES-NAME", "imagenet?", tmp_path, plain(), normalize="imgnet")
    refused("ES-MISMATCH-OPTIONS", "--normalize", tmp_path, plain(dtype=UINT8))
    refused("ES-MISMATCH", "5 names", tmp_path, plain(), labels=unnamed_labels(3))
    road = {"labels": unnamed_labels(2), "outputs": ("road", "lane")}
    refused("ES-MISMATCH", "3 names", tmp_path, heads(), **road)


def test_an_input_that_is_no_image_is_refused(tmp_path: Path) -> None:
    grey = plain()
    grey.input = ("image", FLOAT, (1, 1, HEIGHT, WIDTH))
    refused("ES-FORMAT", "(1, 1, 32, 64)", tmp_path, grey)
    flat = plain()
    flat.input = ("image", FLOAT, (3, HEIGHT, WIDTH))
    refused("ES-FORMAT", "(3, 32, 64)", tmp_path, flat)

    def second(proto: Any) -> None:
        proto.graph.input.append(helper.make_tensor_value_info("state", FLOAT, (1, 7)))

    refused("ES-FORMAT", "image (1, 3, 32, 64), state (1, 7)", tmp_path, plain(), change=second)


def test_names_that_edgeseg_gives_itself_may_stand_in_the_file(tmp_path: Path) -> None:
    ours = ("source/Transpose", "source/Cast", "source/floats", "source/planes")

    def renamed(proto: Any) -> None:
        names = {node.output[0]: name for node, name in zip(proto.graph.node, ours)}
        for node in proto.graph.node:
            inputs, outputs = ([names.get(name, name) for name in side] for side in (node.input, node.output))
            del node.input[:], node.output[:]
            node.input.extend(inputs)
            node.output.extend(outputs)

    net = plain(nhwc=True, dtype=UINT8)
    made = adopted(tmp_path, net, dataclasses.replace(STATED, normalize=None), renamed)
    assert made.agreement.labels >= 0.999  # float against float: only near-ties may differ


def nothing(nhwc: bool) -> Net:
    """The image itself, with the channels in the middle."""
    return Net(nhwc=nhwc).out((1, 3, HEIGHT, WIDTH))


@pytest.mark.parametrize("nhwc", [False, True])
def test_a_graph_that_computes_nothing_is_refused(tmp_path: Path, nhwc: bool) -> None:
    refused("ES-FORMAT", "computes nothing", tmp_path, nothing(nhwc))


def test_outputs_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    refused("ES-FORMAT", "no output", tmp_path, Net().body())
    words = Net().body().add("Cast", to=STRING).out(QUARTER, STRING)
    refused("ES-FORMAT", "Cast4", tmp_path, words)
    net = Net().body()
    net.add("Mul", net.constant(np.float32("nan"))).out(QUARTER)
    refused("ES-FORMAT", "Mul4", tmp_path, net)


def test_operators_that_cannot_be_deployed_are_named(tmp_path: Path) -> None:
    def custom(proto: Any) -> None:
        proto.opset_import.append(helper.make_opsetid("com.acme", 1))

    net = Net().body().add("Magic", domain="com.acme").out(QUARTER)
    refused("ES-OPERATOR", "nMagic4 is Magic of com.acme", tmp_path, net, change=custom)
    quantised = Net().body()
    quantised.add("QuantizeLinear", quantised.constant(np.float32(1)), quantised.constant(np.uint8(0)))
    quantised.add("DequantizeLinear", "k8", "k9").out(QUARTER)
    refused("ES-QUANTISED", "QuantizeLinear", tmp_path, quantised)


def test_control_flow_is_refused(tmp_path: Path) -> None:
    net = Net().body()
    logits = net.x
    branch = helper.make_graph(
        [helper.make_node("Neg", [logits], ["negative"])],
        "branch",
        [],
        [helper.make_tensor_value_info("negative", FLOAT, QUARTER)],
    )
    net.x = net.constant(np.array(True))
    net.add("If", then_branch=branch, else_branch=branch)
    net.nodes[-1].input[:] = net.nodes[-1].input[:1]
    refused("ES-OPERATOR", "is If", tmp_path, net.out(QUARTER))


def test_files_that_cannot_be_adopted_are_refused(tmp_path: Path) -> None:
    def old(proto: Any) -> None:
        proto.opset_import[0].version = 6

    net = Net().body(norm=False).out(QUARTER)
    refused("ES-OPSET", "opset 6", tmp_path, net, change=old)
    half = plain()
    half.constants["unused"] = np.zeros(3, np.float16)
    refused("ES-FORMAT", "float16 weights (unused)", tmp_path, half)
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"no protobuf at all")
    with pytest.raises(FormatError, match=r"broken\.onnx"):
        adopt_onnx(path, STATED, tmp_path, frames=street_frames)
    made = adopted(tmp_path, plain())
    with pytest.raises(FormatError) as caught:
        adopt_onnx(made.artifact.path, STATED, tmp_path, frames=street_frames)
    assert str(made.artifact.path) in caught.value.hint


def test_the_source_is_not_overwritten(tmp_path: Path) -> None:
    path = plain().save(tmp_path / "net.onnx")
    before = path.read_bytes()
    with pytest.raises(FormatError) as caught:
        adopt_onnx(path, STATED, tmp_path, frames=street_frames)
    assert caught.value.code == "ES-FILE-SAME"
    assert path.read_bytes() == before


def test_a_graph_that_differs_from_its_source_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(model: ir.Model, *rest: Any) -> ir.Model:
        network_input, spec = rest
        return attach(model, network_input, dataclasses.replace(spec, color="bgr"))

    attach = adopt_module.attach_input
    monkeypatch.setattr(adopt_module, "attach_input", wrong)
    refused("ES-AGREEMENT", "of the labels", tmp_path, plain())


def test_a_mask_of_one_class_warns_of_the_normalisation(tmp_path: Path) -> None:
    net = plain()
    net.constants["k7"][2] += 1000  # the bias of one class
    made = adopted(tmp_path, net)
    assert made.agreement.classes == (2,)
    assert "class 2" in made.warning
    assert adopted(tmp_path, plain()).warning == ""


def test_a_file_that_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = plain().save(tmp_path / "net.onnx")
    size = path.stat().st_size
    monkeypatch.setattr(source_module, "MAX_ONNX_BYTES", size - 1)
    with pytest.raises(FormatError) as caught:
        adopt_onnx(path, STATED, tmp_path / "out", frames=street_frames)
    assert caught.value.code == "ES-TOO-LARGE"
    onnx.save(plain().proto(), path, save_as_external_data=True, location="net.data", size_threshold=0)
    with pytest.raises(FormatError) as caught:
        adopt_onnx(path, STATED, tmp_path / "out", frames=street_frames)
    assert caught.value.code == "ES-TOO-LARGE"


def test_what_the_libraries_refuse_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("no adapter for Magic\nat line 7")

    with monkeypatch.context() as patch:
        patch.setattr("onnx.version_converter.convert_version", fail)
        refused("ES-OPSET", "no adapter for Magic (", tmp_path, plain(opset=9))
    proto = plain().proto()
    del proto.graph.node[-1]
    with pytest.raises(FormatError, match=r"net\.onnx"):
        constant_folded(proto, "net.onnx")


def test_an_input_that_no_machine_holds(tmp_path: Path) -> None:
    def enlarge(proto: Any) -> None:
        for side in proto.graph.input[0].type.tensor_type.shape.dim[2:]:
            side.dim_value = 10**6

    with pytest.raises(SizeError) as caught:
        adopted(tmp_path, plain(), change=enlarge)
    assert caught.value.code == "ES-SIZE"
