"""How long one core needs for what lies around the network: python benchmarks/pixels.py [--json-out]

Exact upsampling with argmax of the bundled net's own logits, overlay at 1080p, resize, the drawn street and the
confusion matrix; each stage on the frames of one drawn street, in turn, on one pinned core.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from record import Record, Table, Verdict, add_output_option, publish, run_main

from edgeseg.conversion import convert
from edgeseg.engines import open_engine
from edgeseg.engines.options import RunOptions
from edgeseg.measure.load import LoadMeter
from edgeseg.measure.recorder import LatencyRecorder
from edgeseg.metrics.confusion import ConfusionMatrix
from edgeseg.pixels.overlay import overlay_labels
from edgeseg.pixels.overlay_planes import overlay_planes
from edgeseg.pixels.planes import Planes
from edgeseg.pixels.resize import resize_rgb
from edgeseg.pixels.upsample import labels_from_logits
from edgeseg.pixels.yuv import resize_planes, rgb_from_planes
from edgeseg.spec import Precision
from edgeseg.synthetic import StreetCamera
from edgeseg.video.writer import i420_from_rgb

MODEL, FRAMES, WARM_UP = "bisenetv2-street", 8, 2
TARGETS_MS = {"upsample+argmax 1024x512": 1.5, "overlay 1920x1080": 4.0, "street frame 1024x512": 1000 / 60}


def logits_and_labels(frames: list[np.ndarray]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The bundled net's logits (C, h, w) of each frame, and the labels at its size."""
    with tempfile.TemporaryDirectory() as folder:
        made = convert(MODEL, engine="onnxruntime", precision=Precision.FP32, out=Path(folder)).engine
        with open_engine("onnxruntime").open(made, RunOptions(threads=1)) as backend:
            logits = [backend.infer({"rgb": rgb[None]})["logits"][0].copy() for rgb in frames]
    return logits, [labels_from_logits(each, frames[0].shape[:2]) for each in logits]


def planes_from_rgb(rgb: np.ndarray) -> Planes:
    """The planes of a decoded frame."""
    height, width = rgb.shape[:2]
    y, u, v = np.split(i420_from_rgb(rgb).ravel(), [height * width, height * width * 5 // 4])
    half = (height // 2, width // 2)
    return Planes("I420", (y.reshape(height, width), u.reshape(half), v.reshape(half)), "bt601", False)


def stages() -> dict[str, Callable[[int], object]]:
    """Stage -> what is timed for frame number n."""
    camera, large = StreetCamera(seed=7), StreetCamera(seed=7, width=1920, height=1080)
    frames = [camera.render(25 * n)[0] for n in range(FRAMES)]
    truths = [camera.render(25 * n)[1] for n in range(FRAMES)]
    logits, labels = logits_and_labels(frames)
    wide = [large.render(25 * n)[0] for n in range(FRAMES)]
    planes = [planes_from_rgb(rgb) for rgb in wide]
    palette = np.random.default_rng(0).integers(0, 256, (11, 3), dtype=np.uint8)
    return {
        "upsample+argmax 1024x512": lambda n: labels_from_logits(logits[n], (512, 1024)),
        "upsample+argmax 1920x1080": lambda n: labels_from_logits(logits[n], (1080, 1920)),
        "overlay 1920x1080": lambda n: overlay_labels(wide[n], labels[n], palette),
        "overlay 1920x1080, YUV": lambda n: overlay_planes(planes[n], labels[n], palette),
        "YUV to RGB 1920x1080": lambda n: rgb_from_planes(planes[n]),
        "resize 1920x1080 to 1024x512": lambda n: resize_rgb(wide[n], (512, 1024)),
        "resize 1920x1080 to 512x256": lambda n: resize_rgb(wide[n], (256, 512)),
        "resize 1920x1080, YUV, to 512x256": lambda n: resize_planes(planes[n], (256, 512)),
        "street frame 1024x512": lambda n: camera.render(25 * n),
        "confusion matrix 1024x512": lambda n: ConfusionMatrix(11).update(labels[n], truths[n]),
    }


def measure(rounds: int) -> Record:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    recorder, meter = LatencyRecorder(), None
    timed = stages()
    for round_number in range(WARM_UP + rounds):
        if round_number == WARM_UP:
            meter = LoadMeter()
            recorder.clear()
        for name, run in timed.items():
            began = recorder.now()
            run(round_number % FRAMES)
            recorder.add(name, (recorder.now() - began) * 1e3)
    found = recorder.summaries()
    rows = [[name, *(f"{value:.2f}" for value in (s.p50_ms, s.p90_ms, s.p99_ms))] for name, s in found.items()]
    return Record(
        name="pixels",
        question="How long does one core need for what lies around the network?",
        how=f"one core, {WARM_UP} rounds first, n = {rounds} a stage, all stages in turn; logits of {MODEL}",
        tables=[Table("One core", ("stage", "p50 ms", "p90 ms", "p99 ms"), rows)],
        verdicts=[
            Verdict(f"at most {most:.1f} ms", f"{name}: p50 {found[name].p50_ms:.2f} ms", found[name].p50_ms <= most)
            for name, most in TARGETS_MS.items()
        ],
        foreign_cores=meter.load().foreign_cores if meter else 0.0,
        data={name: recorder.samples(name) for name in found},
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", "--rounds", type=int, default=100)
    add_output_option(parser)
    options = parser.parse_args()
    return run_main(lambda: publish(measure(options.rounds), options.json_out))


if __name__ == "__main__":
    raise SystemExit(main())
