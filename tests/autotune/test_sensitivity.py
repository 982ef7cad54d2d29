from __future__ import annotations

import dataclasses
import math
import sys
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_onnx import frames, street_onnx

from edgeseg.artifact import LoadedModel, load_onnx
from edgeseg.autotune.autotune import SearchRequest
from edgeseg.autotune.blocks import Block
from edgeseg.autotune.candidate import CandidateBuilder
from edgeseg.autotune.evaluation_set import evaluation_set_from_options
from edgeseg.autotune.label_changes import BETTER, OTHER, UNKNOWN, WORSE, draw_label_changes, label_change_map, worst
from edgeseg.autotune.plots import draw_sensitivity
from edgeseg.autotune.sensitivity import (
    Effect,
    Sensitivity,
    build_alone,
    open_recording,
    quantised_alone,
    ranked,
    sqnr_db,
)
from edgeseg.calib.calibrate import ranges_from_images
from edgeseg.calib.quantize import int8_from_ranges
from edgeseg.calib.range import RangeTable
from edgeseg.engines import open_engine
from edgeseg.engines.agreement import CheckImages
from edgeseg.engines.options import RunOptions
from edgeseg.errors import MismatchError, SizeError
from edgeseg.measure.estimate import Estimate
from edgeseg.segmenter import open_segmenter
from edgeseg.spec import Output, Precision

STREETS = "street:?seed=3&frames=24&size=96x64"
ENGINES = ("onnxruntime", "openvino")
LAYERS = {"onnxruntime": ("conv0", "conv1"), "openvino": ("conv0", "conv1", "conv2")}  # the last gives the logits


def request(folder: Path, engine: str = "onnxruntime", data: str | None = STREETS, **options: Output) -> SearchRequest:
    """A small network with its ranges, and two dozen synthetic images."""
    onnx, table = network(folder, **options)
    evaluation_set = evaluation_set_from_options(onnx.spec, data, None, 4)
    return SearchRequest(onnx, table, open_engine(engine), evaluation_set, run=RunOptions(threads=1))


def network(folder: Path, **options: Output) -> tuple[LoadedModel, RangeTable]:
    onnx = load_onnx(street_onnx(folder, **options).path)
    return onnx, ranges_from_images(onnx.path, frames(8))


def study(tmp_path: Path, request: SearchRequest) -> Sensitivity:
    folder = tmp_path / "builds"
    folder.mkdir()
    return Sensitivity(request, folder)


def effect(name: str, value: float, *, labelled: bool = True) -> Effect:
    drop = Estimate(value, value - 0.001, value + 0.001)
    same = Estimate(1 - value, 1 - value, 1 - value)
    return Effect(Block(name, (name,)), drop if labelled else None, same, 30.0, None)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_block_alone_costs_less_than_all_of_it(tmp_path: Path, engine: str) -> None:
    pytest.importorskip(engine)
    network = study(tmp_path, request(tmp_path, engine))
    before = sorted(path.name for path in network.folder.iterdir())
    effects = [network.measure(Block(layer, (layer,))) for layer in network.layers]
    assert [each.block.layers for each in effects] == [(name,) for name in LAYERS[engine]]
    assert network.whole.sqnr_db is not None
    for each in effects:
        assert each.sqnr_db is not None
        # A layer's own rounding is part of the whole's; half a decibel is what chance makes of noise that adds up.
        assert each.sqnr_db > network.whole.sqnr_db - 0.5
        assert each.drop is not None and each.drop.low <= each.drop.value <= each.drop.high
        assert 0.9 < each.agreement.value <= 1
        assert each.ablation is not None and each.ablation.ratio.value > 0
    assert sorted(path.name for path in network.folder.iterdir()) == before  # each block's engines are removed


@pytest.mark.parametrize("engine", ENGINES)
def test_no_layer_alone_is_the_float_engine_and_all_are_the_int8_one(tmp_path: Path, engine: str) -> None:
    pytest.importorskip(engine)
    source, table = network(tmp_path)
    reference = logits_of(source.path)
    builder = CandidateBuilder(source, table, open_engine(engine), tmp_path, CheckImages(frames(1)))
    assert sqnr_db(reference, logits_of(build_alone(builder, ()).path)) > 100  # dB: fp32 has 24 bits
    whole = int8_from_ranges(source.path, table, target=engine, out=tmp_path / "whole.onnx")
    every = quantised_alone(source, table, engine, frozenset(LAYERS[engine]), tmp_path)
    assert onnx.load(every.path).graph == onnx.load(whole.path).graph


def logits_of(path: Path) -> list[np.ndarray]:
    segmenter, logits = open_recording(path, RunOptions(threads=1))
    with segmenter:
        segmenter.segment_batch(list(frames(3)))
    return logits


def onnx_nodes(path: Path) -> list[str]:
    return sorted(node.name for node in onnx.load(path).graph.node)


def test_only_the_named_layer_has_int8_weights(tmp_path: Path) -> None:
    source, table = network(tmp_path)
    made = quantised_alone(source, table, "onnxruntime", frozenset({"conv1"}), tmp_path)
    weights = {each.name for each in onnx.load(made.path).graph.initializer if each.data_type == onnx.TensorProto.INT8}
    assert {name.split("/")[0] for name in weights} == {"conv1"}
    assert "x0/QuantizeLinear" not in onnx_nodes(made.path)


def test_a_model_that_gives_a_mask_has_no_sqnr(tmp_path: Path) -> None:
    network = study(tmp_path, request(tmp_path, output=Output.MASK))
    assert network.whole.sqnr_db is None
    assert network.measure(Block("first", ("conv0",))).sqnr_db is None


def test_without_labels_changed_labels_rank(tmp_path: Path) -> None:
    network = study(tmp_path, request(tmp_path, data=None))
    result = network.measure(Block("first", ("conv0",)))
    assert result.drop is None
    assert result.loss.value == pytest.approx(1 - result.agreement.value)
    assert network.classes() == []
    assert network.to_dict()["evaluated_on"]["labelled"] is False


def test_a_network_of_one_block_cannot_leave_it_float(tmp_path: Path) -> None:
    network = study(tmp_path, request(tmp_path))
    result = network.measure(Block("all", network.layers))
    assert result.ablation is None
    assert result.to_dict()["float"] is None
    assert result.agreement == network.whole.agreement  # rounded in fp32 or computed in int8: one arithmetic


def test_classes_add_up_to_the_miou(tmp_path: Path) -> None:
    network = study(tmp_path, request(tmp_path))
    rows = network.classes()
    assert np.mean([reference for _, reference, _ in rows]) == pytest.approx(network.scorer.reference.miou)
    assert np.mean([int8 for _, _, int8 in rows]) == pytest.approx(network.scores.miou)


def test_an_engine_that_simulates_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MismatchError) as error:
        study(tmp_path, dataclasses.replace(request(tmp_path), engine=open_engine("pytorch")))
    assert error.value.code == "ES-MISMATCH-SIMULATED"


def test_ranges_of_another_network_are_refused(tmp_path: Path) -> None:
    onnx = street_onnx(tmp_path, seed=1, name="other.onnx")
    other = dataclasses.replace(request(tmp_path), table=ranges_from_images(onnx.path, frames(8)))
    with pytest.raises(MismatchError) as error:
        study(tmp_path, other)
    assert error.value.code == "ES-RANGES-OTHER"


def test_the_costliest_is_the_first() -> None:
    effects = [effect("a", 0.01), effect("b", 0.03), effect("c", -0.01)]
    assert [each.block.name for each in ranked(effects)] == ["b", "a", "c"]


@given(st.floats(1e-3, 1e3), st.integers(0, 2**32 - 1))
def test_ten_times_the_noise_is_twenty_decibels(scale: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    signal, noise = rng.normal(0, scale, (2, 3, 4, 5))
    once, often = (sqnr_db([signal], [signal + size * noise]) for size in (0.01, 0.1))
    assert once - often == pytest.approx(20, abs=1e-6)  # signal + noise - signal rounds at 1e-16 of the signal


def test_the_ends_of_sqnr() -> None:
    ones = np.ones((1, 2, 3, 3), np.float32)
    assert sqnr_db([], []) is None
    assert sqnr_db([ones], [ones]) == math.inf
    assert sqnr_db([0 * ones], [ones]) == -math.inf
    assert sqnr_db([ones, ones], [ones, 0 * ones]) == pytest.approx(10 * math.log10(2))


def test_a_changed_label_has_the_colour_of_the_engine_that_is_right() -> None:
    reference, int8 = np.array([[1, 1, 1, 1, 1]], np.uint8), np.array([[1, 2, 2, 2, 2]], np.uint8)
    truth = np.array([[3, 1, 2, 3, 255]], np.uint8)
    rgb = np.tile(np.array([90, 180, 240], np.uint8), (1, 5, 1))
    dark = (80, 80, 80)  # half of the mean, 170, in steps of 8
    colours = [tuple(int(part) for part in pixel) for pixel in label_change_map(rgb, reference, int8, truth)[0]]
    assert colours == [dark, WORSE, BETTER, OTHER, UNKNOWN]
    without_truth = [tuple(int(part) for part in pixel) for pixel in label_change_map(rgb, reference, int8)[0]]
    assert without_truth == [dark] + 4 * [UNKNOWN]


def test_masks_of_several_sizes_are_refused() -> None:
    with pytest.raises(SizeError, match="4x2, 5x2"):
        label_change_map(np.zeros((2, 4, 3), np.uint8), np.zeros((2, 4), np.uint8), np.zeros((2, 5), np.uint8))


def test_the_worst_images_have_the_fewest_equal_labels() -> None:
    assert worst(np.array([0.9, 0.5, 1.0, 0.7]), 3) == [1, 3, 0]


def test_the_sheet_has_a_cell_per_image(tmp_path: Path) -> None:
    network = study(tmp_path, request(tmp_path))
    path = tmp_path / "flips.png"
    with open_segmenter(network.reference.path) as reference, open_segmenter(network.int8.path) as int8:
        draw_label_changes(path, network.evaluation_set.images[:1], reference, int8)
        draw_label_changes(tmp_path / "more.png", network.evaluation_set.images[:4], reference, int8)
    one, four = cv2.imread(str(path)), cv2.imread(str(tmp_path / "more.png"))
    gap = 4
    legend = 4 * 26  # a line per colour: the page is narrow
    assert one.shape[:2] == (64 + 2 * gap + legend, 96 + 2 * gap)  # not scaled
    assert four.shape[:2] == (2 * 64 + 3 * gap + legend, 2 * 96 + 3 * gap)
    assert one.std() > 0


@pytest.mark.parametrize("labelled", [True, False])
def test_the_plot_holds_forty_rows_at_most(tmp_path: Path, labelled: bool) -> None:
    pytest.importorskip("matplotlib")
    paths = {count: tmp_path / f"{count}.png" for count in (2, 40, 41)}
    for count, path in paths.items():
        rows = [effect(f"layer{number}", 0.01 * number, labelled=labelled) for number in range(count)]
        assert draw_sensitivity(path, rows, "a title")
    heights = {count: cv2.imread(str(path)).shape[0] for count, path in paths.items()}
    assert heights[2] < heights[40] == heights[41]


def test_without_matplotlib_there_is_no_plot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)  # makes its import fail
    assert not draw_sensitivity(tmp_path / "x.png", [effect("a", 0.1)], "a title")
    assert list(tmp_path.iterdir()) == []


def test_the_logits_of_each_image_are_recorded(tmp_path: Path) -> None:
    onnx, _ = network(tmp_path)
    assert onnx.precision is Precision.FP32
    logits = logits_of(onnx.path)
    assert [each.shape for each in logits] == 3 * [(1, 11, 16, 32)]
