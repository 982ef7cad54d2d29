"""A window on the screen as a sink."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import ClassVar

import cv2

from edgeseg.errors import UnavailableError
from edgeseg.video.address import Address
from edgeseg.video.result import Result
from edgeseg.video.sink import FrameSink
from edgeseg.video.source import SourceInfo

TITLE = "edgeseg"
STOP_KEYS = (ord("q"), 27)  # q and Esc
PROBE = "import cv2; cv2.namedWindow('edgeseg'); cv2.waitKey(1); cv2.destroyAllWindows()"
HINT = "write to a file: -o out.mp4"


class WindowSink(FrameSink):
    """Shows each overlay. q, Esc and closing the window end the stream."""

    repeats: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__("window")
        self._open = False

    def _write(self, result: Result) -> bool:
        assert result.overlay is not None  # `wants` asks for it
        if not self._open:
            self._open = True
            cv2.namedWindow(TITLE, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)
            cv2.resizeWindow(TITLE, result.frame.width, result.frame.height)
        cv2.imshow(TITLE, cv2.cvtColor(result.overlay, cv2.COLOR_RGB2BGR))
        key = cv2.waitKey(1) & 0xFF
        return key not in STOP_KEYS and cv2.getWindowProperty(TITLE, cv2.WND_PROP_VISIBLE) >= 1

    def close(self) -> None:
        """Close the window."""
        if self._open:
            self._open = False
            cv2.destroyAllWindows()


def check_window() -> None:
    """UnavailableError where no window can be opened. A child process tries it, because OpenCV would end this one."""
    if re.search(r"GUI:\s+NONE", cv2.getBuildInformation()):
        raise UnavailableError("this OpenCV cannot open windows", hint=f"pip install opencv-python, or {HINT}")
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise UnavailableError("no screen: DISPLAY is not set", hint=HINT)
    try:
        probe = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, timeout=20, check=False)
    except subprocess.TimeoutExpired:
        raise UnavailableError("the screen does not answer", hint=HINT) from None
    if probe.returncode:
        raise UnavailableError(f"the screen {os.environ.get('DISPLAY', '')} cannot be opened", hint=HINT)


def sink_from_address(address: Address, info: SourceInfo | None) -> WindowSink:
    """`window`, without options."""
    address.check_options([])
    check_window()
    return WindowSink()
