"""Sources, sinks and the stages between them. These tables import nothing.

A source module ends in `source_from_address(address) -> FrameSource`, a sink module in
`sink_from_address(address, info) -> FrameSink`.
"""

from __future__ import annotations

SOURCES = {
    "file": "edgeseg.video.file",
    "images": "edgeseg.video.images",
    "camera": "edgeseg.video.camera",
    "test": "edgeseg.video.synthetic_source",
    "rtsp": "edgeseg.video.file",
    "rtsps": "edgeseg.video.file",
    "http": "edgeseg.video.file",
    "https": "edgeseg.video.file",
}

SINKS = {
    "file": "edgeseg.video.sink_file",
    "images": "edgeseg.video.sink_images",
    "masks": "edgeseg.video.sink_images",
    "jsonl": "edgeseg.video.sink_jsonl",
    "window": "edgeseg.video.sink_window",
    "null": "edgeseg.video.sink_nothing",
}
