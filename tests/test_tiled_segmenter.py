"""Frames larger than the network's input, through a segmenter that cuts them into tiles."""

from __future__ import annotations

import dataclasses
import tracemalloc
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_onnx import SPEC
from test_segmenter import BatchBackend
from tiled_nets import RECEPTIVE_FIELD, conv_net, photo

import edgeseg
from edgeseg.artifact import Artifact
from edgeseg.engines import open_engine
from edgeseg.engines.backend import Backend
from edgeseg.engines.options import RunOptions
from edgeseg.errors import EdgeSegError
from edgeseg.pixels import tiles as pixel_tiles
from edgeseg.predictions.decoder import Decoder
from edgeseg.predictions.prediction import Prediction
from edgeseg.predictions.semantic import SemanticMask
from edgeseg.segmenter import Segmenter
from edgeseg.spec import ModelSpec, Output, TensorSpec, Tiles

FRAME, TILE = (192, 320), (64, 128)


def logits_from(artifact: Artifact, rgb: np.ndarray) -> np.ndarray:
    """The logits (C, h, w) of the whole frame."""
    with open_engine("onnxruntime").open(artifact, RunOptions(threads=1)) as backend:
        return backend.infer({"rgb": rgb[None]})["logits"][0].copy()


def stitched_logits(monkeypatch: pytest.MonkeyPatch, segmenter: Segmenter, rgb: np.ndarray) -> np.ndarray:
    """The logits that the segmenter labels, of all bands."""
    bands: dict[int, np.ndarray] = {}
    real = pixel_tiles.labels_of_band

    def watched(logits: np.ndarray, labels: np.ndarray, size: tuple[int, int], **options: Any) -> None:
        bands.update({options["first"] + row: logits[:, row].copy() for row in range(logits.shape[1])})
        real(logits, labels, size, **options)

    with monkeypatch.context() as patched:
        patched.setattr(pixel_tiles, "labels_of_band", watched)
        segmenter.segment(rgb)
    return np.stack([bands[row] for row in sorted(bands)], 1)


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("stride", [1, 8])
@pytest.mark.parametrize("stitch", ["hann", "centre"])
def test_tiles_compute_what_the_whole_frame_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str, stride: int, stitch: str
) -> None:
    """Exact: pixels near an inner edge are not used, as far as the network sees; "hann" needs twice the overlap."""
    pytest.importorskip(engine)
    rgb = photo(FRAME)
    overlap = (RECEPTIVE_FIELD[stride] - 1) * (2 if stitch == "hann" else 1)
    tile = (128, 128) if overlap >= TILE[0] // 2 else TILE
    expected = logits_from(conv_net(tmp_path, FRAME, stride), rgb)
    with edgeseg.open(
        conv_net(tmp_path, tile, stride).path, engine=engine, threads=1, tiles=Tiles(overlap, stitch)
    ) as segmenter:
        assert segmenter.tile_count(FRAME) > 1
        logits = stitched_logits(monkeypatch, segmenter, rgb)
        labels = segmenter.segment(rgb).labels
    assert logits.shape == expected.shape
    assert np.abs(logits - expected).max() < 1e-3
    with edgeseg.open(conv_net(tmp_path, FRAME, stride).path, engine="onnxruntime", threads=1) as whole:
        assert (whole.segment(rgb).labels == labels).mean() > 0.999  # ties fall by rounding


def test_too_small_an_overlap_is_not_exact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rgb = photo(FRAME)
    expected = logits_from(conv_net(tmp_path, FRAME, 8), rgb)
    with edgeseg.open(conv_net(tmp_path, TILE, 8).path, threads=1, tiles=Tiles(0, "centre")) as segmenter:
        assert np.abs(stitched_logits(monkeypatch, segmenter, rgb) - expected).max() > 1e-2


def test_a_frame_whose_sides_are_no_multiples_is_continued_with_the_mean(tmp_path: Path) -> None:
    rgb, size = photo((100, 300)), (112, 320)
    padded = np.full((*size, 3), 127, np.uint8)
    padded[:100, :300] = rgb
    with edgeseg.open(conv_net(tmp_path, size, 8).path, engine="onnxruntime", threads=1) as whole:
        expected = whole.segment(padded).labels[:100, :300]
    with edgeseg.open(conv_net(tmp_path, TILE, 8).path, threads=1, tiles=Tiles(32, "centre")) as segmenter:
        assert (segmenter.segment(rgb).labels == expected).mean() > 0.999


def test_a_frame_of_the_input_or_smaller_is_not_cut(tmp_path: Path) -> None:
    net = conv_net(tmp_path, TILE, 8).path
    with edgeseg.open(net, threads=1) as resized, edgeseg.open(net, threads=1, tiles="hann") as tiled:
        for size in (TILE, (40, 100)):
            assert tiled.tile_count(size) == 1
            assert np.array_equal(tiled.segment(photo(size)).labels, resized.segment(photo(size)).labels)
        assert tiled.tile_count((40, 300)) == 3
        assert tiled.segment(photo((40, 300))).labels.shape == (40, 300)
        assert resized.tile_count(FRAME) == 1
        assert resized.tiles_text == ""


def test_a_mask_of_another_size_is_the_nearest_neighbour(tmp_path: Path) -> None:
    with edgeseg.open(conv_net(tmp_path, TILE, 8).path, threads=1, tiles="centre") as segmenter:
        labels = segmenter.segment(photo(FRAME)).labels
        half = segmenter.segment(photo(FRAME), (96, 160)).labels
    assert np.array_equal(half, labels[1::2, 1::2])


def test_a_mask_engine_is_stitched_by_the_nearest_tile(tmp_path: Path) -> None:
    rgb = photo(FRAME)
    with edgeseg.open(conv_net(tmp_path, FRAME, 1, output=Output.MASK).path, engine="onnxruntime") as whole:
        expected = whole.segment(rgb).labels
    net = conv_net(tmp_path, TILE, 1, output=Output.MASK)
    with edgeseg.open(net.path, threads=1, tiles=Tiles(8, "centre")) as segmenter:
        assert (segmenter.segment(rgb).labels == expected).mean() > 0.999
    with pytest.raises(EdgeSegError) as caught:
        edgeseg.open(net.path, tiles="hann")
    assert caught.value.code == "ES-TILES"
    assert "centre" in caught.value.hint


@pytest.mark.parametrize(("first", "calls"), [(3, 8), (1, 20)])
def test_tiles_of_a_row_go_through_the_engine_in_batches(tmp_path: Path, first: int, calls: int) -> None:
    artifact = conv_net(tmp_path, TILE, 8)
    rgb = photo((192, 512))
    with open_engine("onnxruntime").open(artifact, RunOptions(threads=1)) as single:
        counted = BatchBackend(single, first)
        batched = Segmenter(artifact, counted, tiles="hann")
        alone = Segmenter(artifact, single, tiles="hann")
        expected = alone.segment(rgb).labels
        counted.calls = 0
        assert np.array_equal(batched.segment(rgb).labels, expected)
        assert (counted.calls, batched.tile_count((192, 512))) == (calls, 20)
        pair = batched.segment_batch([rgb, photo(TILE)])
    assert np.array_equal(semantic(pair[0]).labels, expected)
    assert pair[1].size == TILE


def semantic(prediction: Prediction) -> SemanticMask:
    assert isinstance(prediction, SemanticMask)
    return prediction


def test_latency_has_the_stages(tmp_path: Path) -> None:
    with edgeseg.open(conv_net(tmp_path, TILE, 8).path, threads=1, tiles="hann") as segmenter:
        assert segmenter.latency() == {}
        segmenter.segment(photo(FRAME))
        latency = segmenter.latency()
    assert set(latency) == {"total", "resize", "infer", "upsample"}
    parts = sum(latency[stage].mean_ms for stage in ("resize", "infer", "upsample"))
    assert parts == pytest.approx(latency["total"].mean_ms)


def test_a_file_says_that_it_is_for_tiles(tmp_path: Path) -> None:
    path = conv_net(tmp_path, TILE, 8, tiles=Tiles(24, "centre")).path
    with edgeseg.open(path, threads=1) as segmenter:
        assert segmenter.tiles == Tiles(24, "centre")
        assert segmenter.tile_count(FRAME) > 1
        assert (
            segmenter.tiles_text == "frames larger than 128x64 are cut into tiles: overlap 32x32 pixels, stitch centre"
        )
    with edgeseg.open(path, threads=1, tiles="off") as segmenter:
        assert (segmenter.tiles, segmenter.tile_count(FRAME)) == (None, 1)


@pytest.mark.parametrize(
    ("tiles", "code"),
    [(Tiles(64), "ES-SIZE-TILES"), (Tiles(49), "ES-SIZE-TILES"), ("nearest", "ES-NAME")],
)
def test_tiles_that_do_not_fit_are_refused(tmp_path: Path, tiles: Tiles | str, code: str) -> None:
    with pytest.raises(EdgeSegError) as caught:
        edgeseg.open(conv_net(tmp_path, TILE, 8).path, tiles=tiles)
    assert caught.value.code == code
    assert caught.value.hint


@pytest.mark.parametrize(
    ("arguments", "code"),
    [((-1,), "ES-SIZE-TILES"), ((True,), "ES-SIZE-TILES"), ((1.5,), "ES-SIZE-TILES"), ((8, "mean"), "ES-NAME")],
)
def test_invalid_tiles_are_refused(arguments: tuple[Any, ...], code: str) -> None:
    with pytest.raises(EdgeSegError) as caught:
        Tiles(*arguments)
    assert caught.value.code == code


def test_a_decoder_of_something_else_takes_no_tiles(tmp_path: Path) -> None:
    class Other(Decoder):
        def prediction_from_outputs(self, outputs: Mapping[str, Any], size: tuple[int, int]) -> Prediction:
            raise AssertionError

    artifact = conv_net(tmp_path, TILE, 8)
    with open_engine("onnxruntime").open(artifact) as backend, pytest.raises(EdgeSegError) as caught:
        Segmenter(artifact, backend, Other(), tiles="hann")
    assert caught.value.code == "ES-TILES"


def test_an_output_without_a_whole_stride_is_refused(tmp_path: Path) -> None:
    spec = SPEC.resized(65, 65)
    with pytest.raises(EdgeSegError) as caught:
        Segmenter(Artifact(tmp_path / "net.onnx", spec), ColourBackend((65, 65), 8, cells=(9, 9)), tiles="hann")
    assert caught.value.code == "ES-SIZE-TILES"
    assert "multiple" in caught.value.hint


class ColourBackend(Backend):
    """Logits (N, 3, h, w) that are the colour of every `stride`th pixel, without a runtime."""

    def __init__(self, size: tuple[int, int], stride: int, cells: tuple[int, int] = (0, 0)) -> None:
        cells = cells if cells[0] else (size[0] // stride, size[1] // stride)
        super().__init__(
            "colour",
            (TensorSpec("rgb", "uint8", (1, *size, 3)),),
            (TensorSpec("logits", "float32", (1, 3, *cells)),),
        )
        self.stride = stride

    def _infer(self, feed: Mapping[str, Any]) -> Mapping[str, Any]:
        (rgb,) = feed.values()
        return {"logits": rgb[:, :: self.stride, :: self.stride].transpose(0, 3, 1, 2).astype(np.float32)}

    def _close(self) -> None:
        pass


@pytest.mark.parametrize("stride", [1, 8])
def test_memory_is_that_of_a_row_of_tiles(tmp_path: Path, stride: int) -> None:
    """At 16 times the pixels, what is needed beside the frame and its labels grows as the width, 4 times."""
    spec: ModelSpec = dataclasses.replace(SPEC.resized(256, 128))
    segmenter = Segmenter(Artifact(tmp_path / "net.onnx", spec), ColourBackend((128, 256), stride), tiles="hann")
    peaks = []
    for height, width in ((375, 500), (1500, 2000)):
        rgb = np.zeros((height, width, 3), np.uint8)
        segmenter.segment(rgb[:200, :300])  # compile, and cache the axes' arrays
        tracemalloc.start()
        labels = segmenter.segment(rgb).labels
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        peaks.append(peak - labels.nbytes)
    assert peaks[1] < 5 * peaks[0]
    whole_logits = 3 * 1500 * 2000 * 4 / stride**2
    assert peaks[1] < whole_logits
