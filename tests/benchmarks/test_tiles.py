"""Tiles and windows are measured on the frames that are named, and in the way that is named."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from small_onnx import HEIGHT, WIDTH, float_onnx, frames

import edgeseg

FOLDER = Path(__file__).parents[2] / "benchmarks"


def test_a_frame_in_tiles_is_timed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    import tiles

    np.save(tmp_path / "frame.npy", np.zeros((3 * HEIGHT, 2 * WIDTH, 3), np.uint8))
    figures = []
    for way in tiles.WAYS:
        tiles.measure_one(float_onnx(tmp_path).path, tmp_path / "frame.npy", way, 2)
        figures.append(json.loads(capsys.readouterr().out))
    assert [one["tiles"] for one in figures] == [1, 12, 12]
    for one in figures:
        assert set(one["p50_ms"]) == {"total", "resize", "infer", "upsample"}
        assert one["own_mib"] == pytest.approx(3 * HEIGHT * 2 * WIDTH * 4 / 2**20)
        assert one["peak_mib"] > one["own_mib"]


def test_each_pixel_is_classified_by_the_window_around_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    import sliding_window

    rgb, step = frames(1)[0], 16
    with edgeseg.open(float_onnx(tmp_path).path, threads=1) as segmenter:
        labels = sliding_window.classify(segmenter, rgb, step)
        assert labels.shape == (HEIGHT // step, WIDTH // step)
        padded = np.pad(rgb, ((HEIGHT // 2, HEIGHT // 2), (WIDTH // 2, WIDTH // 2), (0, 0)), "edge")
        window = padded[step : step + HEIGHT, 2 * step : 2 * step + WIDTH]
        assert np.array_equal(window[HEIGHT // 2, WIDTH // 2], rgb[step, 2 * step])
        assert labels[1, 2] == segmenter.segment(window).labels[HEIGHT // 2, WIDTH // 2]
    cv2.imwrite(str(tmp_path / "photo.png"), rgb)
    words = ["sliding_window.py", str(float_onnx(tmp_path).path), str(tmp_path / "photo.png")]
    monkeypatch.setattr(sys, "argv", words)
    sliding_window.main()
    out = capsys.readouterr().out
    assert out.startswith("8 windows, ")
    assert out.endswith(f"for all {HEIGHT * WIDTH} pixels\n")
