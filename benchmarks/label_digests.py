"""Do two versions of edgeseg label the same pictures alike? One digest for each bundled net, CPU engine, precision.

    EDGESEG_DATA=... python benchmarks/label_digests.py --write before.json     # with the old version
    EDGESEG_DATA=... python benchmarks/label_digests.py --check before.json     # with the new version, same machine

The digest is the SHA-256 of the labels of 20 CamVid test pictures, each at its own size. Digests of two machines may
differ: a CPU with other instructions rounds otherwise.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import tempfile
from pathlib import Path

import cv2

import edgeseg
from edgeseg import Precision
from edgeseg.errors import EdgeSegError
from edgeseg.weights import BUNDLED

PICTURES = 20
ENGINES = ("openvino", "onnxruntime")
PRECISIONS = (Precision.FP32, Precision.INT8)


def digest_of(model: str, engine: str, precision: Precision, pictures: list[Path]) -> str:
    """The SHA-256 of the labels that the engine, built now, gives the pictures."""
    digest = hashlib.sha256()
    with tempfile.TemporaryDirectory() as folder:
        made = edgeseg.convert(model, engine=engine, precision=precision, out=Path(folder))
        with edgeseg.open(made.engine.path) as segmenter:
            for picture in pictures:
                rgb = cv2.cvtColor(cv2.imread(str(picture)), cv2.COLOR_BGR2RGB)
                digest.update(segmenter.segment(rgb).labels.tobytes())
    return digest.hexdigest()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    group = parser.add_mutually_exclusive_group(required=True)
    group.add_argument("--write", type=Path, metavar="FILE")
    group.add_argument("--check", type=Path, metavar="FILE")
    options = parser.parse_args()
    pictures = sorted((Path(os.environ["EDGESEG_DATA"]) / "camvid/test/images").iterdir())[:PICTURES]
    want = json.loads(options.check.read_text()) if options.check else {}
    found, different = {}, 0
    for model in BUNDLED:
        for engine in ENGINES:
            for precision in PRECISIONS:
                key = f"{model} {engine} {precision}"
                try:
                    found[key] = digest_of(model, engine, precision, pictures)
                except EdgeSegError as problem:
                    found[key] = f"{type(problem).__name__}: {problem.message}"
                verdict = "" if not options.check else "equal" if want.get(key) == found[key] else "DIFFERENT"
                different += verdict == "DIFFERENT"
                print(f"{key:40} {found[key][:16]} {verdict}", flush=True)
    if options.write:
        options.write.write_text(json.dumps(found, indent=1) + "\n")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
