"""An RTSP camera of GStreamer, for /usr/bin/python3 with gi: sends the packets of a numbered clip in an endless loop.

    /usr/bin/python3 rtsp_camera_process.py PACKETS [--port 0] [--path /cam] [--user U] [--digest] [--log F]

The first line of stdin is the password. Prints "ready PORT". Like a camera, it encodes at all times: a client that
comes while others watch begins between two keyframes. It ends when its stdin does, and so with its parent. --log:
(number, CLOCK_MONOTONIC) of each packet sent, as ">Id".
"""

from __future__ import annotations

import argparse
import json
import struct
import sys
import threading
import time

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

LAUNCH = {
    "h264": ("video/x-h264,stream-format=byte-stream,alignment=au", "h264parse ! rtph264pay config-interval=-1"),
    "h265": ("video/x-h265,stream-format=byte-stream,alignment=au", "h265parse ! rtph265pay config-interval=-1"),
    "jpeg": ("image/jpeg,width={width},height={height},framerate={fps}/1", "rtpjpegpay"),
}
LATE_SECONDS = 0.5  # a camera that was frozen goes on with its next frame, at the time of its release


class Camera:
    """The packets, in the order of decoding, and the pipelines that are sent to clients."""

    def __init__(self, packets: str, log: str | None) -> None:
        self.units: list[tuple[int, bytes]] = []
        with open(packets, "rb") as file:  # noqa: PTH123
            self.head = json.loads(file.readline())
            while prefix := file.read(9):
                length, number, _ = struct.unpack(">IIB", prefix)
                self.units.append((number, file.read(length)))
        self.log = open(log, "ab", buffering=0) if log else None  # noqa: PTH123, SIM115
        self.sources: list[tuple[Gst.Element, Gst.Element]] = []
        self.began, self.sent = time.monotonic(), 0
        self.lock = threading.Lock()

    def add(self, factory: GstRtspServer.RTSPMediaFactory, media: GstRtspServer.RTSPMedia) -> None:
        pipeline = media.get_element()
        source = pipeline.get_by_name("camera")
        with self.lock:
            self.sources.append((source, pipeline))
        media.connect("unprepared", lambda _: self.remove(source))

    def remove(self, source: Gst.Element) -> None:
        with self.lock:
            self.sources = [pair for pair in self.sources if pair[0] is not source]

    def run(self) -> None:
        """Send one packet each 1/fps s to every pipeline."""
        fps = self.head["fps"]
        while True:
            due = self.began + self.sent / fps
            now = time.monotonic()
            if now - due > LATE_SECONDS:
                self.began += now - due
            elif due > now:
                time.sleep(due - now)
            at = self.sent % len(self.units)
            number, data = self.units[at]
            if self.log:
                self.log.write(struct.pack(">Id", number, time.monotonic()))
            with self.lock:
                sources = list(self.sources)
            for source, pipeline in sources:
                push(source, pipeline, data, (number - at) / fps, 1 / fps)
            self.sent += 1


def push(source: Gst.Element, pipeline: Gst.Element, data: bytes, reorder: float, duration: float) -> None:
    """Send `data` now; it is shown `reorder` seconds after its turn of decoding."""
    clock = pipeline.get_clock()
    if clock is None:
        return
    dts = clock.get_time() - pipeline.get_base_time()
    buffer = Gst.Buffer.new_wrapped(data)
    buffer.dts = max(0, dts)
    buffer.pts = max(0, dts + int((reorder + 2 * duration) * Gst.SECOND))
    buffer.duration = int(duration * Gst.SECOND)
    source.emit("push-buffer", buffer)


def authentication(user: str, password: str, digest: bool) -> GstRtspServer.RTSPAuth:
    auth = GstRtspServer.RTSPAuth()
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "user")
    if digest:
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        auth.add_digest(user, password, token)
    else:
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
    return auth


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("packets")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--path", default="/cam")
    parser.add_argument("--user")
    parser.add_argument("--digest", action="store_true")
    parser.add_argument("--log")
    options = parser.parse_args()
    secret = sys.stdin.readline().rstrip("\n")  # the password, for argv is public
    Gst.init(None)
    camera = Camera(options.packets, options.log)
    caps, chain = LAUNCH[camera.head["codec"]]
    caps = caps.format(**camera.head)
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(
        f"( appsrc name=camera is-live=true format=time max-bytes=8000000 caps={caps} ! {chain} name=pay0 pt=96 )"
    )
    factory.set_shared(True)
    factory.connect("media-configure", camera.add)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(str(options.port))
    if options.user:
        permissions = GstRtspServer.RTSPPermissions()
        for right in ("media.factory.access", "media.factory.construct"):
            permissions.add_permission_for_role("user", right, True)
        factory.set_permissions(permissions)
        server.set_auth(authentication(options.user, secret, options.digest))
    server.get_mount_points().add_factory(options.path, factory)
    if server.attach(None) == 0:
        raise SystemExit(f"port {options.port} is taken")
    GLib.timeout_add_seconds(2, lambda: server.get_session_pool().cleanup() >= 0)
    loop = GLib.MainLoop()
    threading.Thread(target=camera.run, daemon=True).start()
    threading.Thread(target=lambda: (sys.stdin.read(), loop.quit()), daemon=True).start()
    print(f"ready {server.get_bound_port()}", flush=True)
    loop.run()


if __name__ == "__main__":
    main()
