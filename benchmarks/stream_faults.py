"""Does a live stream survive its camera and its network, where the usual loop does not?

    python benchmarks/stream_faults.py [--only kill udp-loss] [--max-age 1] [--reconnects 200] [--json-out]

A real RTSP server (GStreamer's, in a process of its own) sends frames that show their number. `open_source` and the
usual loop with `cv2.VideoCapture` read it at the same time, each in a process of its own, while the server is killed,
frozen or restarted and a proxy loses, damages, delays or cuts its packets. Each frame that is handed on is compared
with the same frame decoded from its file, and its age is counted from the moment when the server sent it.
Needs `make system-deps`; the name server's fault needs root.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from record import FOLDER, Record, Table, Verdict, add_output_option, publish, run_main

sys.path.insert(0, str(FOLDER.parent / "tests"))
from live_bed.cases import CASES, Bed
from live_bed.outcome import Outcome
from rtsp_server import missing_gstreamer

from edgeseg.errors import UnavailableError
from edgeseg.measure.load import LoadMeter

COLUMNS = (
    "fault",
    "live again after s",
    "limit s",
    "oldest frame s",
    "frames fed",
    "damaged",
    "left behind",
    "OpenCV's loop",
)
TARGET = "live again in time, no frame over the age limit, none damaged, nothing left behind"


def measure(options: argparse.Namespace) -> Record:
    if missing := missing_gstreamer():
        raise UnavailableError(missing, hint="make system-deps")
    meter, outcomes = LoadMeter(children=True), []
    with tempfile.TemporaryDirectory() as folder:
        bed = Bed(Path(folder), opencv=not options.no_opencv, seconds=options.seconds, reconnects=options.reconnects)
        for name in options.only or CASES:
            outcome = run_case(name, bed)
            outcomes.append(outcome)
            states = ", ".join(outcome.failures) or outcome.skipped or "met"
            print(f"{name}: {' | '.join(outcome.cells())}: {states}", file=sys.stderr, flush=True)
    return record_from_outcomes(outcomes, meter.load().foreign_cores)


def run_case(name: str, bed: Bed) -> Outcome:
    """The outcome of a case; where the case itself fails, so does its row."""
    try:
        outcome = CASES[name](bed)
    except Exception as problem:  # the other cases go on
        outcome = Outcome(failures=[f"{type(problem).__name__}: {problem}"])
    outcome.case, outcome.fault = name, CASES[name].__doc__ or name
    return outcome


def record_from_outcomes(outcomes: list[Outcome], foreign_cores: float) -> Record:
    return Record(
        name="stream_faults",
        question="Does a live stream survive its camera and its network, where the usual loop does not?",
        how="One camera of 15 frames/s at 640x360, H.264 with a keyframe a second; both clients at the same time; "
        "frames older than 1 s are not to be fed; the limit is twice the wait that was announced last before the "
        "repair, at least 5 s (connect, probe, keyframe) and at most 35 s; the age is from the moment of sending; each "
        "fault once (n = 1) unless it says otherwise",
        tables=[Table("Faults", COLUMNS, [outcome.cells() for outcome in outcomes])],
        verdicts=[
            Verdict(TARGET, f"{outcome.case}: {', '.join(outcome.failures) or 'all of it'}", not outcome.failures)
            for outcome in outcomes
            if not outcome.skipped
        ],
        foreign_cores=foreign_cores,
        data={
            "cases": {outcome.case: {**outcome.data, "states": outcome.states} for outcome in outcomes},
        },
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=CASES, metavar="CASE", help=f"of {', '.join(CASES)}")
    parser.add_argument("--seconds", type=float, default=30.0, help="of a lossy network")
    parser.add_argument("--reconnects", type=int, default=200)
    parser.add_argument("--no-opencv", action="store_true", help="leave out the usual loop")
    add_output_option(parser)
    options = parser.parse_args()
    return run_main(lambda: publish(measure(options), options.json_out))


if __name__ == "__main__":
    raise SystemExit(main())
