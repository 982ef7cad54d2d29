"""The cameras and screens of this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeseg.capture import devices
from edgeseg.capture.devices import Device, cameras, helpers, screens


def add_node(folder: Path, number: int, name: str | None = None, index: str | None = None) -> None:
    """A node as Linux shows it in /sys/class/video4linux."""
    node = folder / f"video{number}"
    node.mkdir(parents=True)
    for file, text in (("name", name), ("index", index)):
        if text is not None:
            (node / file).write_text(f"{text}\n")


def test_cameras_are_listed_by_number_without_their_nodes_of_metadata(tmp_path: Path) -> None:
    add_node(tmp_path, 10, "UVC Camera: front", "0")
    add_node(tmp_path, 2, "Pi", "0")
    add_node(tmp_path, 3, "Pi", "1")
    add_node(tmp_path, 4)
    (tmp_path / "v4l-subdev0").mkdir()
    (tmp_path / "video-codec").mkdir()
    found = [Device("camera:2", "Pi"), Device("camera:4", "camera"), Device("camera:10", "UVC Camera: front")]
    assert cameras(tmp_path) == found
    assert found[0].to_dict() == {"uri": "camera:2", "name": "Pi"}


def test_a_machine_without_cameras_has_none(tmp_path: Path) -> None:
    assert cameras(tmp_path) == cameras(tmp_path / "none") == []


def test_the_screen_is_that_of_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", ":3")
    assert screens() == [Device("screen::3", "X11")]
    monkeypatch.delenv("DISPLAY")
    assert screens() == []


@pytest.mark.parametrize("is_here", [True, False])
def test_what_kinds_of_sources_need_is_looked_for(is_here: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices.shutil, "which", lambda name: f"/usr/bin/{name}" if is_here else None)
    monkeypatch.setattr(devices, "hwdevices_available", lambda: ["cuda"])
    assert helpers() == {"gst: and csi: (gst-launch-1.0)": is_here, "?decode=cuda": True}
