"""Make the 1080p clip that the video benchmarks read.

    EDGESEG_DATA=... python benchmarks/make_clip.py clip_1080p.mp4 [--seconds 30]

Scales video/highway_960x540_25fps_h264.mp4 of the data folder to 1920x1080, over and over until the time is full, and
encodes it as H.264 with libx264 where PyAV has it, as MPEG-4 otherwise.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av

from edgeseg.errors import EdgeSegError, FileProblem
from edgeseg.files import existing_file, whole_file

CLIP = "video/highway_960x540_25fps_h264.mp4"
FPS = 25
WIDTH, HEIGHT = 1920, 1080


def looped(path: Path, frames: int) -> Iterator[av.VideoFrame]:
    """`frames` pictures of the video at `path`, scaled to 1080p, begun again whenever it ends."""
    made = 0
    while made < frames:
        with av.open(str(path)) as container:
            for picture in container.decode(video=0):
                if made == frames:
                    return
                scaled = picture.reformat(width=WIDTH, height=HEIGHT, format="yuv420p", interpolation="BICUBIC")
                scaled.pts, scaled.time_base = made, Fraction(1, FPS)
                made += 1
                yield scaled


def make_clip(source: Path, target: Path, seconds: float) -> str:
    """Write the clip; the name of the encoder that made it."""
    encoder, options = ("libx264", {"preset": "veryfast", "crf": "21"})
    if encoder not in av.codec.codecs_available:
        encoder, options = ("mpeg4", {"qmin": "3", "qmax": "3"})
    with whole_file(target) as partial, av.open(str(partial), "w") as container:
        stream = container.add_stream(encoder, rate=FPS, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for picture in looped(source, round(seconds * FPS)):
            picture.pict_type = av.video.frame.PictureType.NONE  # the encoder chooses its own key frames
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return encoder


def main(arguments: list[str] | None = None) -> int:
    """The command line; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, metavar="OUT.mp4")
    parser.add_argument("--seconds", type=float, default=30.0)
    options = parser.parse_args(arguments)
    try:
        if "EDGESEG_DATA" not in os.environ:
            raise FileProblem(
                "the source clip is not known: EDGESEG_DATA is not set", hint="export EDGESEG_DATA=folder"
            )
        encoder = make_clip(existing_file(Path(os.environ["EDGESEG_DATA"]) / CLIP), options.out, options.seconds)
    except EdgeSegError as problem:
        print(f"error: {problem.message}\nhint: {problem.hint}", file=sys.stderr)
        return 2
    print(f"{options.out}: {WIDTH}x{HEIGHT}, {FPS} fps, {options.seconds:g} s, {encoder}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
