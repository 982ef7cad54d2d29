"""USB cameras, through OpenCV."""

from __future__ import annotations

import dataclasses
import sys
import threading
import time
from collections.abc import Callable, Generator
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import cv2

from edgeseg.errors import FormatError, UnavailableError
from edgeseg.uri import integer_option, rate_option
from edgeseg.video.address import Address
from edgeseg.video.frame import Frame
from edgeseg.video.source import FrameSource, Loss, SourceInfo, SourceKind

OPTIONS = {"width": cv2.CAP_PROP_FRAME_WIDTH, "height": cv2.CAP_PROP_FRAME_HEIGHT, "fps": cv2.CAP_PROP_FPS}


class CameraSource(FrameSource):
    """A camera. The time of a frame is its arrival, in seconds since the camera was opened.

    settings: requested values by key of `OPTIONS`. The camera may choose another size: `info` has the actual one.
    """

    kind: SourceKind = "live"

    def __init__(
        self, device: int | str, settings: dict[str, float], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        name = f"camera:{device}"
        self._clock, self._opened = clock, clock()
        self._reading = threading.Lock()
        self._capture: Any = cv2.VideoCapture(device)
        for key, value in settings.items():
            self._capture.set(OPTIONS[key], value)
        arrived, first = self._capture.read() if self._capture.isOpened() else (False, None)
        if not arrived or first is None:
            self._capture.release()
            raise UnavailableError(f"cannot open {name}", hint=_cameras_present())
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        rate = Fraction(fps).limit_denominator(1001) if 1 <= fps <= 1000 else Fraction(30)
        super().__init__(SourceInfo(first.shape[1], first.shape[0], rate, None, name))

    def close(self) -> None:
        """Release the camera."""
        super().close()
        if self._reading.acquire(blocking=False):  # else the reading thread releases it
            self._capture.release()

    def _frames(self) -> Generator[Frame, None, None]:
        last, index = -1.0, 0
        while not self._closed:
            with self._reading:
                arrived, bgr = self._capture.read()
            if self.is_closed():
                self._capture.release()
                return
            if not arrived:
                ended = f"{self.info.name}: the source ended: the camera stopped sending after {index} frames"
                self.losses.append(Loss("ES-SOURCE-ENDED", ended))
                return
            arrived_at = self._clock()
            last = max(arrived_at - self._opened, last + 1e-6)  # times must rise
            yield self._frame_from_bgr(index, last, arrived_at, bgr)
            index += 1

    def _frame_from_bgr(self, index: int, pts_seconds: float, captured_at: float, bgr: Any) -> Frame:
        height, width = bgr.shape[:2]
        self.info = dataclasses.replace(self.info, width=width, height=height)
        rgb = partial(cv2.cvtColor, bgr, cv2.COLOR_BGR2RGB)
        return Frame(index, pts_seconds, width, height, rgb=rgb, captured_at=captured_at)


def check_device(device: int | str) -> None:
    """UnavailableError where Linux has no such device; OpenCV would print many lines first."""
    path = Path(f"/dev/video{device}" if isinstance(device, int) else device)
    if sys.platform.startswith("linux") and not path.exists():
        raise UnavailableError(f"no camera {path}", hint=_cameras_present())


def _cameras_present() -> str:
    present = sorted(str(path) for path in Path("/dev").glob("video*"))
    return f"present: {', '.join(present)}" if present else "plug it in: no /dev/video* exists"


def source_from_address(address: Address) -> CameraSource:
    """The camera with a number or path. Options: width, height, fps; the camera may ignore them."""
    address.check_options(OPTIONS)
    device = address.place.removeprefix("/dev/video") or "0"
    if not device.isdigit() and not device.startswith("/dev/"):
        raise FormatError(f"not a camera: camera:{device}", hint="write camera:0 or /dev/video0")
    options = address.options
    settings: dict[str, float] = {key: integer_option(options, key, 1) for key in ("width", "height") if key in options}
    if "fps" in options:
        settings["fps"] = float(rate_option(options, Fraction(30)))
    number_or_path = int(device) if device.isdigit() else device
    check_device(number_or_path)
    return CameraSource(number_or_path, settings)
