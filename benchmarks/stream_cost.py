"""What does the pipeline cost beyond decoding, inference and encoding, in own CPU milliseconds a frame?

    python benchmarks/stream_cost.py [--seconds 10] [--rounds 3] [--json-out]

Each case runs in a process of its own, in turn, on one 1080p clip: the parts alone (decode, infer, encode), a stream
from the file to nothing and to a video, from a real RTSP server to nothing, and two and four streams from that server
through one engine. CPU time is that of the process and of its reader processes; the engine has one thread, for threads
that wait would count, too. Each case divides by the frames that it processed. Resizing, upsampling and argmax belong to
the pipeline here, and "encode" encodes the very overlays. The engine is int8: what is asked is the difference of large
figures, and a slower engine's own variation would hide it.
Needs `make system-deps` for the RTSP server.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

from record import FOLDER, Record, Table, Verdict, add_output_option, edgeseg_command, publish, run_child, run_main

sys.path.insert(0, str(FOLDER.parent / "tests"))
from numbered_clip import make_numbered_clip
from rtsp_server import RtspServer, missing_gstreamer

from edgeseg.errors import UnavailableError
from edgeseg.measure.load import LoadMeter

FPS = 15  # slow enough for one core to process every frame of four live streams
FILE_MS, NULL_MS, LIVE_MS, FURTHER_MS = 6.0, 4.0, 3.0, 3.0
PARTS = ("decode", "engine", "encode")
CASES = (*PARTS, "file to null", "file to mp4", "rtsp to null", "2 x rtsp to null", "4 x rtsp to null")


def child(case: str, clip: str, url: str, engine: str, seconds: float) -> None:
    """Run one case here, and print its frames and CPU seconds."""
    import av
    import cv2

    from edgeseg.live.runner import LiveRunner
    from edgeseg.live.stream import StreamConfig
    from edgeseg.pixels.resize import resize_rgb
    from edgeseg.segmenter import open_segmenter
    from edgeseg.streaming import stream
    from edgeseg.video.encoder import OPTIONS
    from edgeseg.video.sink import open_sink
    from edgeseg.video.source import open_source
    from edgeseg.video.writer import i420_from_rgb

    cv2.setNumThreads(1)
    segmenter = open_segmenter(engine, threads=1)
    feed = next(iter(open_source(clip))).rgb()
    segmenter.segment(feed)

    def decode() -> int:
        with av.open(clip) as container:
            container.streams.video[0].thread_type = "AUTO"
            return sum(1 for _ in container.decode(video=0))

    def infer() -> int:
        side = (segmenter.spec.input.height, segmenter.spec.input.width)
        small = resize_rgb(feed, side)[None]
        name = segmenter._backend.inputs[0].name
        for _ in range(round(seconds * FPS)):
            segmenter._backend.infer({name: small})
        return round(seconds * FPS)

    def encode() -> int:
        rgbs = [frame.rgb() for frame in open_source(clip)]
        overlays = [segmenter.segment(rgb).render(rgb) for rgb in rgbs]  # what the sink encodes
        images = [av.VideoFrame.from_ndarray(i420_from_rgb(overlay), format="yuv420p") for overlay in overlays]
        with tempfile.TemporaryDirectory() as folder, av.open(str(Path(folder) / "out.mp4"), "w") as output:
            began = cpu_seconds()
            target = output.add_stream("libx264", rate=FPS, options=OPTIONS["libx264"])
            target.width, target.height, target.pix_fmt = images[0].width, images[0].height, "yuv420p"
            target.codec_context.gop_size = FPS
            for number, image in enumerate(images):
                image.pts, image.time_base = number, Fraction(1, FPS)
                output.mux(target.encode(image))
            output.mux(target.encode())
            spent["cpu"] = cpu_seconds() - began
        return len(images)

    def file(output: str) -> int:
        with (
            tempfile.TemporaryDirectory() as folder,
            open_source(clip) as source,
            open_sink(output.format(folder=folder), source.info) as sink,
        ):
            return stream(source, segmenter, sink).frames

    def live(count: int) -> int:
        configs = [StreamConfig(f"s{n}", open_source(url), lambda info: [open_sink("null")]) for n in range(count)]
        stop = threading.Event()
        runner = LiveRunner(configs, segmenter, stop=stop)
        began: list[float] = []
        results = runner.results()
        frames = 0
        for _ in results:  # from when all are live: connecting is not what is asked
            if not began and all(status.frames >= 2 for status in runner.statuses()):
                began += [cpu_seconds(), time.monotonic()]
            elif began:
                frames += 1
                if time.monotonic() - began[1] > seconds:
                    break
        spent["cpu"] = cpu_seconds() - began[0]
        results.close()
        return frames

    spent: dict[str, float] = {}
    cases: dict[str, Callable[[], int]] = {
        "decode": decode,
        "engine": infer,
        "encode": encode,
        "file to null": lambda: file("null"),
        "file to mp4": lambda: file("{folder}/out.mp4"),
        "rtsp to null": lambda: live(1),
        "2 x rtsp to null": lambda: live(2),
        "4 x rtsp to null": lambda: live(4),
    }
    began = cpu_seconds()
    frames = cases[case]()
    cpu = spent.get("cpu", cpu_seconds() - began)
    print(json.dumps({"case": case, "frames": frames, "cpu_ms_per_frame": 1e3 * cpu / frames}))


def cpu_seconds() -> float:
    """CPU time of this process and of its living children: the readers."""
    import psutil

    total = 0.0
    for process in (psutil.Process(), *psutil.Process().children(recursive=True)):
        times = process.cpu_times()
        total += times.user + times.system
    return total


def measure(options: argparse.Namespace) -> Record:
    if missing := missing_gstreamer():
        raise UnavailableError(missing, hint="make system-deps")
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        frames = round(options.seconds * FPS)
        clip = make_numbered_clip(scratch, frames=frames, fps=FPS, size=(1080, 1920))
        made = run_child(
            edgeseg_command(
                "convert", options.model, "--size", "512x256", "--precision", "int8", "-o", scratch, "--json"
            )
        ).json()
        runs: list[dict[str, Any]] = []
        meter = LoadMeter(children=True)
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        with RtspServer(clip) as server:
            for _ in range(options.rounds):
                for case in CASES:
                    command = [
                        sys.executable,
                        Path(__file__),
                        "--child",
                        case,
                        "--clip",
                        clip.video,
                        "--url",
                        server.url,
                    ]
                    command += ["--engine", made["engine"], "--seconds", str(options.seconds)]
                    runs.append(run_child(command, environment).json())
                    print(f"{case}: {runs[-1]['cpu_ms_per_frame']:.2f} ms", file=sys.stderr)
    return record_from_runs(options, runs, meter.load().foreign_cores)


def record_from_runs(options: argparse.Namespace, runs: list[dict[str, Any]], foreign_cores: float) -> Record:
    medians = {
        case: statistics.median(run["cpu_ms_per_frame"] for run in runs if run["case"] == case) for case in CASES
    }
    parts = medians["decode"] + medians["engine"]
    null, video = medians["file to null"] - parts, medians["file to mp4"] - parts - medians["encode"]
    live = medians["rtsp to null"] - medians["file to null"]
    further = [medians[f"{count} x rtsp to null"] - medians["rtsp to null"] for count in (2, 4)]
    rows = [[case, f"{ms:.2f}", str(min(run["frames"] for run in runs if run["case"] == case))]
            for case, ms in medians.items()]  # fmt: skip
    return Record(
        name="stream_cost",
        question="What does the pipeline cost beyond decoding, inference and encoding, in own CPU ms a frame?",
        how=f"{options.model} at 512x256 int8, 1080p H.264 at {FPS} fps, {options.rounds} rounds in turn, one thread "
        "for the engine; medians of the rounds",
        tables=[Table("One row a case", ("case", "own CPU ms a frame", "frames"), rows)],
        verdicts=[
            Verdict(f"null sink: at most {NULL_MS:g} ms beyond decode and engine", f"{null:.2f} ms", null <= NULL_MS),
            Verdict(
                f"video: at most {FILE_MS:g} ms beyond decode, engine and encode", f"{video:.2f} ms", video <= FILE_MS
            ),
            Verdict(f"RTSP: at most {LIVE_MS:g} ms more than the file", f"{live:.2f} ms", live <= LIVE_MS),
            Verdict(
                f"each further stream: at most {FURTHER_MS:g} ms a frame more",
                ", ".join(f"{ms:.2f} ms" for ms in further),
                max(further) <= FURTHER_MS,
            ),
        ],
        foreign_cores=foreign_cores,
        data={"runs": runs},
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0, help="of the clip, and of each live case")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", default="bisenetv2-street")
    for hidden in ("--child", "--clip", "--url", "--engine"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    add_output_option(parser)
    options = parser.parse_args()
    if options.child:
        child(options.child, options.clip, options.url, options.engine, options.seconds)
        return 0
    return run_main(lambda: publish(measure(options), options.json_out))


if __name__ == "__main__":
    raise SystemExit(main())
