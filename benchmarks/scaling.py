"""What do 1,000,000 hours of 1080p30 video cost in core hours, storage and network, and where is the bottleneck?

    EDGESEG_DATA=FOLDER python benchmarks/scaling.py [--frames 100] [--rounds 3] [--json-out]

Measures the steps in own CPU ms a frame and in bytes, on the 1080p clip of `make_clip.py` or on `--video`: decoding all
frames and key frames alone, labelling with engines of two input sizes, and each kind of output. Each case is a
process of its own, in turn, with one thread for the engine. The tables multiply: no cluster was run. Hardware decoding
is not measured; its row says what is left for the cores.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from make_clip import make_clip
from record import Record, Table, add_output_option, data_folder, publish, run_child, run_main

from edgeseg.measure.load import LoadMeter

HOURS, FPS, DAYS = 1_000_000, 30, 30
FRAMES = HOURS * 3600 * FPS
CLIP_SECONDS = 12.0  # at 25 fps more than one interval of libx264's key frames
SMALL = "256x192"
DECODE, KEY_FRAMES = "decode", "decode key frames"
LABELS, SMALL_LABELS, NETWORK = "labels", f"labels {SMALL}", "network"
SHARES, RUN_LENGTHS, POLYGONS, PNG, OVERLAY = "class shares", "run lengths", "polygons", "label PNG", "overlay video"
CASES = (DECODE, KEY_FRAMES, LABELS, SMALL_LABELS, NETWORK, SHARES, RUN_LENGTHS, POLYGONS, PNG, OVERLAY)
TITLES = {
    DECODE: "decode every frame",
    KEY_FRAMES: "decode key frames alone, a frame of the video",
    LABELS: "resize, network, labels at 1080p",
    SMALL_LABELS: f"the same with an input of {SMALL}",
    NETWORK: "the network alone",
    SHARES: "class shares, a JSON line",
    RUN_LENGTHS: "run lengths, a JSON line",
    POLYGONS: "run lengths and polygons, a JSON line",
    PNG: "label PNG",
    OVERLAY: "overlay video, rendered and encoded",
}

SINKS = {  # in a folder
    SHARES: "{}/x.jsonl?rle=0",
    RUN_LENGTHS: "{}/x.jsonl",
    POLYGONS: "{}/x.jsonl?polygons=1",
    PNG: "masks:{}/x",
    OVERLAY: "{}/x.mp4",
}


@dataclass(frozen=True)
class Way:
    """One way to process the videos. label, output: cases. per_second: labelled frames; None for key frames."""

    title: str
    decode: str
    label: str
    output: str
    per_second: float | None = FPS


WAYS = (
    Way("every frame, overlay video", DECODE, LABELS, OVERLAY),
    Way("every frame, label PNG", DECODE, LABELS, PNG),
    Way("every frame, run lengths", DECODE, LABELS, RUN_LENGTHS),
    Way("every frame, class shares", DECODE, LABELS, SHARES),
    Way(f"every frame, class shares, input {SMALL}", DECODE, SMALL_LABELS, SHARES),
    Way("1 frame a second, class shares", DECODE, LABELS, SHARES, 1.0),
    Way("key frames alone, class shares", KEY_FRAMES, LABELS, SHARES, None),
    Way("every frame, class shares, decoded by hardware", "", LABELS, SHARES),
    Way("1 frame a second, class shares, decoded by hardware", "", LABELS, SHARES, 1.0),
)


def child(case: str, clip: str, engine: str, count: int) -> None:
    """Run one case here, and print its frames, CPU seconds and bytes."""
    from itertools import islice

    import av
    import cv2
    import numpy as np

    from edgeseg.segmenter import open_segmenter
    from edgeseg.video.result import Result
    from edgeseg.video.source import open_source

    cv2.setNumThreads(1)
    if case in (DECODE, KEY_FRAMES):
        began = time.process_time()
        with av.open(clip) as container:
            video = container.streams.video[0]
            video.codec_context.thread_count = 1
            if case == KEY_FRAMES:
                video.codec_context.skip_frame = "NONKEY"
            decoded = sum(1 for _ in container.decode(video))
        cpu = time.process_time() - began
        with av.open(clip) as container:
            frames = sum(packet.size > 0 for packet in container.demux(video=0))
        print_result(case, frames, cpu, Path(clip).stat().st_size, decoded)
        return
    with open_source(clip) as source, open_segmenter(engine, threads=1) as segmenter:
        frames_of_clip, info = list(islice(source, count)), source.info
        if case == NETWORK:
            fed = np.full((segmenter.spec.input.height, segmenter.spec.input.width, 3), 128, np.uint8)
            cpu = spent([lambda: segmenter.run_engine(fed)] * count)
            print_result(case, count, cpu)
            return
        segmenter.predict(frames_of_clip[0])  # compiles
        predictions: list[Any] = []
        cpu = spent([lambda frame=frame: predictions.append(segmenter.predict(frame)) for frame in frames_of_clip])
    results = [Result(frame, prediction) for frame, prediction in zip(frames_of_clip, predictions)]
    if case in (LABELS, SMALL_LABELS):
        print_result(case, len(results), cpu)
        return
    write_all(case, results[:1], info)  # compiles
    cpu, size = write_all(case, results, info)
    print_result(case, len(results), cpu, size)


def write_all(case: str, results: list[Any], info: Any) -> tuple[float, int]:
    """Write the output of `case` for all results: CPU seconds and bytes."""
    from edgeseg.video.sink import open_sink

    with tempfile.TemporaryDirectory() as folder:
        sink = open_sink(SINKS[case].format(folder), info)
        cpu = spent([*(partial(write_result, sink, result, case) for result in results), sink.close])
        return cpu, sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())


def write_result(sink: Any, result: Any, case: str) -> None:
    """Write the result, rendered where the sink encodes a video."""
    if case == OVERLAY:
        result = replace(result, overlay_planes=result.prediction.render_planes(result.frame.planes()))
    sink.write(result)


def spent(steps: list[Callable[[], object]]) -> float:
    """CPU seconds of this process, all threads, for the steps."""
    began = time.process_time()
    for step in steps:
        step()
    return time.process_time() - began


def print_result(case: str, frames: int, cpu: float, size: int = 0, decoded: int = 0) -> None:
    figures = {"case": case, "frames": frames, "cpu_ms": 1e3 * cpu / frames, "bytes": size / frames}
    print(json.dumps({**figures, "decoded": decoded}))


def measure(options: argparse.Namespace) -> Record:
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        clip = options.video
        if clip is None:
            clip = scratch / "clip.mp4"
            make_clip(data_folder() / "video" / "highway_960x540_25fps_h264.mp4", clip, CLIP_SECONDS)
        engines_folder = options.engines or scratch
        engines = {
            case: engine_file(options, engines_folder, size) for case, size in ((LABELS, None), (SMALL_LABELS, SMALL))
        }
        runs: list[dict[str, Any]] = []
        meter = LoadMeter()
        before = os.times()
        for _ in range(options.rounds):
            for case in CASES:
                engine = engines.get(case, engines[LABELS])
                own = [sys.executable, __file__, "--child", case, "--video", str(clip), "--child-engine", engine]
                runs.append(run_child([*own, "--frames", str(options.frames)], {"OMP_NUM_THREADS": "1"}).json())
                print(f"{case}: {runs[-1]['cpu_ms']:.2f} ms, {runs[-1]['bytes']:.0f} bytes", file=sys.stderr)
        load, after = meter.load(), os.times()
        ours = after.children_user + after.children_system - before.children_user - before.children_system
    return record_from_runs(options, runs, max(0.0, load.foreign_cores - ours / load.wall_seconds))


def engine_file(options: argparse.Namespace, folder: Path, size: str | None) -> str:
    """The engine of this input size in `folder`, converted if it is not there."""
    from edgeseg.opening import open_model
    from edgeseg.spec import Precision, size_from_text

    wanted = None if size is None else size_from_text(size)
    precision = Precision(options.precision)
    with open_model(options.model, engine=options.engine, precision=precision, size=wanted, out=folder) as segmenter:
        return str(segmenter.artifact.path)


def record_from_runs(options: argparse.Namespace, runs: list[dict[str, Any]], foreign_cores: float) -> Record:
    """The tables of `runs`: medians over the rounds, and what follows for FRAMES frames."""
    of_case = {case: [run for run in runs if run["case"] == case] for case in CASES}
    cpu = {case: statistics.median(run["cpu_ms"] for run in each) for case, each in of_case.items()}
    size = {case: statistics.median(run["bytes"] for run in each) for case, each in of_case.items()}
    keys = of_case[KEY_FRAMES][0]
    key_share = keys["decoded"] / keys["frames"]
    steps = [
        [TITLES[case], f"{cpu[case]:.2f}", f"{size[case]:,.0f}" if size[case] else "-", str(of_case[case][0]["frames"])]
        for case in CASES
    ]
    costs, cluster = [], []
    read_tb = FRAMES * size[DECODE] / 1e12
    for way in WAYS:
        share = key_share if way.per_second is None else way.per_second / FPS
        parts = {
            "decoding": cpu[way.decode] if way.decode else 0.0,
            "labels": share * cpu[way.label],
            "output": share * cpu[way.output],
        }
        hours = {part: FRAMES * ms / 3.6e6 for part, ms in parts.items()}
        total, written_tb = sum(hours.values()), FRAMES * share * size[way.output] / 1e12
        thousands = [f"{each / 1e3:,.1f}" for each in (*hours.values(), total)]
        costs.append([way.title, *thousands, max(hours, key=lambda part: hours[part]), f"{written_tb:,.1f}"])
        rates = [8e3 * terabytes / (DAYS * 86400) for terabytes in (read_tb, written_tb)]
        cores = total / (DAYS * 24)
        cluster.append(
            [way.title, f"{cores:,.0f}", *(f"{rate:.2f}" for rate in rates), f"{1e3 * rates[0] / cores:.1f}"]
        )
    return Record(
        name="scaling",
        question="What do 1,000,000 hours of 1080p30 video cost in core hours, storage and network?",
        how=f"{options.model} on {options.engine}, {options.precision}, {options.frames} frames of 1080p H.264 with "
        f"{8 * size[DECODE] * FPS / 1e6:.1f} Mbit/s at {FPS} fps and a key frame each {1 / (key_share * FPS):.1f} s, "
        f"one thread, medians of {options.rounds} rounds; a core is one of this machine; {read_tb:,.0f} TB are read",
        tables=[
            Table("Measured, a frame", ("step", "own CPU ms", "bytes", "frames"), steps),
            Table(
                f"{HOURS:,} hours at {FPS} fps, in 1000 core hours",
                ("way", "decoding", "labels", "output", "all", "largest", "written TB"),
                costs,
            ),
            Table(
                f"A cluster that takes {DAYS} days",
                ("way", "cores", "read Gbit/s", "written Gbit/s", "read Mbit/s a core"),
                cluster,
            ),
        ],
        foreign_cores=foreign_cores,
        data={"runs": runs, "key_share": key_share},
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=100, help="that are labelled and written")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", default="bisenetv2-camvid")
    parser.add_argument("--engine", default="openvino")
    parser.add_argument("--precision", default="int8")
    parser.add_argument("--engines", type=Path, metavar="DIR", help="keep the engines here, and take them from here")
    parser.add_argument("--video", type=Path, help="in place of the 1080p clip of make_clip.py")
    for hidden in ("--child", "--child-engine"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    add_output_option(parser)
    options = parser.parse_args()
    if options.child:
        child(options.child, str(options.video), options.child_engine, options.frames)
        return 0
    return run_main(lambda: publish(measure(options), options.json_out))


if __name__ == "__main__":
    raise SystemExit(main())
