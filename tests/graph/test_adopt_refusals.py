"""What adopt asks for, and what it refuses: each message and what it says to type."""

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
    TOLD,
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

from edgeseg.errors import AgreementError, FormatError, MismatchError, SizeError, UnknownNameError
from edgeseg.graph.adopt import adopt as adopt_module
from edgeseg.graph.adopt import source as source_module
from edgeseg.graph.adopt.adopt import adopt_onnx
from edgeseg.graph.adopt.modern import folded
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
    refused(
        SizeError, "net.onnx takes pictures of any size", "--size WIDTHxHEIGHT", tmp_path, plain(), change=free_sides
    )
    made = adopted(tmp_path, plain(), dataclasses.replace(TOLD, size=(96, 48)), free_sides)
    assert run(made, np.zeros((48, 96, 3), np.uint8)).shape == (1, CLASSES, 12, 24)
    assert fact(made, "input") == "96x48 float32: told: --size"
    hint = "leave --size out"
    refused(SizeError, "net.onnx takes 64x32, not 96x48", hint, tmp_path, plain(), size=(96, 48))


def test_a_batch_of_several_pictures_is_refused(tmp_path: Path) -> None:
    def four(proto: Any) -> None:
        for value in (proto.graph.input[0], proto.graph.output[0]):
            value.type.tensor_type.shape.dim[0].dim_value = 4

    refused(FormatError, "net.onnx takes a batch of 4", "with a batch of 1", tmp_path, plain(), change=four)


def test_a_size_that_the_network_does_not_run_at_is_named(tmp_path: Path) -> None:
    net = Net().body()
    net.add("Reshape", net.constant(np.array([1, CLASSES, 8, 16], np.int64))).out(QUARTER)
    message, hint = "net.onnx does not run at 96x48", "multiples of 32"
    refused(FormatError, message, hint, tmp_path, net, change=free_sides, size=(96, 48))


def all_free(proto: Any) -> None:
    free_sides(proto)
    proto.graph.input[0].type.tensor_type.shape.dim[1].dim_param = "C"


def test_a_layout_that_no_shape_tells_is_asked_for(tmp_path: Path) -> None:
    message = "net.onnx takes (?, ?, ?, ?): NCHW or NHWC?"
    refused(FormatError, message, "--layout nchw or --layout nhwc", tmp_path, plain(), change=all_free, size=(64, 32))
    told = dataclasses.replace(TOLD, size=(64, 32), layout="nchw")
    assert fact(adopted(tmp_path, plain(), told, all_free), "layout") == "NCHW: told: --layout"
    refused(UnknownNameError, "unknown layout: nhcw", "did you mean nhwc?", tmp_path, plain(), layout="nhcw")
    refused(FormatError, "is no nhwc of 3 channels", "colour pictures", tmp_path, plain(), layout="nhwc")


@pytest.mark.parametrize(
    ("wishes", "message", "hint"),
    [
        ({"normalize": None}, "net.onnx does not say its mean and std", "--normalize imagenet|unit|minus1to1|none"),
        ({"color": None}, "does not say whether it takes RGB or BGR", "add --input rgb or --input bgr"),
        ({"color": None, "normalize": None}, "RGB or BGR and its mean and std", "bgr; add --mean R G B"),
        ({"normalize": None, "mean": (0.5,) * 3}, "does not say its std", "--std R G B"),
        ({"normalize": None, "std": (0.5,) * 3}, "does not say its mean", "--mean R G B"),
        ({"std": (0.5,) * 3}, "--normalize and --mean, --std say the same thing", "leave one of them out"),
        ({"normalize": None, "mean": (0.5,) * 3, "std": (0.0,) * 3}, "std (0.0, 0.0, 0.0)", "std above 0"),
        ({"normalize": None, "mean": (float("nan"),) * 3, "std": (0.5,) * 3}, "mean (nan, nan, nan)", "three numbers"),
        ({"normalize": None, "color": "bgr"}, "does not say its mean and std", "add --mean B G R --std B G R"),
        ({"name": "../out"}, "'../out' is no name of a model", "leave out slashes"),
    ],
)
def test_what_no_graph_says_is_asked_for(tmp_path: Path, wishes: Any, message: str, hint: str) -> None:
    refused(FormatError, message, hint, tmp_path, plain(), **wishes)


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
        adopted(tmp_path, plain(), dataclasses.replace(TOLD, normalize=None, mean=mean, std=std))
    assert caught.value.code == "ES-FORMAT-SCALE"
    assert "0..255" in caught.value.hint


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -float("inf"), 0.0, -1.0])
@pytest.mark.parametrize("scale", [1.0, 255.0])
def test_a_std_that_nothing_can_be_divided_by_is_refused(tmp_path: Path, wrong: float, scale: float) -> None:
    std = (0.2 * scale, wrong, 0.2 * scale)
    with pytest.raises(FormatError) as caught:
        adopted(tmp_path, plain(), dataclasses.replace(TOLD, normalize=None, mean=(0.5 * scale,) * 3, std=std))
    assert caught.value.code == "ES-FORMAT"


def test_wrong_words_are_answered_with_the_right_ones(tmp_path: Path) -> None:
    refused(UnknownNameError, "unknown colour order: rbg", "did you mean rgb?", tmp_path, plain(), color="rbg")
    refused(UnknownNameError, "unknown normalisation: imgnet", "imagenet?", tmp_path, plain(), normalize="imgnet")
    bytes_net = plain(dtype=UINT8)
    refused(FormatError, "net.onnx takes uint8 and normalises by itself", "--normalize out", tmp_path, bytes_net)
    message = "the labels name 3 classes, and net.onnx tells 5 apart"
    refused(MismatchError, message, "write 5 names, one a line", tmp_path, plain(), labels=unnamed_labels(3))
    road = {"labels": unnamed_labels(2), "outputs": ("road", "lane")}
    refused(MismatchError, "tells 3 apart", "the background first", tmp_path, heads(), **road)


def test_inputs_that_are_no_picture_are_refused(tmp_path: Path) -> None:
    grey = plain()
    grey.input = ("image", FLOAT, (1, 1, HEIGHT, WIDTH))
    refused(FormatError, "takes (1, 1, 32, 64), which is no picture of 3 channels", "colour pictures", tmp_path, grey)
    flat = plain()
    flat.input = ("image", FLOAT, (3, HEIGHT, WIDTH))
    refused(FormatError, "net.onnx takes float (3, 32, 64)", "3 channels, float32 or uint8", tmp_path, flat)

    def second(proto: Any) -> None:
        proto.graph.input.append(helper.make_tensor_value_info("state", FLOAT, (1, 7)))

    message = "has 2 inputs (image (1, 3, 32, 64), state (1, 7))"
    refused(FormatError, message, "the picture as its only input", tmp_path, plain(), change=second)


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
    made = adopted(tmp_path, net, dataclasses.replace(TOLD, normalize=None), renamed)
    assert made.agreement.labels >= 0.999  # float against float: only near-ties may differ


def nothing(nhwc: bool) -> Net:
    """The picture itself, with the channels in the middle."""
    return Net(nhwc=nhwc).out((1, 3, HEIGHT, WIDTH))


@pytest.mark.parametrize("nhwc", [False, True])
def test_a_graph_that_computes_nothing_is_refused(tmp_path: Path, nhwc: bool) -> None:
    message = "net.onnx computes nothing of its picture"
    refused(FormatError, message, "export the trained network", tmp_path, nothing(nhwc))


def test_outputs_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    refused(FormatError, "net.onnx has no output", "its logits or its mask", tmp_path, Net().body())
    words = Net().body().add("Cast", to=STRING).out(QUARTER, STRING)
    refused(FormatError, "output Cast4 is no tensor of numbers", "--output NAME", tmp_path, words)
    net = Net().body()
    net.add("Mul", net.constant(np.float32("nan"))).out(QUARTER)
    refused(FormatError, "output Mul4 is nan at some pixels", "an earlier step", tmp_path, net)


def test_operators_that_cannot_be_deployed_are_named(tmp_path: Path) -> None:
    def custom(proto: Any) -> None:
        proto.opset_import.append(helper.make_opsetid("com.acme", 1))

    net = Net().body().add("Magic", domain="com.acme").out(QUARTER)
    message = "node nMagic4 is Magic of com.acme, no standard operator"
    refused(FormatError, message, "standard ones", tmp_path, net, change=custom)
    quantised = Net().body()
    quantised.add("QuantizeLinear", quantised.constant(np.float32(1)), quantised.constant(np.uint8(0)))
    quantised.add("DequantizeLinear", "k8", "k9").out(QUARTER)
    message = "is QuantizeLinear: this graph is quantised already"
    refused(FormatError, message, "the float ONNX that it was made from", tmp_path, quantised)


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
    refused(FormatError, "is If, whose branches", "onnxsim", tmp_path, net.out(QUARTER))


def test_files_that_cannot_be_adopted_are_refused(tmp_path: Path) -> None:
    def old(proto: Any) -> None:
        proto.opset_import[0].version = 6

    net = Net().body(norm=False).out(QUARTER)
    refused(FormatError, "net.onnx is of opset 6; 7 is the oldest that runs", "opset 17", tmp_path, net, change=old)
    half = plain()
    half.constants["unused"] = np.zeros(3, np.float16)
    refused(FormatError, "net.onnx has float16 weights (unused)", "as float32", tmp_path, half)
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"no protobuf at all")
    with pytest.raises(FormatError, match=r"broken.onnx is not a valid ONNX file"):
        adopt_onnx(path, TOLD, tmp_path, frames=street_frames)
    made = adopted(tmp_path, plain())
    with pytest.raises(FormatError, match=r"net.onnx carries a model spec already") as caught:
        adopt_onnx(made.artifact.path, TOLD, tmp_path, frames=street_frames)
    assert caught.value.hint == f"edgeseg convert {made.artifact.path}"


def test_the_source_is_not_overwritten(tmp_path: Path) -> None:
    path = plain().save(tmp_path / "net.onnx")
    before = path.read_bytes()
    with pytest.raises(FormatError, match="would overwrite") as caught:
        adopt_onnx(path, TOLD, tmp_path, frames=street_frames)
    assert "--name" in caught.value.hint
    assert path.read_bytes() == before


def test_a_graph_that_differs_from_its_source_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(model: ir.Model, *rest: Any) -> ir.Model:
        picture, spec = rest
        return attach(model, picture, dataclasses.replace(spec, color="bgr"))

    attach = adopt_module.attach_frames
    monkeypatch.setattr(adopt_module, "attach_frames", wrong)
    refused(AgreementError, "the deploy graph and its source agree on", "report this as a bug", tmp_path, plain())


def test_a_mask_of_one_class_warns_of_the_normalisation(tmp_path: Path) -> None:
    net = plain()
    net.constants["k7"][2] += 1000  # the bias of one class
    made = adopted(tmp_path, net)
    assert made.agreement.seen == (2,)
    assert made.warning.startswith("every pixel of 4 frames is class 2: a wrong normalisation or colour order")
    assert adopted(tmp_path, plain()).warning == ""


def test_a_file_that_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = plain().save(tmp_path / "net.onnx")
    size = path.stat().st_size
    monkeypatch.setattr(source_module, "MAX_ONNX_BYTES", size - 1)
    with pytest.raises(FormatError, match="is larger than 2 GiB") as caught:
        adopt_onnx(path, TOLD, tmp_path / "out", frames=street_frames)
    assert "is this the right file?" in caught.value.hint
    onnx.save(plain().proto(), path, save_as_external_data=True, location="net.data", size_threshold=0)
    with pytest.raises(FormatError, match=r"net.onnx and its weights are larger than 2 GiB"):
        adopt_onnx(path, TOLD, tmp_path / "out", frames=street_frames)


def test_what_the_libraries_refuse_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("no adapter for Magic\nat line 7")

    with monkeypatch.context() as patch:
        patch.setattr("onnx.version_converter.convert_version", fail)
        message = "net.onnx cannot be brought from opset 9 to 17: no adapter for Magic"
        refused(FormatError, message, "with opset 17 or newer", tmp_path, plain(opset=9))
    proto = plain().proto()
    del proto.graph.node[-1]
    with pytest.raises(FormatError, match=r"onnxruntime cannot load net.onnx: ") as caught:
        folded(proto, "net.onnx")
    assert caught.value.hint == "export it again"


def test_an_input_that_no_machine_holds(tmp_path: Path) -> None:
    def enlarge(proto: Any) -> None:
        for side in proto.graph.input[0].type.tensor_type.shape.dim[2:]:
            side.dim_value = 10**6

    with pytest.raises(SizeError) as caught:
        adopted(tmp_path, plain(), change=enlarge)
    assert caught.value.code == "ES-SIZE"
