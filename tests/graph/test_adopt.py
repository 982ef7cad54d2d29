"""Other people's ONNX files: every input becomes a frame, every enlargement is done once, every unit is read."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from foreign_onnx import (
    CLASSES,
    FRAME,
    HEIGHT,
    QUARTER,
    STATED,
    UINT8,
    WIDTH,
    Net,
    adopted,
    fact,
    operators,
    plain,
    run,
)
from onnx import helper

from edgeseg.artifact import artifact_from_onnx
from edgeseg.files import sha256_from_file
from edgeseg.graph.adopt.check import LOGIT_TOLERANCE
from edgeseg.graph.adopt.network_input import NetworkInput
from edgeseg.graph.adopt.normalise import PRESETS, input_spec_of
from edgeseg.graph.adopt.request import AdoptionRequest
from edgeseg.labels import unnamed_labels
from edgeseg.segmenter import open_segmenter
from edgeseg.spec import Precision


@pytest.mark.parametrize("nhwc", [False, True])
@pytest.mark.parametrize("color", ["rgb", "bgr"])
def test_a_float_network_gives_the_same_logits_behind_its_frame_head(tmp_path: Path, nhwc: bool, color: str) -> None:
    made = adopted(tmp_path, plain(nhwc=nhwc), dataclasses.replace(STATED, color=color))
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx")
    mean, std = (np.array(values) for values in PRESETS["imagenet"])
    picture = (FRAME / 255 - mean) / std
    picture = picture if color == "rgb" else picture[..., ::-1]
    preprocess = picture if nhwc else picture.transpose(2, 0, 1)
    (want,) = session.run(None, {"image": preprocess[None].astype(np.float32)})
    got = run(made)
    assert got.shape == QUARTER
    assert np.abs(got - want).max() <= LOGIT_TOLERANCE * np.abs(want).max()  # folded batch norms, float32
    assert made.agreement.logit_difference <= LOGIT_TOLERANCE
    assert fact(made, "layout").startswith("NHWC" if nhwc else "NCHW")
    assert operators(made).count("Transpose") == 1  # its own is gone, or there was none


@pytest.mark.parametrize("nhwc", [False, True])
@pytest.mark.parametrize("keeps", [False, True])
def test_a_uint8_network_normalises_by_itself(tmp_path: Path, nhwc: bool, keeps: bool) -> None:
    net = plain(nhwc=nhwc, dtype=UINT8)
    if keeps:  # bytes are worked on before they are cast, so that the graph must go on taking them
        net.nodes.insert(0, helper.make_node("MaxPool", ["image"], ["bytes"], kernel_shape=[1, 1]))
        net.nodes[1].input[0] = "bytes"
    made = adopted(tmp_path, net, AdoptionRequest(color="rgb"))
    preprocess = FRAME if nhwc else FRAME.transpose(2, 0, 1)
    (want,) = onnxruntime.InferenceSession(tmp_path / "net.onnx").run(None, {"image": preprocess[None]})
    assert np.abs(run(made) - want).max() <= LOGIT_TOLERANCE * np.abs(want).max()
    spec = made.artifact.spec.input
    assert (spec.mean, spec.std) == PRESETS["none"]
    assert "uint8" in fact(made, "std, for 0..1")
    assert operators(made)[:2] == ["Cast", "Transpose"]
    assert "Sub" not in operators(made)


def test_what_the_file_says_of_itself_and_where_it_came_from(tmp_path: Path) -> None:
    request = dataclasses.replace(
        STATED, name="mine", licence="MIT", align_corners=True, labels=unnamed_labels(CLASSES)
    )
    made = adopted(tmp_path, plain(), request)
    artifact = artifact_from_onnx(made.artifact.path)
    assert artifact.path.name == "mine.onnx"
    assert artifact.provenance.to_dict() == {
        "source": "net.onnx",
        "source_sha256": sha256_from_file(tmp_path / "net.onnx"),
    }
    spec = artifact.spec
    assert (spec.name, spec.family, spec.licence, spec.align_corners) == ("mine", "", "MIT", True)
    assert (spec.input.width, spec.input.height, artifact.precision) == (WIDTH, HEIGHT, Precision.FP32)
    assert "--align-corners" in fact(made, "align_corners")


def test_the_same_file_gives_the_same_bytes(tmp_path: Path) -> None:
    first = adopted(tmp_path, plain()).artifact.path.read_bytes()
    assert adopted(tmp_path, plain()).artifact.path.read_bytes() == first


@pytest.mark.parametrize("mode", ["half_pixel", "align_corners"])
@pytest.mark.parametrize("softened", [False, True])
def test_an_enlargement_that_the_segmenter_does_is_left_to_it(tmp_path: Path, mode: str, softened: bool) -> None:
    net = Net().body().resize(mode)
    net = net.add("Softmax", axis=1) if softened else net
    made = adopted(tmp_path, net.out((1, CLASSES, HEIGHT, WIDTH)))
    assert run(made).shape == QUARTER
    assert made.artifact.spec.align_corners is (mode == "align_corners")
    assert fact(made, "removed").startswith("Softmax, Resize" if softened else "Resize")
    mean, std = (np.array(values).reshape(3, 1, 1) for values in PRESETS["imagenet"])
    preprocess = ((FRAME.transpose(2, 0, 1) / 255 - mean) / std)[None].astype(np.float32)
    (want,) = onnxruntime.InferenceSession(tmp_path / "net.onnx").run(None, {"image": preprocess})
    with open_segmenter(made.artifact.path) as segmenter:
        labels = segmenter.segment(FRAME).labels
    assert np.mean(labels == want[0].argmax(0)) >= 0.999  # only near-ties may differ


@pytest.mark.parametrize(("mode", "kind"), [("asymmetric", "linear"), ("half_pixel", "cubic")])
def test_any_other_enlargement_stays(tmp_path: Path, mode: str, kind: str) -> None:
    made = adopted(tmp_path, Net().body().resize(mode, kind).out((1, CLASSES, HEIGHT, WIDTH)))
    assert run(made).shape == (1, CLASSES, HEIGHT, WIDTH)
    assert made.agreement.logit_difference <= LOGIT_TOLERANCE


@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax", "Sigmoid"])
def test_what_softens_logits_is_left_out(tmp_path: Path, op: str) -> None:
    axis = {} if op == "Sigmoid" else {"axis": 1}
    made = adopted(tmp_path, Net().body().add(op, **axis).out(QUARTER))
    assert op not in operators(made)
    assert np.isnan(made.agreement.logit_difference)
    assert made.agreement.labels >= 0.999  # only near-ties may differ


def test_a_softmax_over_anything_but_the_classes_stays(tmp_path: Path) -> None:
    made = adopted(tmp_path, Net().body().add("Softmax", axis=2).out(QUARTER))
    assert "Softmax" in operators(made)
    assert made.agreement.logit_difference <= LOGIT_TOLERANCE


def test_logits_of_an_interleaved_network_are_made_planar(tmp_path: Path) -> None:
    shape = (1, HEIGHT // 4, WIDTH // 4, CLASSES)
    net = Net(nhwc=True).body().add("Transpose", perm=[0, 2, 3, 1])
    made = adopted(tmp_path, net.add("Softmax", axis=-1).out(shape))
    assert run(made).shape == QUARTER
    assert "NHWC" in fact(made, f"output {net.x}")
    assert operators(made).count("Transpose") == 1
    offset = net.constant(np.arange(CLASSES, dtype=np.float32))  # and where the Transpose is not the last node
    net.nodes.pop()
    net.x, net.outputs = net.nodes[-1].output[0], []
    made = adopted(tmp_path, net.add("Mul", offset).out(shape))
    assert run(made).shape == QUARTER
    assert made.agreement.logit_difference <= LOGIT_TOLERANCE


@pytest.mark.parametrize("shape", [(CLASSES, 8, 16), (8, 16, CLASSES)])
def test_logits_without_a_batch_are_read_by_their_shape(tmp_path: Path, shape: tuple[int, ...]) -> None:
    net = Net().body()
    if shape[-1] == CLASSES:
        net.add("Transpose", perm=[0, 2, 3, 1])
    net.add("Reshape", net.constant(np.array(shape, np.int64)))
    assert run(adopted(tmp_path, net.out(shape))).shape == QUARTER


@pytest.mark.parametrize(
    ("mean", "std", "want", "reason"),
    [
        ((0.5, 0.4, 0.3), (0.2, 0.2, 0.2), ((0.5, 0.4, 0.3), (0.2, 0.2, 0.2)), "--mean, --std"),
        ((51, 102, 153), (51, 51, 51), ((0.2, 0.4, 0.6), (0.2, 0.2, 0.2)), "0..255"),
        ((51, 102, 153), (1, 1, 1), ((0.2, 0.4, 0.6), (1 / 255,) * 3), "0..255"),
        ((0, 0, 0), (255, 255, 255), ((0, 0, 0), (1, 1, 1)), "0..255"),
        ((0, 0, 0), (1, 1, 1), ((0, 0, 0), (1, 1, 1)), "--mean, --std"),
    ],
)
def test_mean_and_std_are_read_in_either_unit(mean: Any, std: Any, want: Any, reason: str) -> None:
    network_input = NetworkInput("image", "float32", "nchw", HEIGHT, WIDTH, dynamic=False)
    spec, properties = input_spec_of(network_input, AdoptionRequest(color="rgb", mean=mean, std=std), "net.onnx")
    assert np.allclose([spec.mean, spec.std], want)
    assert all(reason in each.reason for each in properties[1:])


def test_a_preset_follows_the_colour_order() -> None:
    network_input = NetworkInput("image", "float32", "nchw", HEIGHT, WIDTH, dynamic=False)
    spec, _ = input_spec_of(network_input, AdoptionRequest(color="bgr", normalize="imagenet"), "net.onnx")
    assert spec.mean == (0.406, 0.456, 0.485)
