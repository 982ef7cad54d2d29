"""`edgeseg stream` as a user types it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_cli import Run, runner
from small_clips import FakeCapture
from small_onnx import street_onnx

from edgeseg.commands import stream as stream_command
from edgeseg.video import camera
from edgeseg.video.source import open_source
from edgeseg.video.street_source import StreetSource


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Runs commands in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return runner(monkeypatch, capfd)


@pytest.fixture
def model(run: Run, tmp_path: Path) -> str:
    """The name of a small float ONNX in the folder."""
    return street_onnx(tmp_path).path.name


def test_stream_writes_masks_json_lines_and_a_video_at_once(run: Run, model: str) -> None:
    outputs = ("-o", "masks/", "-o", "out.jsonl", "-o", "out.mp4")
    done = run("stream", "test://street?size=96x64&frames=3", model, *outputs)
    assert [line.removeprefix("wrote ") for line in done.err.splitlines() if line.startswith("wrote ")] == [
        "masks",
        "out.jsonl",
        "out.mp4",
    ]
    lines = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    assert [line["index"] for line in lines] == [0, 1, 2]
    for line in lines:
        assert line["size"] == [64, 96]
        assert sum(line["shares"].values()) == pytest.approx(1)
        counts = {name: sum(rle["counts"][1::2]) / (64 * 96) for name, rle in line["rle"].items()}
        assert counts == {name: share for name, share in line["shares"].items() if share}
    masks = sorted(path.name for path in Path("masks").iterdir())
    assert masks == ["000000.png", "000001.png", "000002.png"]
    assert len(list(open_source("out.mp4"))) == 3


def test_stream_says_percent_as_eval_does(run: Run, model: str) -> None:
    words = ("stream", "test://street?size=96x64&frames=2", model, "-o", "null")
    miou = run(*words, "--json").json()["miou"]
    assert f" {100 * miou:.2f}" in run(*words).out


def test_nothing_is_said_to_be_written_where_no_frame_came(
    run: Run, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(StreetSource, "_frames", lambda self: (frame for frame in ()))
    done = run("stream", "test://street?size=96x64", model, "-o", "out.mp4")
    assert "wrote" not in done.err
    assert not Path("out.mp4").exists()


def test_a_camera_is_opened_behind_the_model(run: Run, model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    fake_camera(monkeypatch, lambda: order.append("camera"))
    opened = stream_command.segmenter_from_options
    monkeypatch.setattr(stream_command, "segmenter_from_options", lambda *a: order.append("model") or opened(*a))
    assert run("stream", "camera:0", model, "-o", "null").code == 0
    assert order == ["model", "camera"]


def fake_camera(monkeypatch: pytest.MonkeyPatch, opened: Callable[[], object]) -> None:
    """`camera:0` gives what `FakeCapture` does; `opened` is called as it is opened."""

    class Capture(FakeCapture):
        def __init__(self, *arguments: Any) -> None:
            opened()
            super().__init__(*arguments)

    monkeypatch.setattr(camera.cv2, "VideoCapture", Capture)
    monkeypatch.setattr(camera, "check_device", lambda device: None)
