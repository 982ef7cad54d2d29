"""Do many live streams share one engine evenly, with bounded lag and flat memory, beside a camera that is dead?

    python benchmarks/stream_soak.py [--minutes 30] [--many-minutes 5] [--only few|many] [--json-out]

few: four `test://street` streams at 15 frames/s and a URL that nobody answers. many: sixteen at 2 frames/s. All go
through one engine in one process; a thread samples every 2 s. Beside the record a
plot is written: frames per second and age by stream, and the memory of the process with its readers.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from record import (
    RESULTS,
    Record,
    Table,
    Verdict,
    add_output_option,
    device_slug,
    edgeseg_command,
    publish,
    run_child,
    run_main,
)

import edgeseg
from edgeseg.capture.paced import PacedSource
from edgeseg.capture.source import MAX_AGE_SECONDS, LiveSource
from edgeseg.live.runner import LiveRunner
from edgeseg.live.stream import StreamConfig
from edgeseg.measure.load import LoadMeter
from edgeseg.measure.recorder import percentile
from edgeseg.video.result import Result

DEAD_URL = "rtsp://127.0.0.1:9/cam"  # port 9 is "discard"; nobody listens
SAMPLE_SECONDS = 2.0
WARM_UP_SECONDS = 20.0
# Seconds: a frame over the age limit is dropped before it enters the engine. What the engine takes then
# comes on top: it depends on the machine and its load.
AGE_LIMIT, LATE = MAX_AGE_SECONDS, 0.05
GROWTH_MIB = 10.0
UNEVEN = 0.1


@dataclass(frozen=True)
class Scenario:
    """So many streams at so many frames/s; dead: whether a dead URL is beside them."""

    name: str
    streams: int
    fps: int
    dead: bool
    minutes: float


@dataclass
class Samples:
    """What was seen every 2 s. fps, age: by stream; age is that of the oldest result since the last sample."""

    names: Sequence[str]
    seconds: list[float] = field(default_factory=list)
    fps: dict[str, list[float]] = field(default_factory=dict)
    age: dict[str, list[float]] = field(default_factory=dict)
    rss_mib: list[float] = field(default_factory=list)


class Sampler:
    """Counts results as they come, and samples in a thread of its own until `stop` is set."""

    def __init__(self, names: Sequence[str], stop: threading.Event, seconds: float) -> None:
        self.samples = Samples(names, fps={name: [] for name in names}, age={name: [] for name in names})
        self.results = dict.fromkeys(names, 0)  # after the warm-up
        self.ages: dict[str, list[float]] = {name: [] for name in names}
        self.oldest_taken, self.slowest = 0.0, 0.0  # s: age of a frame when the engine took it, and the engine's time
        self._counted, self._oldest = dict.fromkeys(names, 0), dict.fromkeys(names, 0.0)
        self._stop, self._seconds, self._began = stop, seconds, time.monotonic()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._process = psutil.Process()

    def start(self) -> None:
        """Begin; the run is stopped after its seconds."""
        self._began = time.monotonic()
        self._thread.start()

    def on_result(self, name: str, result: Result) -> None:
        """Count a result of the runner."""
        now = time.monotonic()
        age = now - result.frame.captured_at if result.frame.captured_at is not None else 0.0
        self._counted[name] += 1
        self._oldest[name] = max(self._oldest[name], age)
        if now - self._began > WARM_UP_SECONDS:
            self.results[name] += 1
            self.ages[name].append(age)
            taken = result.milliseconds["total"] / 1e3
            self.oldest_taken, self.slowest = max(self.oldest_taken, age - taken), max(self.slowest, taken)

    def _work(self) -> None:
        last, before = self._began, dict(self._counted)
        while not self._stop.wait(SAMPLE_SECONDS):
            now, counted = time.monotonic(), dict(self._counted)
            oldest, self._oldest = self._oldest, dict.fromkeys(self._oldest, 0.0)
            self.samples.seconds.append(now - self._began)
            self.samples.rss_mib.append(self._rss_mib())
            for name in self.samples.names:
                self.samples.fps[name].append((counted[name] - before[name]) / (now - last))
                self.samples.age[name].append(oldest[name])
            last, before = now, counted
            if now - self._began > self._seconds:
                self._stop.set()

    def _rss_mib(self) -> float:
        total = 0
        for process in [self._process, *self._process.children(recursive=True)]:
            try:
                total += process.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        return total / 2**20


def run(scenario: Scenario, engine: Path, size: str) -> tuple[Sampler, dict[str, Any]]:
    """The samples of a scenario, and the report of its run."""
    names = [f"street{number}" for number in range(scenario.streams)]
    uris = [f"test://street?seed={number}&fps={scenario.fps}&size={size}" for number in range(scenario.streams)]
    streams = [StreamConfig(name, PacedSource(edgeseg.open_source(uri))) for name, uri in zip(names, uris)]
    if scenario.dead:
        source = edgeseg.open_source(DEAD_URL)
        assert isinstance(source, LiveSource)
        streams.append(StreamConfig("dead", source))
    stop = threading.Event()
    sampler = Sampler(names, stop, 60 * scenario.minutes)
    with edgeseg.open(engine) as segmenter:
        segmenter.segment(next(iter(edgeseg.open_source(uris[0]))).rgb())
        runner = LiveRunner(streams, segmenter, stop=stop)
        sampler.start()
        report = runner.run(sampler.on_result).to_dict()
    return sampler, report


def growth_mib(rss_mib: Sequence[float]) -> float:
    """From the second tenth to the last tenth, median to median."""
    tenth = max(1, len(rss_mib) // 10)
    early, late = sorted(rss_mib[tenth : 2 * tenth] or rss_mib), sorted(rss_mib[-tenth:])
    return percentile(late, 50) - percentile(early, 50)


def plot(sampler: Sampler, title: str, path: Path) -> None:
    """Three panels over minutes: frames per second, age, memory."""
    from matplotlib.figure import Figure
    from PIL import Image

    samples = sampler.samples
    minutes = [second / 60 for second in samples.seconds]
    figure = Figure(figsize=(8, 8), layout="constrained")
    rates, ages, memory = figure.subplots(3, 1, sharex=True)
    for name in samples.names:
        rates.plot(minutes, samples.fps[name], linewidth=0.8, label=name)
        ages.plot(minutes, samples.age[name], linewidth=0.8)
    memory.plot(minutes, samples.rss_mib, linewidth=1.2, color="black")
    rates.set(ylabel="results per second", title=title, ylim=(0, None))
    ages.set(ylabel="age of the oldest result, s", ylim=(0, None))
    memory.set(ylabel="memory with readers, MiB", xlabel="minutes", ylim=(0, None))
    rates.legend(fontsize="x-small", ncols=4)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)
    Image.open(path).convert("RGB").quantize(64).save(path, optimize=True)  # a third of the bytes


def converted(options: argparse.Namespace, folder: str) -> Path:
    command = edgeseg_command("convert", options.model, "--size", options.size, "-o", folder, "--json")
    return Path(run_child([*command, "--precision", options.precision]).json()["engine"])


def measure(options: argparse.Namespace) -> Record:
    scenarios = [
        Scenario("few", 4, 15, True, options.minutes),
        Scenario("many", 16, 2, False, options.many_minutes),
    ]
    meter, tables, verdicts, data = LoadMeter(), [], [], {}
    with tempfile.TemporaryDirectory() as folder:
        engine = options.engine or converted(options, folder)
        for scenario in scenarios:
            if options.only and scenario.name not in options.only:
                continue
            sampler, report = run(scenario, engine, options.size)
            tables.append(table_of(scenario, sampler, report))
            verdicts += verdicts_of(scenario, sampler)
            data[scenario.name] = {"report": report, "rss_mib": sampler.samples.rss_mib[:: max(1, 30 // 2)]}
            if options.json_out is not None:
                folder_out = RESULTS / device_slug() if options.json_out == RESULTS else options.json_out.parent
                title = f"{scenario.streams} streams at {scenario.fps} frames/s, one engine"
                plot(sampler, title, folder_out / f"stream_soak_{scenario.name}.png")
    load = meter.load()
    return Record(
        name="stream_soak",
        question="Do many live streams share one engine evenly, with bounded lag and flat memory?",
        how=f"{engine.name}, frames of {options.size}; `test://street` drawn in the same process; the first "
        f"{WARM_UP_SECONDS:g} s do not count; each scenario once (n = 1)",
        tables=tables,
        verdicts=verdicts,
        foreign_cores=load.foreign_cores,
        data={**data, "load": load.to_dict()},
    )


def table_of(scenario: Scenario, sampler: Sampler, report: dict[str, Any]) -> Table:
    rows = []
    seconds = report["seconds"] - WARM_UP_SECONDS
    for stream in report["streams"]:
        ages = sorted(sampler.ages.get(stream["name"], []))
        figures = [f"{percentile(ages, p):.3f}" for p in (50, 99, 100)] if ages else ["-"] * 3
        fps = sampler.results.get(stream["name"], 0) / seconds
        rows.append(
            [stream["name"], stream["state"], f"{fps:.2f}", *figures, str(stream["dropped"]), str(stream["too_old"])]
        )
    title = f"{scenario.streams} streams at {scenario.fps} frames/s for {scenario.minutes:g} minutes"
    if scenario.dead:
        title += ", and a dead URL"
    return Table(title, ("stream", "state", "results/s", "age p50 s", "p99", "max", "dropped", "too old"), rows)


def verdicts_of(scenario: Scenario, sampler: Sampler) -> list[Verdict]:
    counts = list(sampler.results.values())
    apart = (max(counts) - min(counts)) / max(1, *counts)
    name = scenario.name
    taken = f"{name}: {sampler.oldest_taken:.2f} s; the slowest result took {sampler.slowest:.2f} s from there"
    bounded = any(sampler.ages.values()) and sampler.oldest_taken <= AGE_LIMIT + LATE
    growth = growth_mib(sampler.samples.rss_mib)
    return [
        Verdict("results/s within 10% of each other", f"{name}: {100 * apart:.1f}% apart", apart <= UNEVEN),
        Verdict(f"the engine takes no frame older than {AGE_LIMIT:g} s", taken, bounded),
        Verdict(f"memory grows by {GROWTH_MIB:g} MiB at most", f"{name}: {growth:+.1f} MiB", growth <= GROWTH_MIB),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0, help="of the four streams")
    parser.add_argument("--many-minutes", type=float, default=5.0, help="of the sixteen")
    parser.add_argument("--only", nargs="+", choices=["few", "many"])
    parser.add_argument("--engine", type=Path, help="an engine that exists, in place of --model and --precision")
    parser.add_argument("--model", default="bisenetv2-street")
    parser.add_argument("--size", default="512x256", help="of the frames and of the engine")
    parser.add_argument("--precision", default="fp32")
    add_output_option(parser)
    options = parser.parse_args()
    return run_main(lambda: publish(measure(options), options.json_out))


if __name__ == "__main__":
    raise SystemExit(main())
