"""How much memory does calibration take at 2048x1024, and does it grow with the number of images?

    python benchmarks/calibration_memory.py [--images 3 12] [--size 2048x1024] [--variant base] [--json-out]
    python benchmarks/calibration_memory.py --images 500        a quarter of an hour of CPU time

Exports a BiSeNetV2 with He weights (no trained weights are needed: memory does not depend on them), then runs
`edgeseg calibrate` on pictures of the street camera, each number of images in a process of its own. The figure is that
process's largest resident size, so Python, the libraries and the pictures are in it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from record import Child, Record, Table, Verdict, add_output_option, edgeseg_command, publish, run_child, run_main

from edgeseg.measure.load import LoadMeter
from edgeseg.spec import InputSpec, ModelSpec, size_from_text

LIMIT_MIB = 1.5e9 / 2**20
GROWTH_MIB = 32  # between two numbers of images: less than 6 pictures of 2048x1024


def export(path: Path, variant: str, size: tuple[int, int]) -> None:
    """Write the ONNX to `path`. In a process of its own: a child's largest size begins with that of its parent."""
    import torch

    from edgeseg.datasets.labels import CITYSCAPES_LABELS
    from edgeseg.export.onnx import onnx_from_module
    from edgeseg.models import open_family

    spec = ModelSpec("he", InputSpec(*size), CITYSCAPES_LABELS, family="bisenetv2", variant=variant)
    torch.manual_seed(0)
    network = open_family("bisenetv2").build(spec)
    for layer in network.modules():
        if isinstance(layer, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    onnx_from_module(network.eval(), spec, path)


def measure(options: argparse.Namespace) -> Record:
    meter = LoadMeter()
    own_seconds = 0.0
    runs: dict[int, Child] = {}
    with tempfile.TemporaryDirectory() as folder:
        onnx = Path(folder) / "he.onnx"
        words = [sys.executable, __file__, "--export", onnx, "--variant", options.variant, "--size", options.size]
        own_seconds += run_child(words).cpu_seconds
        for images in options.images:
            uri = f"street:?seed=1&frames={images}&size={options.size}"
            runs[images] = run_child(edgeseg_command("calibrate", onnx, "--images", uri, "--limit", images, "--json"))
            assert runs[images].json()["images"] == images
            own_seconds += runs[images].cpu_seconds
    record = record_from_runs(options, runs)
    load = meter.load()
    record.foreign_cores = max(0.0, load.foreign_cores - own_seconds / load.wall_seconds)
    return record


def record_from_runs(options: argparse.Namespace, runs: dict[int, Child]) -> Record:
    rows = [
        [str(images), f"{run.peak_mib:.0f}", f"{run.cpu_seconds / images:.2f}", f"{run.wall_seconds / images:.2f}"]
        for images, run in runs.items()
    ]
    peaks = [run.peak_mib for run in runs.values()]
    peak, growth = max(peaks), peaks[-1] - peaks[0]
    verdicts = [Verdict("peak under 1.5 GB", f"{peak * 2**20 / 1e9:.2f} GB", peak < LIMIT_MIB)]
    if len(runs) > 1:
        first, last = min(runs), max(runs)
        found = f"{growth:+.0f} MiB from {first} to {last} images"
        verdicts.append(Verdict(f"it grows by less than {GROWTH_MIB} MiB", found, growth < GROWTH_MIB))
    columns = ["images", "peak MiB", "own CPU s an image", "wall s an image"]
    title = f"`edgeseg calibrate`, BiSeNetV2 {options.variant} at {options.size}"
    return Record(
        name="calibration_memory",
        question="How much memory does calibration take, and does it grow with the number of images?",
        how="largest resident size of each process (wait4); all cores; the seconds include the start and the drawing",
        tables=[Table(title, columns, rows)],
        verdicts=verdicts,
        data={
            str(images): {"peak_mib": run.peak_mib, "cpu_seconds": run.cpu_seconds, "wall_seconds": run.wall_seconds}
            for images, run in runs.items()
        },
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, nargs="+", default=[3, 12], help="numbers of images, the smallest first")
    parser.add_argument("--size", default="2048x1024")
    parser.add_argument("--variant", default="base", help="of BiSeNetV2")
    parser.add_argument("--export", type=Path, help=argparse.SUPPRESS)
    add_output_option(parser)
    options = parser.parse_args()
    if options.export:
        return run_main(lambda: export(options.export, options.variant, size_from_text(options.size)))
    return run_main(lambda: publish(measure(options), options.json_out))


if __name__ == "__main__":
    raise SystemExit(main())
