"""`edgeseg sources` and `edgeseg probe` as a user types them."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_cli import Run, runner
from small_clips import make_clip

from edgeseg.capture import devices
from edgeseg.capture.devices import Device
from edgeseg.commands.sources import SYNTAX
from edgeseg.video import SOURCES


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.setattr(devices, "cameras", lambda: [Device("camera:2", "UVC Camera")])
    return runner(monkeypatch, capfd)


def test_cameras_are_listed_with_what_to_type(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    done = run("sources")
    assert done.code == 0
    assert any(line.split() == ["camera:2", "UVC", "Camera"] for line in done.out.splitlines())
    for kind, _, _ in SYNTAX:
        assert f"\n {kind}" in done.out
    monkeypatch.setattr(devices, "cameras", list)
    done = run("sources")
    assert done.code == 0
    assert "camera:2" not in done.out
    assert "no camera" in done.err


def test_the_list_is_one_json_document(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", ":3")
    data = run("sources", "--json").json()
    screen = {"uri": "screen::3", "name": "X11"}
    assert data["devices"] == [{"uri": "camera:2", "name": "UVC Camera"}, screen]
    assert {kind["kind"] for kind in data["kinds"]} == {kind for kind, _, _ in SYNTAX}
    assert all(isinstance(here, bool) for here in data["available"].values())


def test_every_kind_of_source_is_in_the_list() -> None:
    network = {"rtsp", "rtsps", "http", "https", "rtmp", "rtmps", "srt", "udp"}
    assert {kind for kind, _, _ in SYNTAX} | network >= set(SOURCES)


def test_a_probe_says_what_a_source_is(run: Run, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", 5)
    found = run("probe", clip, "--json").json()
    assert found.pop("first_frame_seconds") > 0
    assert found == {
        "name": str(clip), "kind": "recording", "codec": "mpeg4", "width": 160, "height": 96, "fps": 25.0, "frames": 5,
    }  # fmt: skip
    done = run("probe", f"exec:cat {tmp_path / 'clip.mp4'} --password s3cret")
    assert (done.code, done.error_code) == (2, "ES-SOURCE-COMMAND")
    assert "s3cret" not in done.err


def test_a_probe_of_a_command(run: Run, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mkv", 5)
    found = run("probe", f"exec:cat {clip}", "--json").json()
    assert (found["kind"], found["codec"], found["width"], found["height"]) == ("live", "mpeg4", 160, 96)
    done = run("probe", f"exec:cat {clip}")
    assert "mpeg4" in done.out
    assert "next" not in done.err  # its words may be passwords, which no one can type from what is shown
    assert f"next: edgeseg stream {clip} MODEL" in run("probe", clip).err
