"""Put trained weights among the bundled ones: weights, range table, recipes. Card, licence and table are by hand.

    python benchmarks/bundle.py runs/NAME/NAME.safetensors --images URI [--limit 100]

Then name it in `edgeseg.weights.BUNDLED`, write its card and licence, and run `benchmarks/weights.py --model NAME`.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

from record import FOLDER, run_main

import edgeseg.weights
from edgeseg.calib.calibrate import ranges_from_images
from edgeseg.calib.images import images_from
from edgeseg.conversion import float_onnx
from edgeseg.files import existing_file, whole_file
from edgeseg.weights.file import spec_from_weights

ROOT = FOLDER.parent
ENGINES = ("openvino", "onnxruntime")


def bundle(weights: Path, images: str, limit: int) -> None:
    name = spec_from_weights(existing_file(weights)).name
    kept = Path(edgeseg.weights.__file__).with_name(f"{name}.safetensors")
    shutil.copyfile(weights, kept)
    with tempfile.TemporaryDirectory() as scratch:
        onnx, _ = float_onnx(kept, Path(scratch))
        table = ranges_from_images(onnx.path, images_from(images, onnx.spec, limit))
        print(f"wrote {kept}\nwrote {table.write(ROOT / 'calib' / f'{name}.json')}")
    for engine in ENGINES:
        with whole_file(ROOT / "engines" / f"{name}.{engine}.int8.toml") as partial:
            partial.write_text(f'model = "{name}"\nengine = "{engine}"\nprecision = "int8"\n', encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--images", required=True, help="what the ranges are measured on: a folder or a data set's URI")
    parser.add_argument("--limit", type=int, default=100)
    options = parser.parse_args()
    return run_main(lambda: bundle(options.weights, options.images, options.limit))


if __name__ == "__main__":
    raise SystemExit(main())
