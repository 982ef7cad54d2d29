"""What `edgeseg convert MODEL` chooses with no options, and whether a longer race afterwards agrees.

    python benchmarks/default_precision.py [--models bisenetv2-street ...] [--engines openvino ...] [--json-out]

Each bundled net is converted for each engine with no other option. Then what was kept is raced against fp32 and int8 of
the same net, in turn, from picture to mask, on all cores: it must be no slower than fp32 beyond doubt.
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
import time
from pathlib import Path
from typing import Any

from record import Record, Table, Verdict, add_output_option, publish, run_main

from edgeseg.autotune.benchmark import benchmark
from edgeseg.check_images import check_images
from edgeseg.conversion import convert
from edgeseg.measure.load import LoadMeter
from edgeseg.segmenter import open_segmenter
from edgeseg.spec import Precision

MODELS = ("bisenetv2-street", "bisenetv2-camvid", "bisenetv1-camvid", "icnet-camvid", "segformer-camvid")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("--engines", nargs="+", default=["openvino", "onnxruntime"])
    parser.add_argument("--rounds", type=int, default=25, help="of the longer race")
    add_output_option(parser)
    options = parser.parse_args()
    return run_main(lambda: publish(measure(options), options.json_out))


def measure(options: argparse.Namespace) -> Record:
    meter, results = LoadMeter(), []
    for model in options.models:
        for engine in options.engines:
            with tempfile.TemporaryDirectory() as folder:
                results.append(decided(model, engine, options.rounds, Path(folder)))
    columns = ("model", "engine", "kept", "summary", "seconds", "time to fp32", "int8 to fp32")
    return Record(
        name="default_precision",
        question="Is what `convert MODEL` keeps never slower than the float engine?",
        how=f"a longer race of {options.rounds} rounds in turn, from picture to mask, all cores",
        tables=[Table("what is kept", columns, [row_of(result) for result in results])],
        verdicts=[
            Verdict(
                "never slower than fp32",
                f"{each['model']} on {each['engine']}: {each['kept']} takes {text_of(each['ratio'])} of fp32",
                each["ratio"]["low"] <= 1,
            )
            for each in results
        ],
        foreign_cores=meter.load().foreign_cores,
        data={"results": results},
    )


def decided(model: str, engine: str, rounds: int, folder: Path) -> dict[str, Any]:
    """One net on one engine."""
    began = time.perf_counter()
    made = convert(model, engine=engine, out=folder / "default")
    seconds = time.perf_counter() - began
    kinds = {"kept": made.engine}
    for precision in (Precision.FP32, Precision.INT8):
        kinds[str(precision)] = convert(model, engine=engine, precision=precision, out=folder / str(precision)).engine
    rgb = check_images(made.engine.spec).frames[0]
    with contextlib.ExitStack() as stack:
        opened = {kind: stack.enter_context(open_segmenter(each.path)) for kind, each in kinds.items()}
        laps = benchmark(opened, rgb, rounds=rounds)
    return {
        "model": model,
        "engine": engine,
        "kept": str(made.engine.precision),
        "summary": made.summary,
        "seconds": seconds,
        "ratio": laps["kept"].ratio_to(laps["fp32"]).to_dict(),
        "int8_ratio": laps["int8"].ratio_to(laps["fp32"]).to_dict(),
        "latency": {kind: lap.latency.to_dict() for kind, lap in laps.items()},
    }


def row_of(result: dict[str, Any]) -> list[str]:
    start = [result["model"], result["engine"], result["kept"], result["summary"], f"{result['seconds']:.0f}"]
    return [*start, text_of(result["ratio"]), text_of(result["int8_ratio"])]


def text_of(ratio: dict[str, float]) -> str:
    return f"{ratio['value']:.2f} ({ratio['low']:.2f} to {ratio['high']:.2f})"


if __name__ == "__main__":
    raise SystemExit(main())
