"""NVIDIA ModelOpt's int8 of a float ONNX: a peer that our int8 engines are held against.

    python -m venv modelopt && modelopt/bin/pip install nvidia-modelopt[onnx]
    modelopt/bin/python benchmarks/peers/modelopt_int8.py FLOAT.onnx FRAMES.npz OUT.onnx

Runs in an environment of its own, without edgeseg, and calibrates on the CPU. FRAMES.npz holds `frames`, (N, H, W, 3)
uint8 as the graph takes them. ModelOpt's defaults for int8: entropy, per-channel weights, placement as TensorRT fuses
it. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnx


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("onnx", type=Path, metavar="FLOAT.onnx")
    parser.add_argument("frames", type=Path, metavar="FRAMES.npz")
    parser.add_argument("out", type=Path, metavar="OUT.onnx")
    parser.add_argument("--method", choices=("entropy", "max"), default="entropy")
    options = parser.parse_args()
    stdout, sys.stdout = sys.stdout, sys.stderr  # ModelOpt logs on stdout
    import onnxruntime  # before minutes of calibration, which need it: as onnxruntime, or as onnxruntime-gpu
    from modelopt.onnx.quantization import quantize

    frames = np.load(options.frames)["frames"]
    quantize(
        str(options.onnx),
        quantize_mode="int8",
        calibration_data={onnx.load(options.onnx).graph.input[0].name: frames},
        calibration_method=options.method,
        calibration_eps=["cpu"],
        output_path=str(options.out),
        high_precision_dtype="fp32",
    )
    versions = {"modelopt": version("nvidia-modelopt"), "onnxruntime": onnxruntime.__version__}
    print(json.dumps({**versions, "frames": len(frames)}), file=stdout)


if __name__ == "__main__":
    main()
