"""Sources, sinks and the stages between them. These tables import nothing.

A source module ends in `source_from_address(address) -> FrameSource`, a sink module in
`sink_from_address(address, info) -> FrameSink`.
"""

from __future__ import annotations

SOURCES = {
    "file": "edgeseg.video.file",
    "images": "edgeseg.video.images",
    "test": "edgeseg.video.synthetic_source",
    "camera": "edgeseg.capture.source",
    "screen": "edgeseg.capture.source",
    "csi": "edgeseg.capture.source",
    "gst": "edgeseg.capture.source",
    "exec": "edgeseg.capture.source",
    "rtsp": "edgeseg.capture.source",
    "rtsps": "edgeseg.capture.source",
    "rtmp": "edgeseg.capture.source",
    "rtmps": "edgeseg.capture.source",
    "srt": "edgeseg.capture.source",
    "udp": "edgeseg.capture.source",
    "http": "edgeseg.capture.source",
    "https": "edgeseg.capture.source",
}
NETWORK = ("rtsp", "rtsps", "rtmp", "rtmps", "srt", "udp", "http", "https")

SINKS = {
    "file": "edgeseg.video.sink_file",
    "segments": "edgeseg.video.sink_segments",
    "images": "edgeseg.video.sink_images",
    "masks": "edgeseg.video.sink_images",
    "jsonl": "edgeseg.video.sink_jsonl",
    "rtsp": "edgeseg.video.sink_publish",
    "rtsps": "edgeseg.video.sink_publish",
    "rtmp": "edgeseg.video.sink_publish",
    "rtmps": "edgeseg.video.sink_publish",
    "window": "edgeseg.video.sink_window",
    "null": "edgeseg.video.sink_nothing",
}
