"""The usual loop (naive.py), asked for turns by `table.py`.

python benchmarks/peers/naive_turns.py FLOAT.onnx --frames FRAMES.npz [--threads 2]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from naive import loop_from_onnx
from turns import Images, parser_of, serve, versions_of


class Usual:
    """The loop of naive.py, open."""

    def __init__(self, options: argparse.Namespace, images: Images) -> None:
        cv2.setNumThreads(options.threads)
        self._loop = loop_from_onnx(options.onnx, options.threads)
        self._prepared = self._loop.prepared(images[0])
        versions = {**versions_of("onnxruntime", "numpy"), "opencv": cv2.__version__}
        self.facts = {"precision": "fp32", "runtime": "onnxruntime", "versions": versions}

    def engine(self) -> object:
        return self._loop.logits(self._prepared)

    def frame(self, bgr: np.ndarray) -> np.ndarray:
        return self._loop.labels(bgr)

    def file(self, source: str, target: str, on_frame: Callable[[], None]) -> None:
        self._loop.run(source, target, on_frame)


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("onnx", type=Path, metavar="FLOAT.onnx")
    serve(Usual, parser.parse_args())


if __name__ == "__main__":
    main()
