"""ONNX Runtime's own static int8 of a float ONNX: a peer that our int8 engines are held against.

    python benchmarks/peers/ort_static.py FLOAT.onnx FRAMES.npz OUT.onnx [--method minmax]

FRAMES.npz holds `frames`, (N, H, W, 3) uint8 as the graph takes them. Q/DQ with unsigned activations and signed
per-channel weights, as ONNX Runtime's documentation advises for x86; all operators that it quantises by default, behind
its own pre-processing. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

METHODS = {"minmax": CalibrationMethod.MinMax, "percentile": CalibrationMethod.Percentile}


class Frames(CalibrationDataReader):  # type: ignore[misc]
    """Hands over one frame at a time, and None at the end."""

    def __init__(self, name: str, frames: np.ndarray) -> None:
        self._feeds: Iterator[dict[str, Any]] = iter([{name: frame[None]} for frame in frames])

    def get_next(self) -> dict[str, Any] | None:
        return next(self._feeds, None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("onnx", type=Path, metavar="FLOAT.onnx")
    parser.add_argument("frames", type=Path, metavar="FRAMES.npz")
    parser.add_argument("out", type=Path, metavar="OUT.onnx")
    parser.add_argument("--method", choices=METHODS, default="minmax")
    options = parser.parse_args()
    stdout, sys.stdout = sys.stdout, sys.stderr
    frames = np.load(options.frames)["frames"]
    name = onnx.load(options.onnx).graph.input[0].name
    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(options.onnx, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            options.out,
            Frames(name, frames),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=METHODS[options.method],
        )
    found = {"onnxruntime": onnxruntime.__version__, "method": options.method, "frames": len(frames)}
    print(json.dumps(found), file=stdout)


if __name__ == "__main__":
    main()
