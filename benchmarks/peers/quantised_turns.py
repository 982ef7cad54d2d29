"""An int8 file of another quantiser in its runtime, with the usual code around it, asked for turns by `table.py`.

    python benchmarks/peers/quantised_turns.py FILE --float FLOAT.onnx --frames FRAMES.npz [--runtime openvino]

FILE takes uint8 frames and gives logits, as FLOAT.onnx does, which it was made of. OpenVINO runs it for latency and
computes what is not int8 in the precision that it chooses itself.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from naive import labels_from_logits
from turns import Images, parser_of, serve, versions_of

from edgeseg.artifact import artifact_from_onnx

Network = Callable[[np.ndarray], np.ndarray]


def openvino_network(path: Path, threads: int) -> Network:
    """Frames (1, H, W, 3) to logits (1, C, h, w)."""
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # OpenVINO has a stub that sends nothing
    import openvino

    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads}
    compiled = openvino.Core().compile_model(path, "CPU", settings)
    request = compiled.create_infer_request()

    def network(frames: np.ndarray) -> np.ndarray:
        request.infer([frames], share_inputs=True, share_outputs=True)
        logits: np.ndarray = request.get_output_tensor(0).data
        return logits

    return network


def onnxruntime_network(path: Path, threads: int) -> Network:
    """Frames (1, H, W, 3) to logits (1, C, h, w)."""
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda frames: session.run(None, {name: frames})[0]


RUNTIMES = {"openvino": openvino_network, "onnxruntime": onnxruntime_network}


class Quantised:
    """One file, open."""

    def __init__(self, options: argparse.Namespace, images: Images) -> None:
        cv2.setNumThreads(options.threads)
        self._input = artifact_from_onnx(options.float).spec.input
        self._network = RUNTIMES[options.runtime](options.file, options.threads)
        self._prepared = self._image(images[0])
        versions = {**versions_of(options.runtime), "opencv": cv2.__version__}
        self.facts = {"precision": "int8", "runtime": options.runtime, "versions": versions}

    def _image(self, bgr: np.ndarray) -> np.ndarray:
        image = cv2.resize(bgr, (self._input.width, self._input.height))
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)[None]

    def engine(self) -> object:
        return self._network(self._prepared)

    def frame(self, bgr: np.ndarray) -> np.ndarray:
        return labels_from_logits(self._network(self._image(bgr))[0], (bgr.shape[1], bgr.shape[0]))


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument("--float", type=Path, required=True, metavar="FLOAT.onnx")
    parser.add_argument("--runtime", choices=RUNTIMES, default="onnxruntime")
    serve(Quantised, parser.parse_args())


if __name__ == "__main__":
    main()
