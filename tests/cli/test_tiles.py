"""`--tiles` of convert, eval and stream as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from small_cli import Run, runner
from small_onnx import SPEC, float_onnx, street_onnx

import edgeseg
from edgeseg.artifact import Artifact
from edgeseg.autotune.evaluation_set import digest
from edgeseg.calib.images import images_from
from edgeseg.pixels.resize import input_from_rgb, resize_rgb
from edgeseg.spec import Output, Tiles

TEXT = "frames larger than 64x32 are cut into tiles: overlap {} pixels, stitch {}"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Runs commands in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return runner(monkeypatch, capfd)


def test_convert_for_tiles_makes_an_engine_that_says_so_and_is_opened_so(run: Run, tmp_path: Path) -> None:
    source = street_onnx(tmp_path).path
    words = ("--engine", "onnxruntime", "--precision", "fp32", "-o", "out")
    done = run("convert", source, "--tiles", "64x32", "--overlap", "8", *words)
    assert done.code == 0, done.err
    assert "cut frames larger than 64x32 into tiles" in done.err
    engine = tmp_path / "out" / "street-tiles.onnxruntime.fp32.onnx"
    for path in (engine, tmp_path / "out" / "street-tiles.onnx"):
        assert Artifact.open(path).spec.input.tiles == Tiles(8, "hann")
    assert Artifact.open(source).spec.input.tiles is None
    with edgeseg.open(engine) as segmenter:
        assert segmenter.tile_count((64, 128)) > 1
    data = "street:?scenes=1&frames=2&size=128x64"
    evaluated = run("eval", engine, "--data", data, "--json")
    assert evaluated.json()["tiles"] == TEXT.format("16x8", "hann")
    assert TEXT.format("16x8", "hann") in evaluated.err
    off = run("eval", engine, "--data", data, "--tiles", "off", "--json")
    assert off.json()["tiles"] is None
    assert off.json()["miou"] != evaluated.json()["miou"]
    again = run("convert", tmp_path / "out" / "street-tiles.onnx", *words, "-o", "again")
    assert again.code == 0, again.err
    assert Artifact.open(tmp_path / "again" / "street-tiles.onnxruntime.fp32.onnx").spec.input.tiles == Tiles(8, "hann")


def test_stream_cuts_frames_into_tiles(run: Run, tmp_path: Path) -> None:
    model = street_onnx(tmp_path).path
    words = ("stream", "test://street?size=128x96&frames=1", model)
    done = run(*words, "--tiles", "centre", "--overlap", "16", "-o", "tiles/")
    assert done.code == 0, done.err
    assert TEXT.format("16x16", "centre") in done.err
    assert run(*words, "-o", "whole/").code == 0
    tiled, whole = (cv2.imread(f"{folder}/000000.png", cv2.IMREAD_UNCHANGED) for folder in ("tiles", "whole"))
    assert tiled is not None
    assert tiled.shape[:2] == (96, 128)
    assert not np.array_equal(tiled, whole)
    Path("run.toml").write_text(
        f'''model = "{model.name}"
tiles = "centre"
overlap = 16
[streams.a]
source = "test://street?size=128x96&frames=1"
output = "of-a-file/"
'''
    )
    assert run("stream", "run.toml").code == 0
    of_a_file = cv2.imread(str(next(Path("of-a-file").glob("*.png"))), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(of_a_file, tiled)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("convert", "float.onnx", "--tiles", "64x32", "--overlap", "32"), "ES-SIZE-TILES"),
        (("convert", "float.onnx", "--tiles", "64x30"), "ES-MISMATCH"),
        (("convert", "float.onnx", "--tiles", "64"), "ES-SIZE"),
        (("convert", "float.onnx", "--tiles", "64x32", "--size", "64x32"), "ES-MISMATCH-OPTIONS"),
        (("convert", "float.onnx", "--overlap", "8"), "ES-MISMATCH-OPTIONS"),
        (("stream", "test://street?size=128x96", "float.onnx", "--tiles", "mean", "-o", "null"), "ES-NAME"),
        (("stream", "test://street?size=128x96", "float.onnx", "--overlap", "8", "-o", "null"), "ES-MISMATCH-OPTIONS"),
        (("stream", "test://street?size=128x96", "mask.onnx", "--tiles", "hann", "-o", "null"), "ES-TILES"),
        (("eval", "street.onnx", "--data", "street:?frames=1", "--tiles", "hann", "--overlap", "32"), "ES-SIZE-TILES"),
    ],
)
def test_impossible_tiles_are_refused(run: Run, tmp_path: Path, words: tuple[str, ...], code: str) -> None:
    float_onnx(tmp_path)
    float_onnx(tmp_path, Output.MASK, name="mask.onnx")
    street_onnx(tmp_path)
    done = run(*words)
    assert done.code == 2
    assert f"error [{code}]" in done.err


def test_tiles_of_a_size_that_the_network_does_not_take_are_refused(run: Run) -> None:
    pytest.importorskip("torch")
    done = run("convert", "bisenetv2-street", "--tiles", "1000x500")
    assert done.code == 2
    assert "error [ES-SIZE]" in done.err


def test_a_mask_engine_for_tiles_is_stitched_by_the_nearest_tile(run: Run, tmp_path: Path) -> None:
    source = float_onnx(tmp_path, Output.MASK).path
    done = run("convert", source, "--tiles", "64x32", "--mask", "--engine", "onnxruntime", "-o", "out", "--json")
    assert done.code == 0, done.err
    assert Artifact.open(json.loads(done.out)["engine"]).spec.input.tiles == Tiles(None, "centre")


def test_an_engine_for_tiles_is_calibrated_on_parts_of_larger_images(tmp_path: Path) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (100, 90, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), rgb[..., ::-1])
    spec = SPEC.tiled(Tiles())
    (part,) = images_from(tmp_path, spec)
    assert part.shape == (32, 64, 3)
    windows = np.lib.stride_tricks.sliding_window_view(rgb, (32, 64, 3))
    assert (windows == part).all((-1, -2, -3)).sum() == 1
    assert digest(input_from_rgb(rgb, spec.input)) == digest(part)
    assert np.array_equal(input_from_rgb(rgb, SPEC.input), resize_rgb(rgb, (32, 64)))
    assert input_from_rgb(rgb[:20], spec.input).shape == (32, 64, 3)
