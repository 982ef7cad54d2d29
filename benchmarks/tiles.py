"""How long do tiles take, and how much memory? And a window for every pixel?

    EDGESEG_DATA=FOLDER python benchmarks/tiles.py [--engine openvino] [--precision int8] [--frames 5] [--json-out]

Converts the bundled net `--model` at 1024x512, and segments frames of the synthetic street of several sizes, and the
first frame of `video/hevc_4k.mkv` of the data folder if that is set. Each size and way is a process of its own, whose
largest resident size is the figure: Python, the libraries and the engine are in it. The windows are 128x128 pixels.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from record import DATA, Record, Table, Verdict, add_output_option, data_folder, publish, run_child, run_main

from edgeseg.measure.load import LoadMeter
from edgeseg.measure.memory import high_water_mib
from edgeseg.spec import Precision, size_from_text

SIZES = ("2000x1500", "3840x2160", "8000x6000")
WAYS = ("off", "centre", "hann")
TILE, WINDOW, STEP = (1024, 512), (128, 128), 32
WINDOWS_OF = "3840x2160"
MORE_MIB = 64  # of a frame in tiles than of the same frame resized


def prepare(options: argparse.Namespace) -> None:
    """Make engines and frames in the folder."""
    import numpy as np

    from edgeseg.conversion import convert
    from edgeseg.synthetic import StreetCamera
    from edgeseg.video.source import open_source

    folder, frames, engines = options.prepare, {}, []
    for size in (TILE, WINDOW):
        made = convert(
            options.model,
            engine=options.engine,
            precision=Precision(options.precision),
            size=size,
            out=folder,
            force=True,
        )
        engines.append(str(made.engine.path))
    for size in SIZES:
        width, height = size_from_text(size)
        frames[size] = StreetCamera(seed=7, width=width, height=height).render(0)[0]
    if os.environ.get(DATA):
        with open_source(str(data_folder() / "video" / "hevc_4k.mkv")) as source:
            rgb = next(iter(source)).rgb()
        frames[f"hevc_4k.mkv, {rgb.shape[1]}x{rgb.shape[0]}"] = rgb
    for number, rgb in enumerate(frames.values()):
        np.save(folder / f"{number}.npy", rgb)
    files = {name: str(folder / f"{number}.npy") for number, name in enumerate(frames)}
    print(json.dumps({"engines": engines, "frames": files}))


def measure_one(engine: Path, frame: Path, way: str, count: int) -> None:
    """In a process of its own: segment the frame, and print the figures as JSON."""
    import numpy as np

    from edgeseg.segmenter import open_segmenter

    with open_segmenter(engine, tiles=way) as segmenter:
        rgb = np.load(frame)
        segmenter.segment(rgb)
        segmenter.clear_latency()
        began = time.process_time()
        for _ in range(count):
            labels = segmenter.segment(rgb).labels
        cpu_ms = 1e3 * (time.process_time() - began) / count
        stages = {stage: summary.p50_ms for stage, summary in segmenter.latency().items()}
        tiles = segmenter.tile_count((rgb.shape[0], rgb.shape[1]))
    peak_mib = high_water_mib()
    own_mib = (rgb.nbytes + labels.nbytes) / 2**20
    figures = {"tiles": tiles, "p50_ms": stages, "cpu_ms": cpu_ms, "peak_mib": peak_mib, "own_mib": own_mib}
    print(json.dumps(figures))


def measure_windows(engine: Path, frame: Path) -> None:
    """In a process of its own: classify some pixels of the frame by the window around each, and print the cost."""
    import numpy as np
    from sliding_window import classify

    import edgeseg

    rgb = np.load(frame)
    with edgeseg.open(engine) as segmenter:
        began, cpu_began = time.perf_counter(), time.process_time()
        count = classify(segmenter, rgb[: 8 * STEP, : 16 * STEP], STEP).size
        milliseconds, cpu_ms = 1e3 * (time.perf_counter() - began), 1e3 * (time.process_time() - cpu_began)
    print(json.dumps({"pixels": rgb.shape[0] * rgb.shape[1], "ms": milliseconds / count, "cpu_ms": cpu_ms / count}))


def measure(options: argparse.Namespace) -> Record:
    meter, rows = LoadMeter(children=True), []
    data: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        own = [sys.executable, __file__, "--model", options.model, "--engine", options.engine]
        own += ["--precision", options.precision, "--frames", str(options.frames)]
        made = run_child([*own, "--prepare", folder]).json()
        engine, window_engine = made["engines"]
        for name, frame in made["frames"].items():
            for way in WAYS:
                one = run_child([*own, "--one", engine, frame, way]).json()
                data[f"{name} {way}"] = one
                times, tiles = one["p50_ms"], one["tiles"]
                around = times["upsample"] + times["resize"]
                rows.append(
                    [name, way, str(tiles), *(f"{ms:.0f}" for ms in (times["total"], times["infer"], around)),
                     f"{one['cpu_ms'] / tiles:.0f}", f"{one['peak_mib']:.0f}", f"{one['own_mib']:.0f}"]
                )  # fmt: skip
        windows = run_child([*own, "--windows", window_engine, made["frames"][WINDOWS_OF]]).json()
    data["windows"] = windows
    hours = windows["cpu_ms"] * windows["pixels"] / 3.6e6
    window = [WINDOWS_OF, f"{WINDOW[0]}x{WINDOW[1]}", str(windows["pixels"])]
    window += [f"{windows['ms']:.1f}", f"{windows['cpu_ms']:.1f}", f"{hours:.1f}"]
    largest = SIZES[-1]
    more_mib = data[f"{largest} hann"]["peak_mib"] - data[f"{largest} off"]["peak_mib"]
    columns = (
        "frame", "tiles", "count", "p50 ms", "network ms", "cut, stitch ms", "CPU ms a tile", "peak MiB", "frame MiB"
    )  # fmt: skip
    return Record(
        name="tiles",
        question="How long do tiles take, and how much memory? And a window for every pixel?",
        how=f"{options.model}, {options.precision}, on {options.engine}, tiles of {TILE[0]}x{TILE[1]}, overlap 1/4; "
        f"n = {options.frames} after one; a process for each row; frame MiB: rgb and labels, a part of the peak",
        tables=[
            Table("Frames in tiles", columns, rows),
            Table(
                "A window for every pixel",
                ("frame", "window", "windows", "ms each", "CPU ms each", "CPU hours"),
                [window],
            ),
        ],
        verdicts=[
            Verdict(
                f"at most {MORE_MIB} MiB more memory than for the resized frame",
                f"{more_mib:.0f} MiB more at {largest}",
                more_mib <= MORE_MIB,
            )
        ],
        foreign_cores=meter.load().foreign_cores,
        data=data,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="bisenetv2-street")
    parser.add_argument("--engine", default="openvino")
    parser.add_argument("--precision", default="int8")
    parser.add_argument("--frames", type=int, default=5, help="timed, of each size and way")
    parser.add_argument("--prepare", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--windows", nargs=2, type=Path, help=argparse.SUPPRESS)
    add_output_option(parser)
    options = parser.parse_args()
    if options.prepare:
        return run_main(lambda: prepare(options))
    if options.one:
        engine, frame, way = options.one
        return run_main(lambda: measure_one(Path(engine), Path(frame), way, options.frames))
    if options.windows:
        return run_main(lambda: measure_windows(*options.windows))
    return run_main(lambda: publish(measure(options), options.json_out))


if __name__ == "__main__":
    raise SystemExit(main())
