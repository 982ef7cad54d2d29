"""What a dense CRF costs and gains behind a network: python benchmarks/crf.py [--json-out]

Logits of street frames at an eighth of their size, the shares of the classes with noise, are upsampled and refined on
one core, in CPU time of this process; boundary F and mIoU are those of the same frames. Options are `--crf`'s.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from record import Record, Table, add_output_option, publish, run_main

from edgeseg.measure.load import LoadMeter
from edgeseg.measure.recorder import LatencyRecorder
from edgeseg.metrics import open_metric
from edgeseg.pixels.upsample import labels_from_logits, upsampled_logits
from edgeseg.predictions.crf import crf_from_text
from edgeseg.spec import size_from_text
from edgeseg.synthetic import StreetCamera

CLASSES, STRIDE, FRAMES, NOISE = 11, 8, 3, 2.0
SETTINGS = ("on", "iterations=5", "iterations=5&alpha=20&beta=5&smoothness=1")


def scenes(width: int, height: int) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Frames (H, W, 3), their labels, and noisy logits (C, H/8, W/8)."""
    camera, rng = StreetCamera(seed=3, width=width, height=height), np.random.default_rng(0)
    small = (height // STRIDE, STRIDE, width // STRIDE, STRIDE, CLASSES)
    made = []
    for index in range(FRAMES):
        rgb, labels = camera.render(25 * index)
        shares = np.eye(CLASSES, dtype=np.float32)[labels].reshape(small).mean((1, 3)).transpose(2, 0, 1)
        logits = 8 * shares + rng.normal(0, NOISE, shares.shape)
        made.append((rgb, labels, np.ascontiguousarray(logits, np.float32)))
    return made


def figures(pairs: list[tuple[np.ndarray, np.ndarray]]) -> tuple[float, float]:
    """Mean boundary F and mIoU."""
    metrics = [open_metric(name)(CLASSES) for name in ("boundary", "miou")]
    for labels, truth in pairs:
        for metric in metrics:
            metric.update(labels, truth)
    results = [metric.result().overall for metric in metrics]
    return results[0]["mean_boundary_f"], results[1]["miou"]


def measure(sizes: list[str]) -> Record:
    meter, rows, samples = LoadMeter(), [], {}
    for text in sizes:
        width, height = size_from_text(text)
        size, frames = (height, width), scenes(width, height)
        raw = figures([(labels_from_logits(logits, size), truth) for _, truth, logits in frames])
        rows.append([text, "none", "", *(f"{100 * value:.1f}" for value in raw)])
        for setting in SETTINGS:
            crf, recorder, pairs = crf_from_text(setting), LatencyRecorder(), []
            for rgb, truth, logits in frames:
                full = upsampled_logits(logits, size)
                began = time.process_time()
                labels = crf.labels(full, rgb)
                recorder.add("crf", (time.process_time() - began) * 1e3)
                pairs.append((labels, truth))
            samples[f"{text} {setting}"] = recorder.samples("crf")
            shown = (f"{100 * value:.1f}" for value in figures(pairs))
            rows.append([text, setting, f"{recorder.summaries()['crf'].p50_ms:.0f}", *shown])
    return Record(
        name="crf",
        question="What does a dense CRF cost and gain behind a network?",
        how=f"{FRAMES} frames of the drawn street, {CLASSES} classes, logits at 1/{STRIDE} with noise {NOISE:g}",
        tables=[Table("One thread", ("size", "--crf", "CPU ms, p50", "boundary F, %", "mIoU, %"), rows)],
        foreign_cores=meter.load().foreign_cores,
        data=samples,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=["480x360", "1024x512"], metavar="WIDTHxHEIGHT")
    add_output_option(parser)
    options = parser.parse_args()
    return run_main(lambda: publish(measure(options.sizes), options.json_out))


if __name__ == "__main__":
    raise SystemExit(main())
