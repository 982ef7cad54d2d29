"""What `--precision auto` chooses for each net and engine, and whether that holds on pictures that decided nothing.

    EDGESEG_DATA=... python benchmarks/auto.py [--models bisenetv2-camvid ...] [--engines openvino ...] [--json-out]

Each net is calibrated on CamVid's training images without sequence 0006R0, and `auto` decides on that sequence, with at
most 0.5 points of mIoU to lose. Then the fastest float engine, int8 and what auto chose are judged on the test images,
and raced in turn on one of them, from picture to mask, on all cores.
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
import time
from pathlib import Path
from typing import Any

from record import Record, Table, Verdict, add_output_option, data_folder, publish, run_main

from edgeseg.artifact import Artifact
from edgeseg.autotune.benchmark import TimingRun, benchmark
from edgeseg.autotune.choice import Auto
from edgeseg.autotune.scoring import Scorer, images_from_dataset
from edgeseg.conversion import Conversion, convert
from edgeseg.datasets import open_dataset
from edgeseg.measure.load import LoadMeter
from edgeseg.pixels.resize import resize_rgb
from edgeseg.segmenter import Segmenter, open_segmenter

MODELS = ("bisenetv2-camvid", "bisenetv1-camvid", "icnet-camvid", "segformer-camvid")
SEQUENCE, MAX_DROP, MINUTES = "0006R0", 0.005, 10
SAME_TIME = 1.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("--engines", nargs="+", default=["openvino", "onnxruntime"])
    parser.add_argument("--limit", type=int, default=64, help="number of images to calibrate on")
    parser.add_argument("--rounds", type=int, default=15, help="of the last race")
    add_output_option(parser)
    options = parser.parse_args()
    return run_main(lambda: publish(measure(options), options.json_out))


def measure(options: argparse.Namespace) -> Record:
    meter, results = LoadMeter(), []
    for model in options.models:
        for engine in options.engines:
            with tempfile.TemporaryDirectory() as folder:
                results.append(judged(model, engine, options, Path(folder)))
    columns = ("model", "engine", "kind", "mIoU %", "labels as fp32 %", "p50 ms", "own CPU ms", "time to float")
    return Record(
        name="auto",
        question="Does the engine that auto chooses keep its promise on pictures that decided nothing?",
        how=f"calibrated on {options.limit} pictures of CamVid train without {SEQUENCE}, decided on {SEQUENCE} "
        f"(at most {100 * MAX_DROP:g} points), judged on the {results[0]['images']} images of test; races of "
        f"{options.rounds} rounds in turn, from picture to mask, all cores",
        tables=[
            Table("float, int8 and auto", columns, [row for result in results for row in rows_of(result)]),
            Table(
                "what auto said",
                ("model", "engine", "summary", "seconds"),
                [[each["model"], each["engine"], each["summary"], f"{each['seconds']:.0f}"] for each in results],
            ),
        ],
        verdicts=[verdict for result in results for verdict in verdicts(result)],
        foreign_cores=meter.load().foreign_cores,
        data={"results": results},
    )


def judged(model: str, engine: str, options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """One net on one engine: decided on one sequence, judged on the test images."""
    camvid = f"camvid:{data_folder() / 'camvid'}?split="
    began = time.perf_counter()
    made = convert(
        model,
        engine=engine,
        precision=Auto(data=f"{camvid}train&sequence={SEQUENCE}"),
        images=f"{camvid}train&without={SEQUENCE}",
        limit=options.limit,
        out=folder / "auto",
    )
    seconds = time.perf_counter() - began
    engines = contenders(made, engine, folder)
    images = images_from_dataset(open_dataset(f"{camvid}test"))
    with contextlib.ExitStack() as stack:
        opened = {kind: stack.enter_context(open_segmenter(each.path)) for kind, each in engines.items()}
        figures = figures_of(opened, Scorer(images, opened["fp32"], (len(made.engine.spec.labels), 255)))
        size = (made.engine.spec.input.height, made.engine.spec.input.width)
        laps = benchmark(opened, resize_rgb(images[0].rgb(), size), rounds=options.rounds)
    assert made.decision is not None
    return {
        "model": model,
        "engine": engine,
        "summary": made.decision.summary,
        "decision": made.decision.to_dict(),
        "seconds": seconds,
        "images": len(images),
        "float": made.decision.candidate_set.base.name,
        "chosen": made.decision.chosen.name,
        "kinds": {kind: {**figures[kind], **times(lap, laps["float"])} for kind, lap in laps.items()},
    }


def contenders(made: Conversion, engine: str, folder: Path) -> dict[str, Artifact]:
    """The fp32 engine, the fastest float one, int8 throughout, and the chosen one."""
    assert made.decision is not None

    def built(name: str) -> Artifact:
        assert made.decision is not None
        precision = next(each.precision for each in made.decision.candidate_set.candidates if each.name == name)
        onnx, ranges = made.onnx.path, made.onnx.path.with_suffix(".ranges.json")
        return convert(onnx, engine=engine, precision=precision, ranges=ranges, out=folder / name).engine

    float_engine = built(made.decision.candidate_set.base.name)
    fp32 = float_engine if made.decision.candidate_set.base.name == "fp32" else built("fp32")
    return {"fp32": fp32, "float": float_engine, "int8": built("int8"), "auto": made.engine}


def figures_of(opened: dict[str, Segmenter], scorer: Scorer) -> dict[str, dict[str, Any]]:
    """Kind -> mIoU, what it loses against fp32 with its 95% interval, and the labels that are the same."""
    found = {}
    for kind, segmenter in opened.items():
        scores = scorer.scores(segmenter)
        drop = scores.drop_from(scorer.reference)
        assert drop is not None
        found[kind] = {"miou": scores.miou, "drop": drop.to_dict(), "agreement": scores.same_labels().to_dict()}
    return found


def times(lap: TimingRun, base: TimingRun) -> dict[str, Any]:
    return {"latency": lap.latency.to_dict(), "cpu_ms": lap.cpu_ms, "ratio": lap.ratio_to(base).to_dict()}


def rows_of(result: dict[str, Any]) -> list[list[str]]:
    rows = []
    for kind, figures in result["kinds"].items():
        shown = {"float": f"float ({result['float']})", "auto": f"auto ({result['chosen']})"}.get(kind, kind)
        ratio = figures["ratio"]
        rows.append(
            [
                result["model"],
                result["engine"],
                shown,
                f"{100 * figures['miou']:.2f}",
                f"{100 * figures['agreement']['value']:.2f}",
                f"{figures['latency']['p50_ms']:.2f}",
                f"{figures['cpu_ms']:.2f}",
                f"{ratio['value']:.2f} ({ratio['low']:.2f} to {ratio['high']:.2f})",
            ]
        )
    return rows


def verdicts(result: dict[str, Any]) -> list[Verdict]:
    auto, where = result["kinds"]["auto"], f"{result['model']} on {result['engine']}"
    drop, ratio = auto["drop"]["value"], auto["ratio"]
    time_text = f"{ratio['value']:.2f} ({ratio['low']:.2f} to {ratio['high']:.2f})"
    return [
        Verdict(
            f"at most {100 * MAX_DROP:g} points of mIoU",
            f"{where}: auto ({result['chosen']}) loses {100 * drop:.2f} points on the test images",
            drop <= MAX_DROP,
        ),
        Verdict(
            "never slower than float",
            f"{where}: auto takes {time_text} times the float latency",
            ratio["low"] <= SAME_TIME,
        ),
        Verdict(
            f"at most {MINUTES} minutes",
            f"{where}: {result['seconds']:.0f} s in all",
            result["seconds"] <= 60 * MINUTES,
        ),
    ]


if __name__ == "__main__":
    raise SystemExit(main())
