"""The cameras and screens of this machine."""

from __future__ import annotations

import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from av.codec.hwaccel import hwdevices_available

CLASS_FOLDER = Path("/sys/class/video4linux")


@dataclass(frozen=True)
class Device:
    """A source that is here. uri: for `edgeseg stream`. name: of the hardware."""

    uri: str
    name: str

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def cameras(folder: Path = CLASS_FOLDER) -> list[Device]:
    """The cameras that Linux knows, without the nodes that carry only metadata."""
    devices = []
    for entry in sorted(folder.glob("video[0-9]*"), key=lambda path: int(path.name.removeprefix("video"))):
        if _text(entry / "index") in ("0", ""):  # a camera has several nodes; the first one carries images
            devices.append(Device(f"camera:{entry.name.removeprefix('video')}", _text(entry / "name") or "camera"))
    return devices


def screens() -> list[Device]:
    """The X11 display of this session."""
    display = os.environ.get("DISPLAY")
    return [Device(f"screen:{display}", "X11")] if display else []


def helpers() -> dict[str, bool]:
    """What some kinds of sources need, and whether it is here: GStreamer, hardware decoders of this FFmpeg."""
    decoders = {f"?decode={name}": True for name in hwdevices_available()}
    return {"gst: and csi: (gst-launch-1.0)": shutil.which("gst-launch-1.0") is not None, **decoders}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""
