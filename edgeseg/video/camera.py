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
from edgeseg.video.address import Address
from edgeseg.video.frame import Frame
from edgeseg.video.loss import Loss
from edgeseg.video.source import FrameSource, SourceInfo, SourceKind

OPTIONS = {"width": cv2.CAP_PROP_FRAME_WIDTH, "height": cv2.CAP_PROP_FRAME_HEIGHT, "fps": cv2.CAP_PROP_FPS}


class CameraSource(FrameSource):
    """A camera that never ends; its times are seconds since it was opened, taken as each frame arrives.

    It may give another size than it was asked for: `info` holds the one that it gives now.
    """

    kind: SourceKind = "live"

    def __init__(
        self, device: int | str, wishes: dict[str, float], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        name = f"camera:{device}"
        self._clock, self._opened = clock, clock()
        self._reading = threading.Lock()
        self._capture: Any = cv2.VideoCapture(device)
        for key, wish in wishes.items():
            self._capture.set(OPTIONS[key], wish)
        arrived, first = self._capture.read() if self._capture.isOpened() else (False, None)
        if not arrived or first is None:
            self._capture.release()
            raise UnavailableError(f"cannot open {name}", hint=_cameras_present())
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        rate = Fraction(fps).limit_denominator(1001) if 1 <= fps <= 1000 else Fraction(30)
        super().__init__(SourceInfo(first.shape[1], first.shape[0], rate, None, name))

    def close(self) -> None:
        """Give the camera back."""
        super().close()
        if self._reading.acquire(blocking=False):  # else the thread that reads gives it back
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
                ended = f"{self.info.name}: the source ended: the camera gives no more, after {index} frames"
                self.losses.append(Loss("ES-SOURCE-ENDED", ended))
                return
            arrived_at = self._clock()
            last = max(arrived_at - self._opened, last + 1e-6)  # two frames never share a time
            yield self._frame_from_bgr(index, last, arrived_at, bgr)
            index += 1

    def _frame_from_bgr(self, index: int, pts_seconds: float, captured_at: float, bgr: Any) -> Frame:
        height, width = bgr.shape[:2]
        self.info = dataclasses.replace(self.info, width=width, height=height)
        rgb = partial(cv2.cvtColor, bgr, cv2.COLOR_BGR2RGB)
        return Frame(index, pts_seconds, width, height, rgb=rgb, captured_at=captured_at)


def check_device(device: int | str) -> None:
    """UnavailableError where Linux has no such device; OpenCV would print its own screenful first."""
    path = Path(f"/dev/video{device}" if isinstance(device, int) else device)
    if sys.platform.startswith("linux") and not path.exists():
        raise UnavailableError(f"there is no camera {path}", hint=_cameras_present())


def _cameras_present() -> str:
    present = sorted(str(path) for path in Path("/dev").glob("video*"))
    return f"present: {', '.join(present)}" if present else "plug it in: there is no /dev/video* at all"


def source_from_address(address: Address) -> CameraSource:
    """The camera with a number or path; options: width, height, fps, each of which the camera may ignore."""
    address.check_options(OPTIONS)
    device = address.place.removeprefix("/dev/video") or "0"
    if not device.isdigit() and not device.startswith("/dev/"):
        raise FormatError(f"this names no camera: camera:{device}", hint="write camera:0 or /dev/video0")
    wishes: dict[str, float] = {key: address.whole(key, 0) for key in ("width", "height") if key in address.options}
    if "fps" in address.options:
        wishes["fps"] = float(address.rate(Fraction(30)))
    number_or_path = int(device) if device.isdigit() else device
    check_device(number_or_path)
    return CameraSource(number_or_path, wishes)
