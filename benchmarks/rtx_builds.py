"""Does every bundled net become a TensorRT-RTX plan, in every precision and form, and in how much time and memory?

    python benchmarks/rtx_builds.py [--models NAME ...] [--json-out]

Each net is exported once with logits and once with a mask; fp16 and int8 rest on its committed ranges. Each plan is
built in a process of its own, for one picture and for one to four. No GPU is needed, and none runs the plans. "asked"
counts convolutions and matrix products by the precision that the ONNX states; a build whose layers did not all obtain
it fails. Memory is what a build adds to its process, against what the check before each build expects.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from record import Record, Table, Verdict, add_output_option, publish, run_child, run_main

from edgeseg.artifact import LoadedModel, load_onnx
from edgeseg.calib.float16 import fp16_from_ranges
from edgeseg.calib.quantize import int8_from_ranges
from edgeseg.calib.range import RangeTable
from edgeseg.engines import open_engine
from edgeseg.engines.build import engine_from_onnx
from edgeseg.engines.engine import BuildJob
from edgeseg.engines.options import BuildOptions
from edgeseg.engines.tensorrt.compat import RTX, import_release
from edgeseg.engines.tensorrt.engines import request_from_job
from edgeseg.engines.tensorrt.memory import needed_mib
from edgeseg.measure.load import LoadMeter
from edgeseg.measure.memory import high_water_mib, resident_mib
from edgeseg.recipe import bundled_ranges
from edgeseg.spec import Output
from edgeseg.weights import BUNDLED

BATCHES = {"1": (1, 1, 1), "1 to 4": (1, 2, 4)}
COLUMNS = ["onnx", "batch", "seconds", "plan MiB", "peak MiB", "expected MiB", "asked", "obtained"]


def measure(options: argparse.Namespace) -> Record:
    meter = LoadMeter()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in options.models:
            for source in sources(name, Path(folder)):
                for batch in BATCHES:
                    child = run_child([sys.executable, __file__, "--one", source.path, "--batch", batch])
                    rows.append({"onnx": source.path.stem, "batch": batch, **child.json()})
                    print(json.dumps(rows[-1]), file=sys.stderr)
    slow = max(row["seconds"] for row in rows)
    room = min(row["expected_mib"] - row["peak_mib"] for row in rows)
    return Record(
        name="rtx_builds",
        question="Does every bundled net become a TensorRT-RTX plan, in every precision and form?",
        how="one process a build, no GPU; for every compute capability that RTX knows",
        tables=[Table("Plans of TensorRT-RTX", COLUMNS, [list(map(str, row.values())) for row in rows])],
        verdicts=[
            Verdict("every build obtains what it asks for", f"{len(rows)} plans", True),  # another one raises
            Verdict("no build takes more memory than expected", f"{room} MiB of room at least", room >= 0),
            Verdict("a build takes at most 90 s", f"{slow} s", slow <= 90),
        ],
        foreign_cores=meter.load().foreign_cores,
        data={"rows": rows},
    )


def sources(name: str, folder: Path) -> list[LoadedModel]:
    """Float, fp16 and int8 ONNX of a bundled net, with logits and with a mask."""
    from edgeseg.conversion import float_onnx

    path = bundled_ranges(name)
    assert path is not None, f"{name} has no ranges"
    table, made = RangeTable.open(path), []
    for output in Output:
        onnx, _ = float_onnx(name, folder, output=output)
        stem = onnx.path.stem
        half = fp16_from_ranges(onnx.path, table, out=folder / f"{stem}.fp16.onnx")
        int8 = int8_from_ranges(onnx.path, table, target=RTX, out=folder / f"{stem}.int8.onnx")
        made += [onnx, half, int8]
    return made


def build_one(options: argparse.Namespace) -> None:
    """Build one ONNX in this process, and print what became of it."""
    asked = BuildOptions(batch=BATCHES[options.batch])
    source = load_onnx(options.one)
    release = import_release(RTX)
    expected = needed_mib(
        request_from_job(release, BuildJob(source, options.one, source.precision, asked)), is_rtx=True
    )
    before, began = resident_mib(), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        plan = engine_from_onnx(options.one, RTX, out_dir=Path(folder), options=asked)
        seconds = time.perf_counter() - began
        assert open_engine(RTX).obtained_share == 1.0
        layers = [layer for layer in plan.layers if layer.requested]
        found = {
            "seconds": round(seconds, 1),
            "plan_mib": round(plan.build.plan_bytes / 2**20, 1),
            "peak_mib": high_water_mib() - before,
            "expected_mib": expected,
            "asked": counted([layer.requested for layer in layers]),
            "obtained": counted([layer.obtained for layer in layers]),
        }
    print(json.dumps(found))


def counted(names: list[str]) -> str:
    """How many of each, the commonest first: "54 int8, 2 fp32"."""
    return ", ".join(f"{count} {name}" for name, count in Counter(names).most_common())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=list(BUNDLED), choices=list(BUNDLED))
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--batch", choices=list(BATCHES), default="1", help=argparse.SUPPRESS)
    add_output_option(parser)
    options = parser.parse_args()
    if options.one:
        build_one(options)
    else:
        publish(measure(options), options.json_out)


if __name__ == "__main__":
    sys.exit(run_main(main))
