"""Ultralytics' YOLO26-sem with its own code around it, asked for turns by `table.py`.

    python benchmarks/peers/ultralytics_turns.py --frames FRAMES.npz [--weights yolo26n-sem.pt] [--format openvino]

Another network, of 19 classes. Without --weights it is built from its YAML with random weights: its times are those of
trained ones, its labels mean nothing. A frame is letterboxed to the whole input size (`rect=False`), so that the
network computes as many pixels as the others. --format openvino runs what its own exporter writes. It runs in an
environment of its own; ultralytics is AGPL-3.0, and nothing of it is part of edgeseg.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.update(YOLO_OFFLINE="true", YOLO_AUTOINSTALL="false", YOLO_VERBOSE="false")
SCRATCH = tempfile.TemporaryDirectory(prefix="ultralytics-")
os.environ.setdefault("YOLO_CONFIG_DIR", SCRATCH.name)
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # OpenVINO has a stub that sends nothing

import numpy as np  # noqa: E402
import torch  # noqa: E402
import torchvision_operators  # noqa: E402, F401
from turns import Images, parser_of, serve, versions_of  # noqa: E402
from ultralytics import YOLO  # noqa: E402

NETWORK = "yolo26n-sem"


def precision_of(network: Any) -> str:
    """What OpenVINO chose to compute in, which is bf16 on a processor that has it."""
    hint = network.backend.ov_compiled_model.get_property("INFERENCE_PRECISION_HINT")
    name: str = hint.get_type_name()
    return {"f32": "fp32"}.get(name, name)


class Yolo:
    """The model and its predictor."""

    def __init__(self, options: argparse.Namespace, images: Images) -> None:
        torch.set_num_threads(options.threads)
        width, height = map(int, options.size.split("x"))
        model = YOLO(options.weights or f"{NETWORK}.yaml", task="semantic")
        if options.format == "openvino":
            if not options.weights:
                model.save(Path(SCRATCH.name) / f"{NETWORK}.pt")  # an export is named after its file
                model = YOLO(Path(SCRATCH.name) / f"{NETWORK}.pt", task="semantic")
            model = YOLO(model.export(format="openvino", imgsz=(height, width)), task="semantic")
        self._model = model
        self._settings = {"imgsz": (height, width), "rect": False, "device": "cpu", "verbose": False}
        self.frame(images[0])  # makes the predictor
        self._network = model.predictor.model
        self._prepared = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0))
        self.facts = {
            "precision": precision_of(self._network) if options.format == "openvino" else "fp32",
            "runtime": "openvino" if options.format == "openvino" else "torch eager",
            "versions": versions_of("ultralytics", "torch", "torchvision", "openvino"),
            "network": NETWORK if not options.weights else Path(options.weights).stem,
            "note": "" if options.weights else "random weights",
        }

    def engine(self) -> object:
        with torch.inference_mode():
            return self._network(self._prepared)

    def frame(self, bgr: np.ndarray) -> np.ndarray:
        labels: np.ndarray = self._model.predict(bgr, **self._settings)[0].semantic_mask.data.numpy()
        return labels

    def file(self, source: str, target: str, on_frame: Callable[[], None]) -> None:
        """Written where it wants to: an MJPG .avi of its own."""
        settings = {**self._settings, "save": True, "project": str(Path(target).parent), "name": "ultralytics"}
        for _ in self._model.predict(source, stream=True, exist_ok=True, **settings):
            on_frame()


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--size", default="1024x512", metavar="WIDTHxHEIGHT")
    parser.add_argument("--weights", help="a checkpoint; random unless given")
    parser.add_argument("--format", choices=("torch", "openvino"), default="torch")
    serve(Yolo, parser.parse_args())


if __name__ == "__main__":
    main()
