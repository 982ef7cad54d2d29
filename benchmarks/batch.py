"""Do the processes of `edgeseg batch` use the cores fully, and Ray as well?

    python benchmarks/batch.py [--videos 72] [--rounds 3] [--json-out]

Copies of one 640x360 clip of the synthetic street, through a bundled model to overlay videos, in turn, round by
round: one process pinned to each core at the same time (`taskset`, `--processes 1 --shard k/n`), whose frames per
second are summed; the local runner as it is; and Ray where `ray[data]` is installed. Frames per second are those
between the beginning of the first unit and the end of the last one, so that the start of processes does not count; the
measurement of how many pay does, three seconds with one process, and so does the end, where one process waits for the
other's last video.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from record import Record, Table, Verdict, add_output_option, edgeseg_command, publish, run_child, run_main

from edgeseg.batch.job import engine_for_batch
from edgeseg.batch.ray import imported_ray
from edgeseg.errors import EdgeSegError, FormatError
from edgeseg.measure.load import LoadMeter
from edgeseg.spec import Precision
from edgeseg.synthetic import StreetCamera

LOCAL_SHARE, RAY_SHARE = 0.95, 0.9
WIDTH, HEIGHT, FPS = 640, 360, 25


def make_videos(folder: Path, count: int, frames: int) -> None:
    """Copies of one clip: units differ by their paths."""
    folder.mkdir()
    first = folder / "drive-000.mp4"
    camera = StreetCamera(1, WIDTH, HEIGHT)
    with av.open(str(first), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for index in range(frames):
            image = av.VideoFrame.from_ndarray(camera.render(index)[0], format="rgb24")
            image.pts, image.time_base = index, Fraction(1, FPS)
            container.mux(stream.encode(image))
        container.mux(stream.encode())
    for number in range(1, count):
        shutil.copy(first, folder / f"drive-{number:03d}.mp4")


def batch_command(engine: Path, videos: Path, out: Path, *words: str) -> list[str]:
    return edgeseg_command("batch", videos, engine, "-o", out, "--json", *words)


def pinned(engine: Path, videos: Path, folder: Path) -> float:
    """The summed frames per second of one process on each core, at the same time."""
    cores = sorted(os.sched_getaffinity(0))
    processes = []
    for number, core in enumerate(cores, 1):
        words = ("--processes", "1", "--shard", f"{number}/{len(cores)}")
        command = ["taskset", "-c", str(core), *batch_command(engine, videos, folder / f"pinned-{core}", *words)]
        processes.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL))
    return sum(checked_fps(json.loads(process.communicate()[0])) for process in processes)


def checked_fps(summary: dict[str, Any]) -> float:
    """The frames per second of a batch. FormatError where a unit failed: the figure would be another one."""
    if summary.get("failed") or summary.get("open") or not summary.get("frames"):
        raise FormatError(f"the batch did not do its units: {summary}", hint="run it alone: edgeseg batch")
    return float(summary["fps"])


def measured(options: argparse.Namespace, folder: Path, has_ray: bool) -> tuple[dict[str, list[float]], Any]:
    """Frames per second of each way, by round, and the summary of the last local run."""
    make_videos(folder / "in", options.videos, options.frames)
    engine = engine_for_batch(options.model, precision=Precision.INT8, folder=folder / "engines").path
    summary: dict[str, Any] = {}

    def local(*words: str) -> float:
        out = folder / "out"
        summary.update(run_child(batch_command(engine, folder / "in", out, *words)).json())
        shutil.rmtree(out)
        return checked_fps(summary)

    def one_on_each_core() -> float:
        fps = pinned(engine, folder / "in", folder)
        for path in folder.glob("pinned-*"):
            shutil.rmtree(path)
        return fps

    ways: dict[str, Callable[[], float]] = {"pinned": one_on_each_core}
    if has_ray:
        ways["ray"] = lambda: local("--ray", "local")
    ways["local"] = local
    rates: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(options.rounds):
        for way, run in ways.items():
            rates[way].append(run())
            print(f"{way}: {rates[way][-1]:.1f} frames/s", file=sys.stderr)
    return rates, summary


def speed(options: argparse.Namespace, record: Record, has_ray: bool) -> None:
    """Add the table of frames per second."""
    with tempfile.TemporaryDirectory() as folder:
        rates, summary = measured(options, Path(folder), has_ray)
    shares = {way: [a / b for a, b in zip(rates[way], rates["pinned"])] for way in rates}
    of_local = [a / b for a, b in zip(rates.get("ray", []), rates["local"])]
    rows = [
        [way, f"{statistics.median(values):.1f}", f"{statistics.median(shares[way]):.3f}", f"{min(shares[way]):.3f}"]
        for way, values in rates.items()
    ]
    clips = f"{options.videos} videos of {options.frames} frames, {WIDTH}x{HEIGHT}"
    title = f"{clips}, {Path(options.model).name}, INT8, overlay.mp4"
    record.tables.append(Table(title, ["way", "frames/s", "share of pinned", "least"], rows))
    share = statistics.median(shares["local"])
    text = f"local: {share:.3f} of one pinned process on each core; {summary['processes']} processes"
    record.verdicts.append(Verdict(f"at least {LOCAL_SHARE}", text, share >= LOCAL_SHARE))
    if of_local:
        share = statistics.median(of_local)
        record.verdicts.append(Verdict(f"at least {RAY_SHARE}", f"Ray: {share:.3f} of local", share >= RAY_SHARE))
    record.data["frames_per_second"] = rates


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="bisenetv2-camvid", help="a bundled name, or an INT8 engine file")
    parser.add_argument("--videos", type=int, default=72)
    parser.add_argument("--frames", type=int, default=100, help="of each video")
    parser.add_argument("--rounds", type=int, default=3)
    add_output_option(parser)
    options = parser.parse_args()
    meter = LoadMeter()
    record = Record(
        "batch",
        "Do the processes of a batch use the cores fully, and Ray as well?",
        f"{options.rounds} rounds, the ways in turn; medians of the ratios by round. Ray: {ray_text()}.",
    )
    speed(options, record, has_ray=not ray_text().startswith("not"))
    record.data["foreign_cores"] = meter.load().foreign_cores  # with our own children
    publish(record, options.json_out)


def ray_text() -> str:
    """The version of Ray, or that there is none."""
    try:
        return str(imported_ray().__version__)
    except EdgeSegError:
        return "not installed, not measured"


if __name__ == "__main__":
    raise SystemExit(run_main(main))
