"""`edgeseg stream` of cameras, network streams and run files."""

from __future__ import annotations

import itertools
import json
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

import typer

from edgeseg.artifact import Artifact
from edgeseg.capture.state import StreamEvent, StreamState
from edgeseg.commands.options import engine_facts
from edgeseg.commands.signals import stopped_by_signals
from edgeseg.commands.terminal import (
    ProgressBars,
    ProgressLines,
    note,
    print_json,
    print_table,
    shown_progress,
    wrote_by,
)
from edgeseg.errors import UnavailableError
from edgeseg.live.run import opened_runner
from edgeseg.live.run_file import RunConfig
from edgeseg.live.runner import LiveReport
from edgeseg.segmenter import Segmenter
from edgeseg.uri import redacted
from edgeseg.video.result import Result
from edgeseg.video.sink import FrameSink
from edgeseg.video.source import FrameSource

SHOWN_SECONDS = 0.5  # between two updates of the progress
FAILED = 2  # exit code where a source or an output failed


@dataclass(frozen=True)
class FinishedRun:
    """What a run did, and the sinks that were opened."""

    report: LiveReport
    sinks: Sequence[FrameSink]


class EventPrinter:
    """Prints events on stderr, as text or JSON lines.

    stops: set at the first failed connection of a stream that has not been live; `failed` is that event then.
    """

    def __init__(self, *, as_json: bool, stops: threading.Event | None) -> None:
        self.failed: StreamEvent | None = None
        self._as_json, self._stops = as_json, stops
        self._were_live: set[str] = set()

    def __call__(self, event: StreamEvent) -> None:
        """Print one event."""
        if event.state is StreamState.LIVE:
            self._were_live.add(event.stream)
        elif event.state in (StreamState.LOST, StreamState.STALLED) and event.stream not in self._were_live:
            self.failed = self.failed or event
            if self._stops is not None:
                self._stops.set()
        if self._as_json:
            print(json.dumps(event.to_dict()), file=sys.stderr)
        elif event.message:
            what = event.state.value if event.state and event.state.value != event.message else ""
            code = f"[{event.code}]" if event.code else ""
            hint = f" ({event.hint})" if event.hint else ""
            text = " ".join(part for part in (what, code, event.message) if part)
            note(f"{time.strftime('%H:%M:%S', time.localtime(event.time))} {event.stream}: {text}{hint}")


def run_live(
    config: RunConfig,
    sources: Sequence[FrameSource],
    segmenter: Segmenter,
    *,
    frames: int | None,
    overwrite: bool,
    log_json: bool,
    fail_fast: bool,
) -> FinishedRun:
    """Run until a signal comes, all sources end or each stream has `frames` results."""
    with shown_progress() as progress, stopped_by_signals() as stop:
        events = EventPrinter(as_json=log_json, stops=stop if fail_fast else None)
        opened = opened_runner(
            config, sources, segmenter, frames=frames, overwrite=overwrite, on_event=events, stop=stop
        )
        with opened as runner:
            if runner.page_url:
                note(f"page: {runner.page_url}")
            shown = _Shown(progress, frames)
            report = runner.run(shown.on_result)
            sinks = runner.sinks()
    if fail_fast and events.failed is not None:
        failed = events.failed
        name = next(source.info.name for entry, source in zip(config.streams, sources) if entry.name == failed.stream)
        message = f"cannot open {name}: {failed.message.partition(';')[0]}"
        raise UnavailableError(message, hint=failed.hint, code=failed.code)
    return FinishedRun(report, sinks)


class _Shown:
    """Progress of each stream, updated a few times a second at most."""

    def __init__(self, progress: ProgressLines | ProgressBars, frames: int | None) -> None:
        self._progress, self._frames = progress, frames
        self._counts: dict[str, int] = {}
        self._shown: dict[str, float] = {}

    def on_result(self, name: str, result: Result) -> None:
        """Count a result."""
        self._counts[name] = self._counts.get(name, 0) + 1
        now = time.monotonic()
        if now - self._shown.get(name, 0.0) >= SHOWN_SECONDS:
            self._shown[name] = now
            captured_at = result.frame.captured_at
            age = f"{1e3 * (now - captured_at):.0f} ms old" if captured_at is not None else ""
            self._progress(name, self._counts[name], self._frames, age)


def print_live(artifact: Artifact, config: RunConfig, run: FinishedRun, *, as_json: bool) -> None:
    """Print what a run did; exit code 2 where a source or an output failed and did not recover."""
    report = run.report
    for loss in itertools.chain(*report.losses):
        note(f"warning: {loss.message}")
    frames = sum(status.frames for status in report.streams)
    if as_json:
        totals = {"frames": frames, "fps": frames / report.seconds if report.seconds else 0.0}
        outputs = [redacted(uri) for entry in config.streams for uri in entry.output]
        print_json({**engine_facts(artifact, config.device), "outputs": outputs, **totals, **report.to_dict()})
    else:
        columns = ["stream", "frames", "FPS", "p50 ms", "p99 ms", "dropped", "too old", "reconnects", "state"]
        rows = []
        for status, latency in zip(report.streams, report.latency):
            total = latency.get("total")
            fps = status.frames / report.seconds if report.seconds else 0.0
            times = (f"{total.p50_ms:.1f}", f"{total.p99_ms:.1f}") if total else ("-", "-")
            counts = (status.dropped, status.too_old, status.reconnects)
            rows.append([status.name, status.frames, f"{fps:.1f}", *times, *counts, status.state.value])
        print_table(columns, rows, expendable=["too old", "state"])
    wrote_by(run.sinks)
    if report.failures:
        raise typer.Exit(FAILED)
