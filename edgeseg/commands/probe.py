"""`edgeseg probe`: what a source is, or why it does not open."""

from __future__ import annotations

import shlex
from typing import Annotated

import typer

from edgeseg.commands.options import Json, option

EXAMPLES = """
  edgeseg probe rtsp://user:password@10.0.0.8/stream
  edgeseg probe camera:0
"""


def command(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="A file, folder, glob, URL, camera:0, gst:..., ...")],
    timeout: Annotated[float, option("--timeout S", "Give up after S seconds of silence.", min=0.1)] = 10.0,
    as_json: Json = False,
) -> None:
    """Open SOURCE, decode one frame, and print codec, size, frame rate and the time to the first frame.

    Where it does not open, the error has a stable code: ES-SOURCE-AUTH, -NOT-FOUND, -TIMEOUT, -DNS, -TLS, -CODEC,
    -REFUSED, ... Passwords are not printed.
    """
    from edgeseg.capture.probe import probe
    from edgeseg.commands.terminal import print_json, print_row, wrote

    result = probe(source, timeout_seconds=timeout)
    if as_json:
        print_json(result.to_dict())
        return
    row = {
        "source": result.name,
        "kind": result.kind,
        "codec": result.codec or "-",
        "size": f"{result.width}x{result.height}",
        "FPS": f"{result.fps:.4g}" if result.fps else "-",
        "frames": result.frames or "-",
        "first frame, s": f"{result.first_frame_seconds:.2f}",
    }
    print_row(row)
    if result.name == source:  # nothing is masked
        wrote(None, f"edgeseg stream {shlex.quote(result.name)} MODEL")
