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

# what is typed; what the error says; what the hint says
WRONG: dict[str, tuple[tuple[str, ...], str, str]] = {
    "no ranges and no images": (
        (*WORDS, "--data", STREETS), "no range table for street.onnx", "--images FOLDER",
    ),
    "data with other classes": (
        ("sensitivity", "float.onnx", "--ranges", "float.json", "--engine", "onnxruntime", "--data", STREETS),
        "small knows 5 classes", "evaluate on a data set with the model's classes",
    ),
    "a quantised onnx": (
        ("sensitivity", "int8.onnx", *RANGES, "--engine", "onnxruntime", "-o", "made"),
        "int8.onnx is an engine, which cannot be converted again", "name the model or the float ONNX",
    ),
    "ranges of another network": (
        (*WORDS, "--data", STREETS, "--ranges", "float.json"), "the range table is of small", "edgeseg calibrate",
    ),
    "an engine that simulates": (
        ("sensitivity", "street.onnx", *RANGES, "--engine", "pytorch"), "pytorch computes int8 in floating point",
        "--engine openvino or onnxruntime",
    ),
    "too few pictures": (
        (*WORDS, *RANGES, "--data", "street:?seed=3&frames=9&size=96x64"), "4 pictures are left to judge on", "--data",
    ),
}  # fmt: skip


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Runs commands in a folder with small networks, their ranges and a few pictures."""
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
    assert (data["judged_on"]["pictures"], data["judged_on"]["labelled"]) == (8, True)
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
    assert "in int8 alone: judged on 8 pictures of street:" in done.out
    for text in ("(all in int8)", "conv0", "conv1", "SQNR dB", "mIoU lost (95%)", "IoU int8", "Building"):
        assert text in done.out
    plots = ["made/street.onnxruntime.sensitivity.png", "made/street.onnxruntime.flips.png"]
    assert [line for line in done.err.splitlines() if line.startswith("wrote")] == [f"wrote {path}" for path in plots]
    assert all(cv2.imread(path) is not None for path in plots)
    assert done.lines("flips")[0].startswith("red: wrong in int8 alone")
    assert done.lines("next")[0].startswith("edgeseg convert street.onnx --engine onnxruntime --precision auto")


def test_images_calibrate_and_what_they_leave_judges(run: Run) -> None:
    data = run(*WORDS, "--images", "images", "--limit", "10", "--json").json()
    assert data["judged_on"] == {"source": "images", "pictures": 10, "labelled": False}
    assert data["blocks"][0]["miou_drop"] is None
    assert data["classes"] == {}


@pytest.mark.parametrize("form", ["table", "json"])
def test_ctrl_c_keeps_what_was_measured(run: Run, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    pytest.importorskip("matplotlib")
    measured = Sensitivity.measured
    asked: list[str] = []

    def stopped(self: Sensitivity, block: Block) -> Effect:
        asked.append(block.name)
        if len(asked) == 2:
            raise KeyboardInterrupt
        return measured(self, block)

    monkeypatch.setattr(Sensitivity, "measured", stopped)
    done = run(*WORDS, *RANGES, "--data", STREETS, "--judge", "8", *(["--json"] if form == "json" else []))
    assert (done.code, done.lines("stopped")) == (130, ["these are the 1 blocks until then"])
    if form == "json":
        data = json.loads(done.out)
        assert (data["interrupted"], [each["name"] for each in data["blocks"]]) == (True, asked[:1])
    else:
        assert asked[0] in done.out
        assert asked[1] not in done.out
    assert [path.name for path in Path("made").iterdir()] == ["street.onnxruntime.sensitivity.png"]


@pytest.mark.parametrize("case", WRONG)
def test_a_refusal_is_two_lines_and_leaves_nothing(run: Run, tmp_path: Path, case: str) -> None:
    words, error, hint = WRONG[case]
    if "int8.onnx" in words:
        int8_onnx(tmp_path)
    before = sorted(path.name for path in tmp_path.iterdir())
    done = run(*words)
    assert (done.code, done.out) == (2, "")
    (said,), (advised,) = done.lines("error"), done.lines("hint")
    assert error in said
    assert hint in advised
    assert sorted(path.name for path in tmp_path.iterdir()) == before
