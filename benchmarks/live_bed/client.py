"""A client of a live stream in a process of its own: edgeseg, or the usual loop with OpenCV."""

from __future__ import annotations

import bisect
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

READER = Path(__file__).parents[1] / "peers" / "numbered_reader.py"
READY_SECONDS = 90.0
END_SECONDS = 40.0
POLL_SECONDS = 0.05


class Client:
    """Runs `peers/numbered_reader.py`. frames, events: what it printed since it was ready. prefix: of its command."""

    def __init__(
        self,
        library: str,
        url: str,
        clips: Sequence[Path],
        *options: str,
        prefix: Sequence[str] = (),
        udp: bool = False,
    ) -> None:
        self.library = library
        self.frames: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        self.left: dict[str, Any] = {}
        self._said: list[dict[str, Any]] = []
        command = [*prefix, sys.executable, str(READER), library, *map(str, clips), *options]
        captures = {"OPENCV_FFMPEG_CAPTURE_OPTIONS": f"rtsp_transport;{'udp' if udp else 'tcp'}"}
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", **captures},
        )
        self._tell(url)
        threading.Thread(target=self._listen, daemon=True).start()
        if not self.wait(lambda: any("ready" in said for said in self._said), READY_SECONDS):
            self.kill()
            raise RuntimeError(f"the client with {library} did not start")

    @property
    def pid(self) -> int:
        """Of the client itself, whose children are its readers."""
        return self._process.pid

    def clean_after(self, moment: float) -> dict[str, Any] | None:
        """The first clean frame that it got after `moment`."""
        return next((frame for frame in list(self.frames) if frame["at"] > moment and not frame["difference"]), None)

    def wait_clean(self, moment: float, seconds: float) -> bool:
        """Whether a clean frame comes after `moment`, and within `seconds` from now."""
        return self.wait(lambda: self.clean_after(moment) is not None, seconds)

    def wait(self, holds: Callable[[], bool], seconds: float) -> bool:
        """Whether `holds` becomes true in time; not waited for where the client has ended."""
        deadline = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > deadline or (self._process.poll() is not None and not holds()):
                return holds()
            time.sleep(POLL_SECONDS)
        return True

    def census(self) -> dict[str, float]:
        """Its threads, children, descriptors and RSS now."""
        before = len(self._said)
        self._tell("census")
        self.wait(lambda: any("census" in said for said in self._said[before:]), 10)
        return next(said["census"] for said in self._said[before:] if "census" in said)

    def finish(self) -> dict[str, Any]:
        """Let it close its source; what it left behind. {} where it did not end, or has nothing to say."""
        assert self._process.stdin
        if self._process.poll() is None:
            self._process.stdin.close()
            if self.library == "edgeseg":
                self.wait(lambda: bool(self.left), END_SECONDS)
        self.kill()
        return self.left

    def kill(self) -> None:
        """End it with SIGKILL."""
        self._process.kill()
        self._process.wait()

    def _tell(self, line: str) -> None:
        assert self._process.stdin
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def _listen(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            said = json.loads(line)
            if "frame" in said:
                self.frames.append(said["frame"])
            elif "event" in said:
                self.events.append(said["event"])
            elif "left" in said:
                self.left = said["left"]
            else:
                self._said.append(said)


def true_ages(frames: Sequence[dict[str, Any]], sent: Sequence[tuple[int, float]]) -> list[float | None]:
    """How old each frame was when the client got it, from the times when the camera sent it.

    None for a frame without a readable number, or one that was never sent.
    """
    times: dict[int, list[float]] = {}
    for number, at in sent:
        times.setdefault(number, []).append(at)
    ages: list[float | None] = []
    for frame in frames:
        moments, got = times.get(frame["number"], []), frame.get("given", frame["at"])
        before = bisect.bisect_right(moments, got)
        ages.append(got - moments[before - 1] if before else None)
    return ages
