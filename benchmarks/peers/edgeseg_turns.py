"""Ours: an engine of edgeseg, asked for turns by `table.py`.

    python benchmarks/peers/edgeseg_turns.py ENGINE --frames FRAMES.npz [--threads 2]

The engine alone is `Backend.infer`; a frame in memory is `Segmenter.segment`; a file is `edgeseg stream`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from turns import Images, parser_of, serve, versions_of

from edgeseg.artifact import Artifact
from edgeseg.engines import open_engine
from edgeseg.engines.options import RunOptions
from edgeseg.pixels.resize import resize_rgb
from edgeseg.segmenter import Segmenter
from edgeseg.streaming import stream
from edgeseg.video.sink import open_sink
from edgeseg.video.source import open_source


class Ours:
    """One engine, open."""

    def __init__(self, options: argparse.Namespace, images: Images) -> None:
        artifact = Artifact.open(options.engine)
        self._backend = open_engine(artifact.engine).open(artifact, RunOptions(threads=options.threads))
        self._segmenter = Segmenter(artifact, self._backend)
        side = artifact.spec.input
        self._feed = {self._backend.inputs[0].name: resize_rgb(images[0], (side.height, side.width))[None]}
        versions = versions_of("edgeseg", artifact.engine)
        self.facts = {"precision": str(artifact.precision), "runtime": artifact.engine, "versions": versions}

    def engine(self) -> object:
        return self._backend.infer(self._feed)

    def frame(self, rgb: np.ndarray) -> np.ndarray:
        return self._segmenter.segment(rgb).labels

    def file(self, source: str, target: str, on_frame: Callable[[], None]) -> None:
        with open_source(source) as video, open_sink(Path(target), video.info, overwrite=True) as sink:
            stream(video, self._segmenter, sink, on_result=lambda result: on_frame())


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("engine", type=Path, metavar="ENGINE")
    serve(Ours, parser.parse_args(), bgr=False)


if __name__ == "__main__":
    main()
