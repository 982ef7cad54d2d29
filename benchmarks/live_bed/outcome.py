"""What a client made of a fault: the figures of one row of the table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from live_bed.client import Client, true_ages

MOST_SECONDS = 35.0
LEAST_SECONDS = 5.0  # to connect, probe and wait for a keyframe, however short the back-off
AGE_TOLERANCE = 0.1  # seconds: what the clock of the capture cannot know, and the way from the reader to the record
STALL_SECONDS = 10.0
SILENCE_SECONDS = 5.0


@dataclass
class Outcome:
    """One row.

    fault, note: what was done; the note is of this run. live_seconds: from the repair to the first clean frame; None
    where there was none. failures: what was to be reached and was not.
    """

    case: str = ""
    fault: str = ""
    note: str = ""
    live_seconds: float | None = None
    limit_seconds: float | None = None
    frames: int = 0
    damaged: int = 0
    worst_difference: float = 0.0
    max_age: float | None = None
    states: list[str] = field(default_factory=list)
    left: str = ""
    opencv: str = ""
    skipped: str = ""
    failures: list[str] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)

    def cells(self) -> list[str]:
        if self.skipped:
            return [self.fault + self.note, f"skipped: {self.skipped}", *[""] * 6]
        live = "never" if self.live_seconds is None else f"{self.live_seconds:.1f}"
        return [
            self.fault + self.note,
            live if self.limit_seconds is not None else "-",
            "-" if self.limit_seconds is None else f"{self.limit_seconds:.0f}",
            "-" if self.max_age is None else f"{self.max_age:.2f}",
            str(self.frames),
            str(self.damaged),
            self.left,
            self.opencv or "-",
        ]


def interval_in_force(client: Client, restored_at: float) -> float:
    """The wait that the last failure before `restored_at` announced; the time of a stall where there was none."""
    announced = [
        event["retry_seconds"] for event in client.events if "retry_seconds" in event and event["at"] < restored_at
    ]
    return announced[-1] if announced else STALL_SECONDS


def outcome_of(
    client: Client,
    sent: Sequence[tuple[int, float]],
    *,
    began_at: float,
    restored_at: float | None = None,
    max_age: float = 1.0,
    allow_seconds: float | None = None,
) -> Outcome:
    """The outcome after `client.finish()`. restored_at: when the fault was over; None: it is never over."""
    outcome = Outcome()
    frames = list(client.frames)
    outcome.frames = len(frames)
    damaged = [frame for frame in frames if frame["difference"]]
    outcome.damaged = len(damaged)
    outcome.worst_difference = max((frame["difference"] for frame in damaged), default=0.0)
    clean = [frame for frame in frames if not frame["difference"]]  # the number of a damaged one may be wrong
    ages = true_ages(clean, sent)
    known = [age for age in ages if age is not None]
    outcome.max_age = max(known, default=None)
    outcome.states = [str(event.get("code") or event.get("state")) for event in client.events]
    if restored_at is not None:
        after = client.clean_after(restored_at)
        outcome.live_seconds = after["at"] - restored_at if after else None
        interval = interval_in_force(client, restored_at)
        limit = allow_seconds or min(MOST_SECONDS, max(LEAST_SECONDS, 2 * interval))
        outcome.limit_seconds = limit
        if outcome.live_seconds is None or outcome.live_seconds > limit:
            outcome.failures.append("not live again in time")
    if outcome.damaged:
        outcome.failures.append(f"{outcome.damaged} damaged frames")
    old = [age for age in known if age > max_age + AGE_TOLERANCE]
    if old:
        outcome.failures.append(f"{len(old)} frames older than {max_age:g} s")
    outcome.left = _left(client.left, outcome.failures)
    outcome.data = {
        "began_at": began_at,
        "restored_at": restored_at,
        "events": [{**event, "at": round(event["at"] - began_at, 3)} for event in client.events],
        "left": client.left,
        "worst_difference": outcome.worst_difference,
        "old_frames": [
            [round(f["given"] - began_at, 3), round(a, 3), round(f["age"] or 0, 3)]
            for f, a in zip(clean, ages)
            if a and a > max_age
        ],
        "damaged_frames": [[round(f["at"] - began_at, 3), f["number"], f["difference"]] for f in damaged][:100],
        "ages_p50_p99": _percentiles(known),
    }
    return outcome


def _percentiles(ages: list[float]) -> list[float]:
    ordered = sorted(ages)
    return [round(ordered[int(share * (len(ordered) - 1))], 3) for share in (0.5, 0.99)] if ordered else []


def _left(left: dict[str, Any], failures: list[str]) -> str:
    """What the client left behind, as text; it adds to `failures`."""
    if not left:
        failures.append("close did not end")
        return "close hangs"
    if left["alive"]:
        failures.append("close did not end")
    more = {key: int(left["after"][key] - left["before"][key]) for key in ("threads", "children", "descriptors")}
    leaks = ", ".join(f"{count:+d} {name}" for name, count in more.items() if count > 0)
    if leaks:
        failures.append(f"left behind: {leaks}")
    return leaks or "nothing"


def worst(rounds: Sequence[Outcome]) -> Outcome:
    """One row for several rounds of a case: frames are summed, of all else the worst is taken."""
    whole = max(rounds, key=lambda each: each.live_seconds if each.live_seconds is not None else float("inf"))
    whole.max_age = max((each.max_age for each in rounds if each.max_age is not None), default=None)
    whole.left = next((each.left for each in rounds if each.left != "nothing"), "nothing")
    whole.opencv = max((each.opencv for each in rounds), key=len)
    whole.frames = sum(each.frames for each in rounds)
    whole.damaged = sum(each.damaged for each in rounds)
    whole.failures = [f"round {n + 1}: {failure}" for n, each in enumerate(rounds) for failure in each.failures]
    whole.data = {"rounds": [each.data for each in rounds], "meanwhile_fps": whole.data["meanwhile_fps"]}
    return whole


def opencv_outcome(client: Client, sent: Sequence[tuple[int, float]], fault_at: float, until: float) -> str:
    """What the usual loop did from `fault_at` to `until`, in a few words."""
    frames = [frame for frame in list(client.frames) if frame["at"] >= fault_at]
    ended = next((event["at"] for event in client.events if event["state"] == "ended"), None)
    refused = any(event["state"] == "refused" for event in client.events)
    damaged = sum(bool(frame["difference"]) for frame in frames)
    clean = [frame for frame in frames if not frame["difference"]]  # the number of a damaged one may be wrong
    ages = [age for age in true_ages(clean, sent) if age is not None]
    if refused:
        words = ["does not open"]
    elif ended is not None:
        words = [f"ends after {ended - fault_at:.1f} s"]
    elif not frames or until - frames[-1]["at"] > SILENCE_SECONDS:
        words = ["hangs"]
    else:
        words = ["goes on"]
    words += [f"{damaged} of {len(frames)} frames damaged"] if damaged else []
    words += [f"frames up to {max(ages):.1f} s old"] if ages and max(ages) > 1.5 else []
    return ", ".join(words)
