"""The loop that most people write: the peer that `edgeseg stream` is held against.

    python benchmarks/peers/naive.py SOURCE OUT.mp4 --onnx FLOAT.onnx

cv2.VideoCapture, cv2.resize, normalisation in numpy, ONNX Runtime in fp32 with its default options, logits taken to
the frame's size with cv2.resize class by class, numpy argmax, numpy palette and blend, cv2.VideoWriter with mp4v. One
thread of control; ONNX Runtime and OpenCV use all cores inside their calls, as they do by default.

FLOAT.onnx is the float graph that `edgeseg convert` leaves beside an engine. That takes uint8 frames and normalises
inside; people export a float (1, 3, H, W) network instead, so the graph's head is cut off and numpy does its work.
Loading, cutting and one warm-up inference are not timed. Prints JSON.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime
from video_run import VideoRun

from edgeseg.artifact import artifact_from_onnx
from edgeseg.spec import InputSpec, ModelSpec

HEAD = ("Cast", "Transpose", "Gather", "Sub", "Mul", "Div")
OPACITY = 0.5


def network_from_deploy(model: Any, spec: InputSpec) -> Any:
    """The deploy graph without its head: its input is the float (1, 3, H, W) image that the head made."""
    graph = model.graph
    value = graph.input[0].name
    while True:
        users = [node for node in graph.node if value in node.input]
        if len(users) != 1 or users[0].op_type not in HEAD:
            break
        value = users[0].output[0]
        for constant in [each for each in graph.initializer if each.name in users[0].input]:
            graph.initializer.remove(constant)
        graph.node.remove(users[0])
    shape = (1, 3, spec.height, spec.width)
    graph.input[0].CopyFrom(onnx.helper.make_tensor_value_info(value, onnx.TensorProto.FLOAT, shape))
    return model


class UsualLoop:
    """The network and what people write around it, in memory and from file to file."""

    def __init__(self, session: Any, spec: ModelSpec) -> None:
        self._session, self._input = session, spec.input
        self._mean, self._std = np.array(spec.input.mean, np.float32), np.array(spec.input.std, np.float32)
        self._palette = np.array(spec.labels.palette, np.uint8)[:, ::-1]  # bgr
        self._name = session.get_inputs()[0].name

    def prepared(self, bgr: np.ndarray) -> np.ndarray:
        """The network's input, (1, 3, H, W) float."""
        image = cv2.resize(bgr, (self._input.width, self._input.height))
        if self._input.color == "rgb":
            image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        image = (image.astype(np.float32) / 255 - self._mean) / self._std
        return np.ascontiguousarray(image.transpose(2, 0, 1)[None])

    def logits(self, image: np.ndarray) -> np.ndarray:
        """(C, h, w) of a prepared image."""
        result: np.ndarray = self._session.run(None, {self._name: image})[0][0]
        return result

    def labels(self, bgr: np.ndarray) -> np.ndarray:
        """The labels of every pixel of a frame."""
        return labels_from_logits(self.logits(self.prepared(bgr)), (bgr.shape[1], bgr.shape[0]))

    def overlay(self, bgr: np.ndarray) -> np.ndarray:
        """The frame with the colours of its labels."""
        overlay = (1 - OPACITY) * bgr + OPACITY * self._palette[self.labels(bgr)]
        return overlay.astype(np.uint8)

    def run(self, source: str, target: str, on_frame: Callable[[], None]) -> None:
        """A video to an overlay video; `on_frame` is called after each written frame."""
        capture = cv2.VideoCapture(source)
        size = int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
        writer = cv2.VideoWriter(target, cv2.VideoWriter_fourcc(*"mp4v"), capture.get(cv2.CAP_PROP_FPS), size)
        while True:
            ok, bgr = capture.read()
            if not ok:
                break
            writer.write(self.overlay(bgr))
            on_frame()
        writer.release()
        capture.release()


def labels_from_logits(logits: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Logits (C, h, w) taken to `size`, (width, height), class by class, and the largest of each pixel."""
    full = np.stack([cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR) for plane in logits])
    labels: np.ndarray = np.argmax(full, axis=0)
    return labels


def loop_from_onnx(path: Path, threads: int = 0) -> UsualLoop:
    """The loop around the float ONNX that `edgeseg convert` leaves, with ONNX Runtime's defaults but for threads.

    threads: 0 for ONNX Runtime's choice.
    """
    spec = artifact_from_onnx(path).spec
    network = network_from_deploy(onnx.load(path), spec.input).SerializeToString()
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads
    return UsualLoop(onnxruntime.InferenceSession(network, settings, providers=["CPUExecutionProvider"]), spec)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", metavar="SOURCE")
    parser.add_argument("out", metavar="OUT.mp4")
    parser.add_argument("--onnx", type=Path, required=True, metavar="FLOAT.onnx")
    options = parser.parse_args()
    loop = loop_from_onnx(options.onnx)
    loop.logits(loop.prepared(np.zeros((64, 64, 3), np.uint8)))
    clock = VideoRun()
    loop.run(options.source, options.out, clock.frame)
    clock.finish(opencv=cv2.__version__, onnxruntime=onnxruntime.__version__)


if __name__ == "__main__":
    main()
