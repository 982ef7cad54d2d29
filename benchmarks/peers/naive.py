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


def run(source: str, target: str, session: Any, spec: ModelSpec) -> None:
    width, height = spec.input.width, spec.input.height
    mean, std = np.array(spec.input.mean, np.float32), np.array(spec.input.std, np.float32)
    palette = np.array(spec.labels.palette, np.uint8)[:, ::-1]  # bgr
    name = session.get_inputs()[0].name
    session.run(None, {name: np.zeros((1, 3, height, width), np.float32)})

    clock = VideoRun()
    capture = cv2.VideoCapture(source)
    size = int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
    writer = cv2.VideoWriter(target, cv2.VideoWriter_fourcc(*"mp4v"), capture.get(cv2.CAP_PROP_FPS), size)
    while True:
        ok, bgr = capture.read()
        if not ok:
            break
        image = cv2.resize(bgr, (width, height))
        if spec.input.color == "rgb":
            image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        image = (image.astype(np.float32) / 255 - mean) / std
        logits = session.run(None, {name: np.ascontiguousarray(image.transpose(2, 0, 1)[None])})[0][0]
        logits = np.stack([cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR) for plane in logits])
        labels = np.argmax(logits, axis=0)
        overlay = (1 - OPACITY) * bgr + OPACITY * palette[labels]
        writer.write(overlay.astype(np.uint8))
        clock.frame()
    writer.release()
    capture.release()
    clock.finish(opencv=cv2.__version__, onnxruntime=onnxruntime.__version__)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", metavar="SOURCE")
    parser.add_argument("out", metavar="OUT.mp4")
    parser.add_argument("--onnx", type=Path, required=True, metavar="FLOAT.onnx")
    options = parser.parse_args()
    spec = artifact_from_onnx(options.onnx).spec
    network = network_from_deploy(onnx.load(options.onnx), spec.input).SerializeToString()
    session = onnxruntime.InferenceSession(network, providers=["CPUExecutionProvider"])
    run(options.source, options.out, session, spec)


if __name__ == "__main__":
    main()
