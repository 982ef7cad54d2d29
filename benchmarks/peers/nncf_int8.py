"""OpenVINO + NNCF int8 of a float ONNX: the peer that our int8 engine is held against.

    python -m venv nncf && nncf/bin/pip install nncf openvino onnx
    nncf/bin/python benchmarks/peers/nncf_int8.py FLOAT.onnx FRAMES.npz OUT.xml [--preset performance] [--transformer]

Runs in an environment of its own, without edgeseg. FRAMES.npz holds `frames`, (N, H, W, 3) uint8 as the graph takes
them. NNCF's defaults but for the preset: min-max, fast bias correction, per-channel weights. --transformer is what
NNCF's documentation asks for where a network has attention. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # both packages have a stub that sends nothing
stdout, sys.stdout = sys.stdout, sys.stderr  # NNCF logs and draws progress bars on stdout

import nncf  # noqa: E402
import numpy as np  # noqa: E402
import openvino  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("onnx", type=Path, metavar="FLOAT.onnx")
    parser.add_argument("frames", type=Path, metavar="FRAMES.npz")
    parser.add_argument("out", type=Path, metavar="OUT.xml")
    parser.add_argument("--preset", choices=("performance", "mixed"), default="performance")
    parser.add_argument("--transformer", action="store_true", help="NNCF's model type")
    options = parser.parse_args()
    frames = np.load(options.frames)["frames"]
    model = openvino.Core().read_model(options.onnx)
    quantised = nncf.quantize(
        model,
        nncf.Dataset(list(frames), lambda frame: frame[None]),
        preset=nncf.QuantizationPreset(options.preset),
        model_type=nncf.ModelType.TRANSFORMER if options.transformer else None,
        target_device=nncf.TargetDevice.CPU,
        subset_size=len(frames),
    )
    openvino.save_model(quantised, options.out, compress_to_fp16=False)
    print(json.dumps({"nncf": nncf.__version__, "openvino": openvino.__version__, "frames": len(frames)}), file=stdout)


if __name__ == "__main__":
    main()
