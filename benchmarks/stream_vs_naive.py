"""File to overlay file at 1080p: how many times the frame rate of the usual loop does `edgeseg stream` have?

    EDGESEG_DATA=... python benchmarks/stream_vs_naive.py [--seconds 30] [--rounds 3] [--json-out]
    python benchmarks/stream_vs_naive.py --clip clip.mp4 [--precision bf16] [--images CALIBRATION_FOLDER]

Runs `benchmarks/peers/edgeseg_stream.py` and `benchmarks/peers/naive.py` in turn, each in a process of its own, on the
clip that `benchmarks/make_clip.py` makes unless one is named. The precision is that which `edgeseg convert`
measures to pay here. Decode to encode, nothing is left out but loading; both
label every pixel of the 1080p frame.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from record import (
    FOLDER,
    Record,
    Table,
    Verdict,
    add_output_option,
    data_folder,
    edgeseg_command,
    publish,
    run_child,
    run_main,
)

from edgeseg.files import existing_file

TARGET = 3.0
PEERS = ("edgeseg", "naive")


def clip_of(options: argparse.Namespace, scratch: Path) -> Path:
    if options.clip:
        return existing_file(options.clip)
    data_folder()
    clip = scratch / "clip_1080p.mp4"
    run_child([sys.executable, FOLDER / "make_clip.py", clip, "--seconds", str(options.seconds)])
    return clip


def converted(options: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """What `edgeseg convert` says about the engine and the float ONNX that it left in `scratch`."""
    command = edgeseg_command("convert", options.model, "--size", options.size, "-o", scratch, "--json")
    for flag in ("precision", "images"):
        if value := getattr(options, flag):
            command += [f"--{flag}", str(value)]
    return run_child(command).json()


def measure(options: argparse.Namespace) -> Record:
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        clip, made = clip_of(options, scratch), converted(options, scratch)
        peers, videos = FOLDER / "peers", {peer: scratch / f"{peer}.mp4" for peer in PEERS}
        commands = {
            "edgeseg": (peers / "edgeseg_stream.py", clip, videos["edgeseg"], "--engine", made["engine"]),
            "naive": (peers / "naive.py", clip, videos["naive"], "--onnx", made["onnx"]),
        }
        runs: dict[str, list[dict[str, Any]]] = {peer: [] for peer in PEERS}
        for _ in range(options.rounds):
            for peer in PEERS:
                runs[peer].append(run_child([sys.executable, *commands[peer]]).json())
    return record_from_runs(options, made, runs)


def record_from_runs(
    options: argparse.Namespace, made: dict[str, Any], runs: dict[str, list[dict[str, Any]]]
) -> Record:
    ratios = [ours["fps"] / theirs["fps"] for ours, theirs in zip(runs["edgeseg"], runs["naive"])]
    ratio = statistics.median(ratios)
    frames = {run["frames"] for peer in PEERS for run in runs[peer]}
    count = "/".join(str(number) for number in sorted(frames))
    return Record(
        name="stream_vs_naive",
        question="How many times the frame rate of the usual loop, from a 1080p file to an overlay file?",
        how=f"{options.model} at {options.size}, {made['runtime']} {made['precision']} against ONNX Runtime fp32; "
        f"{options.rounds} rounds in turn, n = {count} frames each, all cores, one warm-up inference; "
        "both label every pixel of the frame",
        tables=[
            Table(
                "One row a run, in the order of the runs",
                ("round", "loop", "frames/s", "frame p50 ms", "p90", "p99", "own CPU ms a frame", "foreign cores"),
                [row_from_run(index, peer, runs[peer][index]) for index in range(options.rounds) for peer in PEERS],
            )
        ],
        verdicts=[
            Verdict(f"at least {TARGET:g} times the frame rate", f"median ratio {ratio:.2f}", ratio >= TARGET),
            Verdict("equally many frames", f"frames: {count}", len(frames) == 1),
        ],
        foreign_cores=max(run["foreign_cores"] for peer in PEERS for run in runs[peer]),
        data={"ratios": ratios, "runs": runs},
    )


def row_from_run(index: int, peer: str, run: dict[str, Any]) -> list[str]:
    frame = run["frame_ms"]
    figures = [run["fps"], frame["p50_ms"], frame["p90_ms"], frame["p99_ms"], run["cpu_ms_per_frame"]]
    return [str(index + 1), peer, *(f"{figure:.1f}" for figure in figures), f"{run['foreign_cores']:.2f}"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clip", type=Path, help="a video; made unless given, which needs EDGESEG_DATA")
    parser.add_argument("--seconds", type=float, default=30.0, help="of the clip that is made")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", default="bisenetv2-street")
    parser.add_argument("--size", default="1024x512")
    parser.add_argument("--precision", help="fp32, bf16 or int8")
    parser.add_argument("--images", type=Path, help="a folder to calibrate int8 on")
    add_output_option(parser)
    options = parser.parse_args()
    return run_main(lambda: publish(measure(options), options.json_out))


if __name__ == "__main__":
    raise SystemExit(main())
