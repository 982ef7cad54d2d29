"""Does fine-tuning through Q/DQ lose nothing against plain int8, on a sequence that it did not learn from?

    EDGESEG_DATA=... python benchmarks/qat.py [--model bisenetv2-camvid] [--minutes 10] [--json-out]
    python benchmarks/qat.py --train folder:DRIVES?split=train --held-out folder:DRIVES?split=val

The float ONNX is calibrated on 64 pictures of --train (CamVid's training images without sequence 0006R0) and
fine-tuned on --train for --minutes at most; fp32 and int8, plain and fine-tuned, are built for each engine by
`edgeseg convert`, and `edgeseg eval` gives the mIoU of each over --held-out (the sequence 0006R0). What fp32 gains
was learnt from the labels; the rest is what int8 gains. The bundled net has seen the sequence: it checks the mechanism.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from record import Record, Table, Verdict, add_output_option, data_folder, edgeseg_command, publish, run_child, run_main

from edgeseg.artifact import artifact_from_onnx
from edgeseg.calib.calibrate import ranges_from_images
from edgeseg.calib.images import images_from
from edgeseg.calib.range import RangeTable
from edgeseg.measure.device import available_threads
from edgeseg.measure.load import Load, LoadMeter
from edgeseg.spec import Precision
from edgeseg.train.qat.config import QatConfig

if TYPE_CHECKING:
    from edgeseg.train.qat.finetune import QatResult

SEQUENCE = "0006R0"
TOLERANCE = 0.0005  # of mIoU: half of what the tables show


def main() -> int:
    defaults = QatConfig()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="bisenetv2-camvid")
    parser.add_argument("--engines", nargs="+", default=["onnxruntime", "openvino"])
    parser.add_argument("--train", help=f"to calibrate and tune on; CamVid's train without {SEQUENCE} unless given")
    parser.add_argument("--held-out", help=f"to evaluate on; {SEQUENCE} of CamVid's train unless given")
    parser.add_argument("--limit", type=int, default=64, help="how many pictures to calibrate on")
    parser.add_argument("--minutes", type=float, default=10.0, help="how long to tune at most")
    parser.add_argument("--threads", type=int, help="to tune with; torch's own number unless given")
    for name in ("steps", "batch", "seed"):
        parser.add_argument(f"--{name}", type=int, default=getattr(defaults, name))
    for name in ("learning_rate", "distill", "supervise", "balance"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, default=getattr(defaults, name))
    parser.add_argument("--target", default=defaults.target, help="whose Q/DQ placement is learnt")
    add_output_option(parser)
    options = parser.parse_args()
    return run_main(lambda: publish(measure(options), options.json_out))


def measure(options: argparse.Namespace) -> Record:
    camvid = "" if options.train and options.held_out else f"camvid:{data_folder() / 'camvid'}?split=train"
    options.train = options.train or f"{camvid}&without={SEQUENCE}"
    options.held_out = options.held_out or f"{camvid}&sequence={SEQUENCE}"
    from edgeseg.train.device import use_threads

    use_threads(options.threads)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        onnx = Path(run_child(edgeseg_command("export", options.model, "-o", folder, "--json")).json()["onnx"])
        plain = calibrated(onnx, options)
        meter = LoadMeter()
        tuned = tune(onnx, plain, options, folder / "tuned")
        load = meter.load()
        results = []
        for engine in options.engines:
            for kind, source, ranges in (
                ("fp32", onnx, None),
                ("int8", onnx, plain),
                ("fp32 fine-tuned", tuned.onnx.path, None),
                ("int8 fine-tuned", tuned.onnx.path, tuned.ranges),
            ):
                results.append(judged(kind, engine, source, ranges, options.held_out, folder / kind.replace(" ", "-")))
    return record_of(results, tuned, options, load)


def calibrated(onnx: Path, options: argparse.Namespace) -> Path:
    """The range table of the float ONNX, as a file."""
    images = images_from(options.train, artifact_from_onnx(onnx).spec, options.limit)
    return ranges_from_images(onnx, images).write(onnx.with_suffix(".ranges.json"))


def tune(onnx: Path, ranges: Path, options: argparse.Namespace, out: Path) -> QatResult:
    config = QatConfig(
        data=((options.train, 1.0),),
        **{
            name: getattr(options, name)
            for name in (
                "steps",
                "minutes",
                "batch",
                "learning_rate",
                "distill",
                "supervise",
                "balance",
                "target",
                "seed",
            )
        },
    )
    from edgeseg.train.qat.finetune import draw_for, finetune_int8

    draw = draw_for(config, artifact_from_onnx(onnx).spec)
    return finetune_int8(onnx, RangeTable.open(ranges), config, draw, out)


def judged(kind: str, engine: str, onnx: Path, ranges: Path | None, held_out: str, out: Path) -> dict[str, Any]:
    """Convert and evaluate once."""
    precision = Precision.INT8 if ranges else Precision.FP32
    convert = edgeseg_command("convert", onnx, "--engine", engine, "--precision", precision, "-o", out, "--json")
    made = run_child([*convert, *(["--ranges", str(ranges)] if ranges else [])]).json()
    found = run_child(edgeseg_command("eval", made["engine"], "--data", held_out, "--json")).json()
    return {
        "kind": kind,
        "engine": engine,
        "agreement": made["agreement"],
        "images": found["images"],
        "miou": found["miou"],
    }


def record_of(results: list[dict[str, Any]], tuned: QatResult, options: argparse.Namespace, load: Load) -> Record:
    rows, verdicts = [], []
    columns = ("engine", *dict.fromkeys(f"{result['kind']} mIoU %" for result in results))
    for engine in options.engines:
        miou = {result["kind"]: result["miou"] for result in results if result["engine"] == engine}
        rows.append([engine, *(f"{100 * value:.2f}" for value in miou.values())])
        gain = miou["int8 fine-tuned"] - miou["int8"]
        found = f"{engine}: fine-tuning changes int8 by {100 * gain:+.2f} points of mIoU"
        verdicts.append(Verdict("loses nothing (at most 0.05 points)", found, gain >= -TOLERANCE))
    recipe = tuned.onnx.provenance.qat
    in_time = tuned.seconds <= 60 * options.minutes + 2 * tuned.seconds / max(tuned.steps, 1)
    spent = f"tuned in {tuned.seconds / 60:.1f} minutes"
    verdicts.append(Verdict(f"at most {options.minutes:g} minutes and the step that was begun", spent, in_time))
    return Record(
        name=f"qat-{options.model}",
        question=f"Does quantisation-aware fine-tuning of {options.model} lose nothing against plain int8?",
        how=f"{options.model}; mIoU over {results[0]['images']} labelled pictures that fine-tuning did not see; "
        f"{tuned.steps} steps of {options.batch} pictures, {options.threads or available_threads()} threads; "
        "one run (n = 1)",
        tables=[Table(options.model, columns, rows)],
        verdicts=verdicts,
        foreign_cores=load.foreign_cores,
        data={
            "results": results,
            "recipe": recipe,
            "losses": tuned.losses,
            "seconds": tuned.seconds,
            "load": load.to_dict(),
        },
    )


if __name__ == "__main__":
    raise SystemExit(main())
