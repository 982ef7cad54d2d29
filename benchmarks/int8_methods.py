"""Which observer, and do bias correction and cross-layer equalisation help int8?

    EDGESEG_DATA=... python benchmarks/int8_methods.py [--models bisenetv2-camvid] [--engines openvino] [--json-out]
    python benchmarks/int8_methods.py --calibrate folder:DRIVES?split=train --held-out folder:DRIVES?split=val

Each network is calibrated once on --images images of --calibrate (CamVid's training images without sequence 0006R0).
From that range table an int8 network is made for each observer, with and without each correction, and evaluated on
--limit images of --held-out (sequence 0006R0): its mIoU, the loss against fp32 (95% interval, bootstrap over the
images), the share of labels equal to those of fp32, and the same balanced by class: the mIoU with the masks of fp32 as
ground truth, where a pole counts as much as the road.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from record import Record, Table, Verdict, add_output_option, data_folder, edgeseg_command, publish, run_child, run_main

from edgeseg.artifact import Artifact, artifact_from_onnx
from edgeseg.autotune.scoring import EvaluationImage, Scorer, images_from_dataset
from edgeseg.calib import OBSERVERS
from edgeseg.calib.calibrate import ranges_from_images
from edgeseg.calib.images import images_from
from edgeseg.calib.quantize import Method, int8_from_ranges
from edgeseg.calib.range import RangeTable
from edgeseg.datasets import open_dataset
from edgeseg.datasets.pairs import random_subset
from edgeseg.engines import open_engine
from edgeseg.engines.options import RunOptions
from edgeseg.measure.load import LoadMeter
from edgeseg.segmenter import Segmenter

SEQUENCE = "0006R0"
CORRECTIONS = {
    "plain": {},
    "bias": {"bias_correction": True},
    "equalised": {"equalize": True},
    "both": {"equalize": True, "bias_correction": True},
}


def results_of(model: str, engine: str, table: RangeTable, options: argparse.Namespace, folder: Path) -> list[Any]:
    """Every int8 form of one net on one engine, fp32 first."""
    onnx = artifact_from_onnx(folder / f"{model}.onnx")
    images = random_subset(images_from_dataset(open_dataset(options.held_out)), options.limit)
    classes = (len(onnx.spec.labels), onnx.spec.labels.ignore)
    with opened(onnx, engine, options) as base:
        masks = [base.segment(image.rgb()).labels for image in images]
        truth = Scorer(images, base, classes)
        like_fp32 = Scorer(
            [EvaluationImage(each.rgb, lambda mask=mask: mask) for each, mask in zip(images, masks)], base, classes
        )
    head = {"model": model, "engine": engine, "images": len(images)}
    results = [{**head, "observer": "-", "correction": "fp32", "miou": truth.reference.miou}]
    for observer in options.observers:
        for name, correction in CORRECTIONS.items():
            method = Method(observer, **correction)
            made = int8_from_ranges(onnx.path, table, target=engine, out=folder / "int8.onnx", method=method)
            with opened(made.artifact, engine, options) as segmenter:
                scores, balanced = truth.scores(segmenter), like_fp32.scores(segmenter).miou
            drop = scores.drop_from(truth.reference)
            figures = {"miou": scores.miou, "drop": drop.to_dict(), "agreement": scores.same_labels().value}
            results.append({**head, "observer": observer, "correction": name, **figures, "balanced": balanced})
            print(*row_from_result(results[-1]), sep="  ", file=sys.stderr)
    return results


def opened(artifact: Artifact, engine: str, options: argparse.Namespace) -> Segmenter:
    return Segmenter(artifact, open_engine(engine).open(artifact, RunOptions(threads=options.threads)))


def row_from_result(result: dict[str, Any]) -> list[str]:
    start = [result["engine"], result["observer"], result["correction"], f"{100 * result['miou']:.2f}"]
    if "drop" not in result:
        return [*start, "-", "-", "-"]
    drop = {key: f"{100 * value:+.2f}" for key, value in result["drop"].items()}
    shares = [f"{100 * result[key]:.2f}" for key in ("agreement", "balanced")]
    return [*start, f"{drop['value']} ({drop['low']} to {drop['high']})", *shares]


def verdict_on(correction: str, results: list[dict[str, Any]]) -> Verdict:
    """What a correction changes over all nets, engines and observers."""
    plain = {key_of(result): result for result in results if result["correction"] == "plain"}
    pairs = [(plain[key_of(result)], result) for result in results if result["correction"] == correction]
    gains = {key: [100 * (after[key] - before[key]) for before, after in pairs] for key in ("agreement", "balanced")}
    found = [f"{key} {np.mean(each):+.2f} ({min(each):+.2f} to {max(each):+.2f})" for key, each in gains.items()]
    met = all(np.mean(each) > 0 for each in gains.values())
    return Verdict("raises both on average", f"{correction}: {', '.join(found)}", bool(met))


def key_of(result: dict[str, Any]) -> tuple[str, ...]:
    return result["model"], result["engine"], result["observer"]


def measure(options: argparse.Namespace) -> Record:
    camvid = "" if options.calibrate and options.held_out else f"camvid:{data_folder() / 'camvid'}?split=train"
    options.calibrate = options.calibrate or f"{camvid}&without={SEQUENCE}"
    options.held_out = options.held_out or f"{camvid}&sequence={SEQUENCE}"
    meter, results, tables = LoadMeter(), [], []
    columns = ("engine", "observer", "correction", "mIoU %", "drop (95%)", "labels as fp32 %", "IoU with fp32 %")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for model in options.models:
            onnx = Path(run_child(edgeseg_command("export", model, "-o", folder, "--json")).json()["onnx"])
            table = ranges_from_images(
                onnx, images_from(options.calibrate, artifact_from_onnx(onnx).spec, options.images)
            )
            rows = []
            for engine in options.engines:
                own = results_of(model, engine, table, options, folder)
                rows += [row_from_result(result) for result in own]
                results += own
            tables.append(Table(model, columns, rows))
    load = meter.load()
    return Record(
        name="int8_methods",
        question="Which observer, and do bias correction and cross-layer equalisation help int8?",
        how=f"each net calibrated on {options.images} images, evaluated on {results[0]['images']} labelled ones of "
        "another sequence; accuracy alone, once (n = 1): no clock. The bundled nets were trained on both",
        tables=tables,
        verdicts=[verdict_on(name, results) for name in CORRECTIONS if name != "plain"],
        foreign_cores=load.foreign_cores,
        data={"results": results, "load": load.to_dict()},
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["bisenetv2-camvid", "bisenetv1-camvid", "icnet-camvid"])
    parser.add_argument("--engines", nargs="+", default=["openvino"])
    parser.add_argument("--observers", nargs="+", default=list(OBSERVERS), choices=list(OBSERVERS))
    parser.add_argument("--calibrate", help=f"to calibrate on [default: CamVid's train without {SEQUENCE}]")
    parser.add_argument("--held-out", help=f"to evaluate on [default: {SEQUENCE} of CamVid's train]")
    parser.add_argument("--images", type=int, default=64, help="number of images to calibrate on")
    parser.add_argument("--limit", type=int, default=40, help="number of images to evaluate on")
    parser.add_argument("--threads", type=int, help="of the engines; all cores unless given")
    add_output_option(parser)
    options = parser.parse_args()
    return run_main(lambda: publish(measure(options), options.json_out))


if __name__ == "__main__":
    raise SystemExit(main())
