"""`edgeseg sensitivity` as it is typed: its tables, its JSON, its plots, Ctrl-C and its refusals."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import pytest
from small_cli import Run, runner
from small_onnx import float_onnx, frames, int8_onnx, street_onnx

from edgeseg.autotune.blocks import Block
from edgeseg.autotune.sensitivity import Effect, Sensitivity
from edgeseg.calib.calibrate import ranges_from_images

STREETS = "street:?seed=3&frames=24&size=96x64"
WORDS = ("sensitivity", "street.onnx", "--engine", "onnxruntime", "--threads", "1", "-o", "made")
RANGES = ("--ranges", "ranges.json")

# words; error code; a value in the error; an option in the hint
WRONG: dict[str, tuple[tuple[str, ...], str, str, str]] = {
    "no ranges and no images": (
        (*WORDS, "--data", STREETS), "ES-RANGES-MISSING", "street.onnx", "--images FOLDER",
    ),
    "data with other classes": (
        ("sensitivity", "float.onnx", "--ranges", "float.json", "--engine", "onnxruntime", "--data", STREETS),
        "ES-MISMATCH", "small", "",
    ),
    "a quantised onnx": (
        ("sensitivity", "int8.onnx", *RANGES, "--engine", "onnxruntime", "-o", "made"),
        "ES-FORMAT", "int8.onnx", "",
    ),
    "ranges of another network": (
        (*WORDS, "--data", STREETS, "--ranges", "float.json"), "ES-RANGES-OTHER", "small", "edgeseg calibrate",
    ),
    "an engine that simulates": (
        ("sensitivity", "street.onnx", *RANGES, "--engine", "pytorch"), "ES-MISMATCH-SIMULATED",
        "pytorch", "--engine openvino",
    ),
    "too few images": (
        (*WORDS, *RANGES, "--data", "street:?seed=3&frames=9&size=96x64"), "ES-DATA-FEW", "4", "--data",
    ),
}  # fmt: skip


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Runs commands in a folder with small networks, their ranges and a few images."""
    monkeypatch.chdir(tmp_path)
    ranges_from_images(street_onnx(tmp_path).path, frames(8)).write("ranges.json")
    ranges_from_images(float_onnx(tmp_path).path, frames(8)).write("float.json")
    Path("images").mkdir()
    for index, rgb in enumerate(frames(20)):
        cv2.imwrite(f"images/{index}.png", rgb)
    return runner(monkeypatch, capfd)


def test_json_ranks_blocks_and_layers(run: Run) -> None:
    pytest.importorskip("matplotlib")
    data = run(*WORDS, *RANGES, "--data", STREETS, "--judge", "8", "--layers", "--json").json()
    assert (data["engine"], data["interrupted"]) == ("onnxruntime", False)
    assert (data["evaluated_on"]["images"], data["evaluated_on"]["labelled"]) == (8, True)
    assert sorted(each["name"] for each in data["layers"]) == ["conv0", "conv1"]
    assert {layer for each in data["blocks"] for layer in each["layers"]} == {"conv0", "conv1"}
    drops = [each["miou_drop"]["value"] for each in data["blocks"]]
    assert drops == sorted(drops, reverse=True)
    assert all(each["float"]["latency_ratio"]["value"] > 0 for each in data["blocks"])
    assert data["int8"]["sqnr_db"] > 0
    assert sorted(path.name for path in Path("made").iterdir()) == [
        "street.onnxruntime.layers.sensitivity.png",
        "street.onnxruntime.sensitivity.png",
    ]


def test_people_get_tables_plots_and_the_next_command(run: Run) -> None:
    pytest.importorskip("matplotlib")
    done = run(*WORDS, *RANGES, "--data", STREETS, "--judge", "8", "--flips", "2")
    assert done.code == 0, done.err
    assert "8 images of street:" in done.out
    for text in ("(all in int8)", "conv0", "conv1", "SQNR dB", "mIoU lost (95%)", "IoU int8", "Building"):
        assert text in done.out
    plots = ["made/street.onnxruntime.sensitivity.png", "made/street.onnxruntime.flips.png"]
    assert [line for line in done.err.splitlines() if line.startswith("wrote")] == [f"wrote {path}" for path in plots]
    assert all(cv2.imread(path) is not None for path in plots)
    assert done.lines("next")[0].startswith("edgeseg convert street.onnx --engine onnxruntime --precision auto")


def test_images_that_calibration_leaves_are_evaluated_on(run: Run) -> None:
    data = run(*WORDS, "--images", "images", "--limit", "10", "--json").json()
    assert data["evaluated_on"] == {"source": "images", "images": 10, "labelled": False}
    assert data["blocks"][0]["miou_drop"] is None
    assert data["classes"] == {}


@pytest.mark.parametrize("form", ["table", "json"])
def test_ctrl_c_prints_the_results_so_far(run: Run, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    pytest.importorskip("matplotlib")
    measure = Sensitivity.measure
    names: list[str] = []

    def stopped(self: Sensitivity, block: Block) -> Effect:
        names.append(block.name)
        if len(names) == 2:
            raise KeyboardInterrupt
        return measure(self, block)

    monkeypatch.setattr(Sensitivity, "measure", stopped)
    done = run(*WORDS, *RANGES, "--data", STREETS, "--judge", "8", *(["--json"] if form == "json" else []))
    assert done.code == 130
    assert "1 blocks" in done.err
    if form == "json":
        data = json.loads(done.out)
        assert (data["interrupted"], [each["name"] for each in data["blocks"]]) == (True, names[:1])
    else:
        assert names[0] in done.out
        assert names[1] not in done.out
    assert [path.name for path in Path("made").iterdir()] == ["street.onnxruntime.sensitivity.png"]


@pytest.mark.parametrize("case", WRONG)
def test_a_refusal_is_two_lines_and_leaves_nothing(run: Run, tmp_path: Path, case: str) -> None:
    words, code, value, hint = WRONG[case]
    if "int8.onnx" in words:
        int8_onnx(tmp_path)
    before = sorted(path.name for path in tmp_path.iterdir())
    done = run(*words)
    assert (done.code, done.out) == (2, "")
    assert done.error_code == code
    assert value in done.lines("error")[0]
    assert hint in done.lines("hint")[0]
    assert sorted(path.name for path in tmp_path.iterdir()) == before
