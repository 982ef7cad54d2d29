"""An RTSP camera in a process of its own, which can be killed, frozen and restarted; made by GStreamer."""

from __future__ import annotations

import contextlib
import functools
import os
import selectors
import signal
import struct
import subprocess
from pathlib import Path
from types import TracebackType

from numbered_clip import NumberedClip

SYSTEM_PYTHON = "/usr/bin/python3"  # the one that Debian's python3-gi is for
PROCESS = Path(__file__).with_name("rtsp_camera_process.py")
ELEMENTS = ("appsrc", "h264parse", "rtph264pay", "h265parse", "rtph265pay", "rtpjpegpay")
PROBE = (
    "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer, Gst; Gst.init(); "
)
READY_SECONDS = 60.0


@functools.cache
def missing_gstreamer() -> str:
    """Why no RTSP server can be run here; "" where one can."""
    code = f"{PROBE} print(*[name for name in {ELEMENTS} if not Gst.ElementFactory.find(name)])"
    try:
        asked = subprocess.run([SYSTEM_PYTHON, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        return f"{SYSTEM_PYTHON} has no GstRtspServer: make system-deps installs it"
    return f"GStreamer lacks {asked.stdout.strip()}" if asked.stdout.strip() else ""


class RtspServer:
    """Serves a clip in an endless loop at `url`, from the first `start` on; always on the same port.

    A context manager. log: where the times of the frames sent are kept; `sent()` reads them.
    """

    def __init__(
        self, clip: NumberedClip, *, user: str = "", password: str = "", digest: bool = False, log: Path | None = None
    ) -> None:
        self.clip, self.user, self.password, self.digest, self.log = clip, user, password, digest, log
        self.port = 0
        self._process: subprocess.Popen[str] | None = None
        self.start()

    @property
    def url(self) -> str:
        """Of the camera, without user and password."""
        return f"rtsp://127.0.0.1:{self.port}/cam"

    @property
    def pid(self) -> int:
        """Of the running server."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it, and wait until it listens."""
        assert self._process is None
        command = [SYSTEM_PYTHON, str(PROCESS), str(self.clip.packets), "--port", str(self.port)]
        command += ["--user", self.user] if self.user else []
        command += ["--digest"] if self.digest else []
        command += ["--log", str(self.log)] if self.log else []
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdin is not None
        self._process.stdin.write(f"{self.password}\n")
        self._process.stdin.flush()
        words = self._first_line().split()
        if words[:1] != ["ready"]:
            self.kill()
            raise RuntimeError(f"the RTSP server did not start: {' '.join(words) or 'it said nothing'}")
        self.port = int(words[1])

    def _first_line(self) -> str:
        assert self._process is not None and self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            return self._process.stdout.readline() if selector.select(READY_SECONDS) else ""

    def kill(self) -> None:
        """End it as a power cut does. It may be called twice."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                with contextlib.suppress(OSError):
                    stream and stream.close()

    def freeze(self) -> None:
        """Stop it without closing its connections."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Go on after `freeze`."""
        os.kill(self.pid, signal.SIGCONT)

    def restart(self, *, clip: NumberedClip | None = None, password: str | None = None) -> None:
        """Kill it, and start it on the same port, with another clip or password if given."""
        self.kill()
        self.clip = clip or self.clip
        self.password = self.password if password is None else password
        self.start()

    def sent(self) -> list[tuple[int, float]]:
        """(number, time.monotonic()) of each frame that was sent, oldest first; of all runs of the server."""
        assert self.log is not None
        data = self.log.read_bytes() if self.log.exists() else b""
        size = struct.calcsize(">Id")
        return list(struct.iter_unpack(">Id", data[: len(data) // size * size]))

    def __enter__(self) -> RtspServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
