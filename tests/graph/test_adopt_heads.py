"""Outputs of other people's ONNX files: masks, one channel, several heads."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest
from foreign_onnx import (
    CLASSES,
    FRAME,
    HEIGHT,
    INT64,
    STATED,
    WIDTH,
    Net,
    adopted,
    argmax,
    fact,
    heads,
    operators,
    refused,
    run,
)
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto

from edgeseg.artifact import read_onnx
from edgeseg.graph.adopt.attach import margins
from edgeseg.graph.adopt.heads import Head
from edgeseg.graph.adopt.normalise import PRESETS
from edgeseg.graph.core import core_from_model
from edgeseg.labels import unnamed_labels
from edgeseg.segmenter import open_segmenter
from edgeseg.spec import Output


@pytest.mark.parametrize("kind", ["INT64", "INT32", "UINT8", "FLOAT"])
@pytest.mark.parametrize("keepdims", [0, 1])
def test_a_mask_of_any_type_stays_a_mask(tmp_path: Path, kind: str, keepdims: int) -> None:
    dtype = getattr(TensorProto, kind)
    net = argmax(Net(), keepdims)
    shape = (1, 8, 16) if not keepdims else (1, 1, 8, 16)
    net = net if kind == "INT64" else net.add("Cast", to=dtype)
    made = adopted(tmp_path, net.out(shape, dtype))
    mask = run(made)
    assert (mask.shape, mask.dtype) == ((1, 8, 16), np.uint8)
    assert made.artifact.output is Output.MASK
    assert len(made.artifact.spec.labels) == CLASSES  # what the ArgMax chooses from
    assert len(np.unique(mask)) > 1
    assert made.agreement.labels == 1.0
    with open_segmenter(made.artifact.path) as segmenter:
        assert segmenter.segment(FRAME).labels.shape == (HEIGHT, WIDTH)


def test_a_mask_of_an_interleaved_network_is_chosen_from_planar_logits(tmp_path: Path) -> None:
    net = Net(nhwc=True).body().add("Transpose", perm=[0, 2, 3, 1]).add("Softmax", axis=3)
    made = adopted(tmp_path, net.add("ArgMax", axis=3, keepdims=0).out((1, 8, 16), INT64))
    assert operators(made)[-3:] == ["Conv", "ArgMax", "Cast"]
    outputs = core_from_model(ir.from_proto(read_onnx(made.artifact.path))).outputs
    assert [value.producer().op_type for value in outputs] == ["Conv"]


def test_a_mask_whose_classes_nothing_counts_asks_for_its_labels(tmp_path: Path) -> None:
    net = Net().body(1).add("Clip", "", "").add("Round").add("Abs").out((1, 1, 8, 16))
    refused("ES-UNSTATED", "--labels FILE", tmp_path, net)
    made = adopted(tmp_path, net, dataclasses.replace(STATED, labels=unnamed_labels(9)))
    assert made.artifact.output is Output.MASK
    truth = Net().body(1)
    truth.add("Greater", truth.constant(np.float32(0))).out((1, 1, 8, 16), TensorProto.BOOL)
    assert len(adopted(tmp_path, truth).artifact.spec.labels) == 2


@pytest.mark.parametrize("end", ["logit", "Sigmoid", "Sigmoid, hidden"])
def test_one_channel_is_background_and_foreground(tmp_path: Path, end: str) -> None:
    net = Net().body(1)
    if end != "logit":
        net.add("Sigmoid")
    if end == "Sigmoid, hidden":  # the Sigmoid cannot be left out, and 0.5 is the threshold
        net.add("AveragePool", kernel_shape=[1, 1])
    made = adopted(tmp_path, net.out((1, 1, 8, 16)))
    logits = run(made)
    assert logits.shape == (1, 2, 8, 16)
    assert np.all(logits[:, 0] == 0)
    assert made.artifact.spec.labels.names == ("background", "foreground")
    mean, std = (np.array(values).reshape(3, 1, 1) for values in PRESETS["imagenet"])
    preprocess = ((FRAME.transpose(2, 0, 1) / 255 - mean) / std)[None].astype(np.float32)
    (want,) = onnxruntime.InferenceSession(tmp_path / "net.onnx").run(None, {"image": preprocess})
    threshold = 0.0 if end == "logit" else 0.5
    assert np.mean(logits.argmax(1) == (want[:, 0] > threshold)) == 1.0
    assert 0 < (want > threshold).mean() < 1  # or the line above says nothing


def test_several_heads_are_listed_with_what_to_type(tmp_path: Path) -> None:
    refused("ES-OUTPUT", "road (1, 2, 16, 32), lane (1, 3, 16, 32)", tmp_path, heads(2, 3))
    refused("ES-NAME", "road?", tmp_path, heads(), outputs=("raod",))
    made = adopted(tmp_path, heads(2, 3), dataclasses.replace(STATED, outputs=("lane",)))
    assert run(made).shape == (1, 3, 16, 32)
    assert operators(made).count("Conv") == 2  # the other head is gone


@pytest.mark.parametrize("channels", [(2, 2), (1, 2), (1, 1)])
def test_heads_of_one_foreground_class_are_joined_and_the_strongest_wins(
    tmp_path: Path, channels: tuple[int, int]
) -> None:
    made = adopted(tmp_path, heads(*channels), dataclasses.replace(STATED, outputs=("road", "lane")))
    assert made.artifact.spec.labels.names == ("background", "road", "lane")
    mean, std = (np.array(values).reshape(3, 1, 1) for values in PRESETS["imagenet"])
    preprocess = ((FRAME.transpose(2, 0, 1) / 255 - mean) / std)[None].astype(np.float32)
    outputs = onnxruntime.InferenceSession(tmp_path / "net.onnx").run(["road", "lane"], {"image": preprocess})
    road, lane = (values[0, -1] - (values[0, 0] if len(values[0]) == 2 else 0) for values in outputs)
    want = np.where((road <= 0) & (lane <= 0), 0, np.where(road >= lane, 1, 2))
    assert np.mean(run(made)[0].argmax(0) == want) >= 0.999  # only near-ties may differ
    assert set(np.unique(want)) == {0, 1, 2}
    assert fact(made, "joined").startswith("2 heads")
    core = core_from_model(ir.from_proto(read_onnx(made.artifact.path)))
    assert len(core.outputs) == 2  # the joining is behind the core: the heads' own convolutions stay float


@given(st.lists(st.sampled_from([1, 2]), min_size=1, max_size=4), st.integers(0, 1000))
def test_a_pixel_that_no_head_claims_is_background_and_one_that_one_claims_is_its(
    channels: list[int], seed: int
) -> None:
    made = [Head("", (), Output.LOGITS, "NCHW", count, 1, 1, count) for count in channels]
    weight, bias = margins(made, [False] * len(made))
    values = np.random.default_rng(seed).normal(size=sum(channels)).astype(np.float32)
    logits = weight[:, :, 0, 0] @ values + bias
    parts = np.split(values, np.cumsum(channels)[:-1])
    claims = [part[-1] > (part[0] if len(part) == 2 else 0) for part in parts]
    winner = int(logits.argmax())
    assert (winner == 0) == (not any(claims))
    assert winner == 0 or claims[winner - 1]


def test_heads_that_cannot_be_joined_are_refused(tmp_path: Path) -> None:
    both = {"outputs": ("road", "lane")}
    refused("ES-OUTPUT", "--output lane", tmp_path, heads(2, 3), **both)
    refused("ES-OUTPUT", "road 32x16, lane 16x8", tmp_path, heads(stride=2), **both)
    masks = heads()
    masks.add("ArgMax", axis=1, keepdims=0)
    masks.outputs = [masks.outputs[0]]
    masks.out((1, 16, 32), INT64)
    both = {"outputs": ("road", masks.x)}
    refused("ES-OUTPUT", f"--output {masks.x}", tmp_path, masks, **both)


def test_softened_and_enlarged_heads_are_joined_before_both(tmp_path: Path) -> None:
    net = heads()
    for name, output in (("road", "far"), ("lane", "near")):
        net.x = name
        net.add("Resize", "", "", net.constant(np.array([1, 2, HEIGHT, WIDTH], np.int64)), mode="linear")
        net.add("Softmax", axis=1)
        net.nodes[-1].output[0] = net.x = output
        net.out((1, 2, HEIGHT, WIDTH))
    made = adopted(tmp_path, net, dataclasses.replace(STATED, outputs=("far", "near")))
    assert run(made).shape == (1, 3, HEIGHT // 2, WIDTH // 2)
    assert made.artifact.spec.labels.names == ("background", "far", "near")


def test_outputs_that_are_no_map_are_refused(tmp_path: Path) -> None:
    net = Net().body().add("GlobalAveragePool")
    net.add("Flatten", axis=1).out((1, CLASSES))
    refused("ES-OUTPUT", f"{net.x} has the shape (1, 5)", tmp_path, net)
