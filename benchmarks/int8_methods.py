"""Which observer, and do bias correction and cross-layer equalisation help int8?

    EDGESEG_DATA=... python benchmarks/int8_methods.py [--models bisenetv2-camvid] [--engines openvino] [--json-out]
    python benchmarks/int8_methods.py --calibrate folder:DRIVES?split=train --held-out folder:DRIVES?split=val

Each net is calibrated once on --images pictures of --calibrate (CamVid's training images without sequence 0006R0).
From that one range table comes an int8 net for each observer with and without each correction. Each runs on --limit
pictures of --held-out (the sequence 0006R0): its mIoU, and the share of its labels that are those of fp32. The interval
is of the mIoU lost against fp32: 95%, bootstrap over the pictures.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from record import Record, Table, Verdict, add_output_option, data_folder, edgeseg_command, publish, run_child, run_main

from edgeseg.artifact import Artifact, artifact_from_onnx
from edgeseg.calib import OBSERVERS
from edgeseg.calib.calibrate import ranges_from_images
from edgeseg.calib.images import images_from
from edgeseg.calib.quantize import Method, int8_from_ranges
from edgeseg.calib.range import RangeTable
from edgeseg.datasets import open_dataset
from edgeseg.datasets.dataset import Sample
from edgeseg.datasets.pick import drawn
from edgeseg.engines import open_engine
from edgeseg.measure.load import LoadMeter
from edgeseg.metrics.agreement import label_agreement
from edgeseg.metrics.confusion import ConfusionMatrix
from edgeseg.segmenter import Segmenter

SEQUENCE = "0006R0"
CORRECTIONS = {
    "plain": {},
    "bias": {"bias_correction": True},
    "equalised": {"equalize": True},
    "both": {"equalize": True, "bias_correction": True},
}
RESAMPLES = 1000

Labels = NDArray[np.uint8]


@dataclass(frozen=True)
class Judged:
    """One engine file over all pictures. counts: (N, K, K), a confusion matrix a picture."""

    masks: list[Labels]
    counts: NDArray[np.int64]

    @property
    def miou(self) -> float:
        return miou_from_counts(self.counts.sum(axis=0))


def miou_from_counts(counts: NDArray[np.int64]) -> float:
    """The data-set mIoU of one confusion matrix."""
    matrix = ConfusionMatrix(len(counts))
    matrix.counts += counts
    return matrix.miou()


def judged(artifact: Artifact, engine: str, samples: list[Sample], threads: int | None) -> Judged:
    """Segment every sample at the size of its label image."""
    masks, counts = [], []
    with Segmenter(artifact, open_engine(engine).open(artifact, threads=threads)) as segmenter:
        labels = segmenter.spec.labels
        for sample in samples:
            truth = sample.labels()
            masks.append(segmenter.segment(sample.rgb(), (truth.shape[0], truth.shape[1])).labels)
            matrix = ConfusionMatrix(len(labels), labels.ignore)
            matrix.update(masks[-1], truth)
            counts.append(matrix.counts)
    return Judged(masks, np.array(counts))


def drop_interval(before: Judged, after: Judged) -> tuple[float, float]:
    """The 95% interval of the mIoU lost, over draws of as many pictures with replacement."""
    draw = np.random.default_rng(0)
    count = len(before.masks)
    drops = []
    for _ in range(RESAMPLES):
        weights = np.bincount(draw.integers(0, count, count), minlength=count)
        first, second = (np.tensordot(weights, one.counts, 1) for one in (before, after))
        drops.append(miou_from_counts(first) - miou_from_counts(second))
    low, high = np.quantile(drops, [0.025, 0.975]).tolist()
    return low, high


def results_of(model: str, engine: str, table: RangeTable, options: argparse.Namespace, folder: Path) -> list[Any]:
    """Every int8 form of one net on one engine, fp32 first."""
    onnx = folder / f"{model}.onnx"
    samples = drawn(list(open_dataset(options.held_out)), options.limit)
    base = judged(artifact_from_onnx(onnx), engine, samples, options.threads)
    head = {"model": model, "engine": engine, "pictures": len(samples)}
    results = [{**head, "observer": "-", "correction": "fp32", "miou": base.miou}]
    for observer in options.observers:
        for name, correction in CORRECTIONS.items():
            path = folder / "int8.onnx"
            made = int8_from_ranges(onnx, table, target=engine, out=path, method=Method(observer, **correction))
            found = judged(made, engine, samples, options.threads)
            agreement = float(np.mean([label_agreement(*pair) for pair in zip(base.masks, found.masks)]))
            figures = {"miou": found.miou, "agreement": agreement, "interval": drop_interval(base, found)}
            results.append({**head, "observer": observer, "correction": name, **figures})
            print(*row_from_result(results[-1], base.miou), sep="  ", file=sys.stderr)
    return results


def row_from_result(result: dict[str, Any], float_miou: float) -> list[str]:
    start = [result["engine"], result["observer"], result["correction"], f"{100 * result['miou']:.2f}"]
    if "interval" not in result:
        return [*start, "-", "-", "-"]
    low, high = result["interval"]
    drop = f"{100 * (float_miou - result['miou']):+.2f}"
    return [*start, drop, f"{100 * low:+.2f} to {100 * high:+.2f}", f"{100 * result['agreement']:.2f}"]


def verdict_on(correction: str, results: list[dict[str, Any]]) -> Verdict:
    """What a correction changes over all nets, engines and observers."""
    plain = {key_of(result): result for result in results if result["correction"] == "plain"}
    pairs = [(plain[key_of(result)], result) for result in results if result["correction"] == correction]
    gained = [100 * (after["miou"] - before["miou"]) for before, after in pairs]
    agreed = [100 * (after["agreement"] - before["agreement"]) for before, after in pairs]
    found = f"{correction}: mIoU {np.mean(gained):+.2f} points on average ({min(gained):+.2f} to {max(gained):+.2f})"
    found += f", agreement {np.mean(agreed):+.2f} ({min(agreed):+.2f} to {max(agreed):+.2f})"
    return Verdict("raises both on average", found, bool(np.mean(gained) > 0 and np.mean(agreed) > 0))


def key_of(result: dict[str, Any]) -> tuple[str, ...]:
    return result["model"], result["engine"], result["observer"]


def measure(options: argparse.Namespace) -> Record:
    camvid = "" if options.calibrate and options.held_out else f"camvid:{data_folder() / 'camvid'}?split=train"
    options.calibrate = options.calibrate or f"{camvid}&without={SEQUENCE}"
    options.held_out = options.held_out or f"{camvid}&sequence={SEQUENCE}"
    meter, results, tables = LoadMeter(), [], []
    columns = ("engine", "observer", "correction", "mIoU %", "drop in points", "95% interval", "labels as fp32 %")
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
                rows += [row_from_result(result, own[0]["miou"]) for result in own]
                results += own
            tables.append(Table(model, columns, rows))
    load = meter.load()
    return Record(
        name="int8_methods",
        question="Which observer, and do bias correction and cross-layer equalisation help int8?",
        how=f"each net calibrated on {options.images} pictures, judged on {results[0]['pictures']} labelled ones of "
        "another sequence; accuracy alone, once (n = 1): no clock. The bundled nets were trained on both",
        tables=tables,
        verdicts=[verdict_on(name, results) for name in CORRECTIONS if name != "plain"],
        foreign_cores=load.foreign_cores,
        data={"results": results, "load": load.to_dict()},
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["bisenetv1-camvid", "bisenetv2-camvid"])
    parser.add_argument("--engines", nargs="+", default=["onnxruntime", "openvino"])
    parser.add_argument("--observers", nargs="+", default=list(OBSERVERS), choices=list(OBSERVERS))
    parser.add_argument("--calibrate", help=f"to calibrate on; CamVid's train without {SEQUENCE} unless given")
    parser.add_argument("--held-out", help=f"to judge on; {SEQUENCE} of CamVid's train unless given")
    parser.add_argument("--images", type=int, default=64, help="how many pictures to calibrate on")
    parser.add_argument("--limit", type=int, default=40, help="how many pictures to judge on")
    parser.add_argument("--threads", type=int, help="of the engines; all cores unless given")
    add_output_option(parser)
    options = parser.parse_args()
    return run_main(lambda: publish(measure(options), options.json_out))


if __name__ == "__main__":
    raise SystemExit(main())
