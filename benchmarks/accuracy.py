"""What does int8 cost in mIoU, and what does its conversion cost in seconds and memory?

    EDGESEG_DATA=... python benchmarks/accuracy.py [--model bisenetv2-camvid] [--limit 64] [--json-out]
    python benchmarks/accuracy.py --images FOLDER --data camvid:FOLDER?split=val --engines onnxruntime

On each engine `edgeseg convert` makes fp32, bf16 where engine and processor have it, and int8 calibrated on --images
(CamVid's training images), each in a process of its own whose wall time and peak memory are noted; `edgeseg eval`
gives the mIoU of each over --data (CamVid's test split).
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from record import (
    Record,
    Table,
    Verdict,
    add_output_option,
    data_folder,
    edgeseg_command,
    publish,
    run_child,
    run_main,
)

from edgeseg.engines import open_engine
from edgeseg.measure.device import has_native_bf16
from edgeseg.measure.load import busy_seconds
from edgeseg.spec import Precision

MAX_DROP, MAX_SECONDS, MAX_MIB = 0.01, 60.0, 3000.0


def precisions_of(engine: str) -> list[Precision]:
    """fp32 first: it is what the others are held against."""
    made = open_engine(engine).precisions
    wanted = [Precision.FP32, *([Precision.BF16] if has_native_bf16() else []), Precision.INT8]
    return [precision for precision in wanted if precision in made]


def judged(engine: str, precision: Precision, options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Convert and evaluate once."""
    convert = edgeseg_command("convert", options.model, "--engine", engine, "--precision", precision, "-o", folder)
    if precision is Precision.INT8:
        convert += ["--images", str(options.images), "--limit", str(options.limit)]
    busy = busy_seconds()
    conversion = run_child([*convert, "--json"])
    foreign = max(0.0, busy_seconds() - busy - conversion.cpu_seconds) / conversion.wall_seconds
    made = conversion.json()
    found = run_child(edgeseg_command("eval", made["engine"], "--data", options.data, "--json")).json()
    return {
        "engine": engine,
        "precision": str(precision),
        "images": found["images"],
        "miou": found["miou"],
        "agreement": made["agreement"],
        "latency": found["latency"],
        "seconds": conversion.wall_seconds,
        "cpu_seconds": conversion.cpu_seconds,
        "peak_mib": conversion.peak_mib,
        "foreign_cores": foreign,
    }


def row_from_result(result: dict[str, Any], float_miou: float) -> list[str]:
    drop = "-" if result["precision"] == Precision.FP32 else f"{100 * (float_miou - result['miou']):+.2f}"
    costs = (f"{result['seconds']:.1f}", f"{result['cpu_seconds']:.1f}", f"{result['peak_mib']:.0f}")
    return [result["engine"], result["precision"], f"{100 * result['miou']:.2f}", drop, *costs]


def verdicts(int8: dict[str, Any], float_miou: float) -> list[Verdict]:
    engine, drop = int8["engine"], float_miou - int8["miou"]
    seconds, mib = int8["seconds"], int8["peak_mib"]
    return [
        Verdict("at most 1.0 point", f"{engine}: int8 drops {100 * drop:.2f} points of mIoU", drop <= MAX_DROP),
        Verdict("at most 60 s", f"{engine}: int8 converted in {seconds:.1f} s", seconds <= MAX_SECONDS),
        Verdict("at most 3 GB", f"{engine}: int8 converted in {mib:.0f} MiB", mib <= MAX_MIB),
    ]


def measure(options: argparse.Namespace) -> Record:
    options.images = options.images or data_folder() / "camvid" / "train" / "images"
    options.data = options.data or f"camvid:{data_folder() / 'camvid'}?split=test"
    rows, found, results = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        for engine in options.engines:
            own = [judged(engine, precision, options, Path(folder)) for precision in precisions_of(engine)]
            rows += [row_from_result(result, own[0]["miou"]) for result in own]
            found += verdicts(own[-1], own[0]["miou"])
            results += own
    columns = ("engine", "precision", "mIoU %", "drop in points", "conversion s", "own CPU s", "peak MiB")
    return Record(
        name=f"accuracy-{options.model}",
        question=f"What does int8 cost {options.model} in mIoU, and what does the conversion cost?",
        how=f"{options.model}; mIoU over {results[0]['images']} labelled pictures of the evaluation set, int8 "
        f"calibrated on {options.limit} other ones at most; each conversion once (n = 1), from a fresh process",
        tables=[Table(options.model, columns, rows)],
        verdicts=found,
        foreign_cores=max(result["foreign_cores"] for result in results),
        data={"results": results},
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="bisenetv2-camvid")
    parser.add_argument("--engines", nargs="+", default=["openvino", "onnxruntime"])
    parser.add_argument("--images", type=Path, help="to calibrate on; CamVid's training images unless given")
    parser.add_argument("--limit", type=int, default=64, help="how many of them")
    parser.add_argument("--data", help="to evaluate on, as for edgeseg eval; CamVid's test split unless given")
    add_output_option(parser)
    options = parser.parse_args()
    return run_main(lambda: publish(measure(options), options.json_out))


if __name__ == "__main__":
    raise SystemExit(main())
