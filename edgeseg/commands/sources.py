"""`edgeseg sources`: the cameras of this machine, and what a source may be."""

from __future__ import annotations

from edgeseg.commands.options import Json

EXAMPLES = """
  edgeseg sources
  edgeseg sources --json
"""

SYNTAX = (
    ("file", "drive.mp4, drive.mp4?live=1&loop=1", "a video; live=1 plays it like a camera"),
    ("images", "frames/, frames/*.png?fps=10, photo.jpg", "images in natural order"),
    ("network", "rtsp://HOST/PATH?transport=udp, https://HOST/live.m3u8", "also rtsps, http, rtmp, rtmps, srt, udp"),
    ("camera", "camera:0?width=1280&height=720&fps=30&format=mjpeg", "a USB camera"),
    ("csi", "csi:0?width=1280&height=720&fps=30", "a ribbon-cable camera, through GStreamer"),
    ("gst", "gst:PIPELINE", "GStreamer elements that end in encoded video"),
    ("exec", "exec:COMMAND", "a command that writes a video container to stdout"),
    ("screen", "screen:, screen::0.0?fps=10", "an X11 display"),
    ("test", "test://street?size=1024x512&fps=15&live=1", "a synthetic street with ground truth"),
)


def command(as_json: Json = False) -> None:
    """List the cameras and screens of this machine, and the kinds of sources with their options."""
    from edgeseg.capture.devices import cameras, helpers, screens
    from edgeseg.commands.terminal import note, print_json, print_table

    devices = [*cameras(), *screens()]
    if as_json:
        kinds = [{"kind": kind, "syntax": syntax, "meaning": meaning} for kind, syntax, meaning in SYNTAX]
        print_json({"devices": [device.to_dict() for device in devices], "kinds": kinds, "available": helpers()})
        return
    if devices:
        print_table(["device", "name"], [[device.uri, device.name] for device in devices])
    else:
        note("no camera is connected: there is no /dev/video*")
    print_table(["kind", "write", "what"], SYNTAX)
