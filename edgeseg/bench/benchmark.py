"""Measure a segmenter: one scenario, the engine alone and end to end, to a record."""

from __future__ import annotations

import datetime
import itertools
import math
import tempfile
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeseg.bench.clock import Clock, SystemClock
from edgeseg.bench.loadgen import check_scenario, import_loadgen, run_loadgen
from edgeseg.bench.record import Accuracy, BenchRecord, Conditions, ModelFacts, Row, Scope
from edgeseg.bench.scenario import SCENARIOS, Cameras, ScenarioRun, offline, single_stream
from edgeseg.bench.stages import FileRun, make_clip, measure_file, stage_diagnostics, stages_of_frames
from edgeseg.bench.system import EngineSystem, FrameSystem, System
from edgeseg.datasets.dataset import Dataset
from edgeseg.engines import open_engine
from edgeseg.errors import MismatchError, UnknownNameError
from edgeseg.evaluation import evaluate
from edgeseg.measure.conditions import RunWatch
from edgeseg.measure.device import available_threads, package_versions
from edgeseg.measure.diagnostic import Diagnostic
from edgeseg.measure.recorder import summary_from_samples
from edgeseg.measure.settling import BATCHES, WarmUp, is_settled
from edgeseg.progress import Progress, silent
from edgeseg.segmenter import Segmenter

SECONDS = 3.0  # of each scope, where the number of images is not given
LEAST, MOST = 100, 2000  # images of a scope, then
MOST_WARM_UP = 100
RATE = {"camera": 30.0, "multi-stream": 15.0}
STREAMS = {"multi-stream": 4}
PACKAGES = ("edgeseg", "numpy", "opencv-python", "numba", "av")


@dataclass(frozen=True)
class BenchOptions:
    """What to measure. scenario: one of SCENARIOS.

    n: images of each scope; as many as take 3 s, 100 at least, unless given. warm_up: images before them; until the
    latency stops falling unless given. rate: arrivals a second of each camera. streams: cameras. file: also from video
    file to overlay file; video: that file, or one made of the images. loadgen: also under MLPerf's load generator.
    device, threads: those that the segmenter was opened with. images: what the images are, for the record.
    """

    scenario: str = "single-stream"
    n: int | None = None
    warm_up: int | None = None
    rate: float | None = None
    streams: int | None = None
    file: bool = False
    video: str = ""
    loadgen: bool = False
    device: str = "cpu"
    threads: int | None = None
    images: str = ""

    @property
    def cameras(self) -> Cameras | None:
        """The cameras of the scenario; None where it has none."""
        if self.scenario not in RATE:
            return None
        return Cameras(self.rate or RATE[self.scenario], self.streams or STREAMS.get(self.scenario, 1))


def check_options(options: BenchOptions) -> None:
    """Refuse what cannot be measured, before anything is.

    UnknownNameError for an unknown scenario, MismatchError for an option that the scenario does not have, and
    UnavailableError for `loadgen` without its package.
    """
    scenario = options.scenario
    if scenario not in SCENARIOS:
        raise UnknownNameError.among("scenario", scenario, SCENARIOS)
    of_cameras = {"--rate": options.rate, "--streams": options.streams}
    refused = [flag for flag, value in of_cameras.items() if value is not None]
    if refused and scenario not in RATE:
        hint = f"add --scenario {' or '.join(RATE)}, or leave {' and '.join(refused)} out"
        message = f"{' and '.join(refused)} belong to cameras, and the scenario is {scenario}"
        raise MismatchError(message, hint=hint, code="ES-MISMATCH-OPTIONS")
    if options.loadgen:
        check_scenario(scenario)
        import_loadgen()


def benchmark(
    segmenter: Segmenter,
    frames: Sequence[NDArray[np.uint8]],
    options: BenchOptions = BenchOptions(),
    *,
    dataset: Dataset | None = None,
    data: str = "",
    clock: Clock | None = None,
    progress: Progress = silent,
) -> BenchRecord:
    """The record of one run on `frames`, rgb images of any size, in turn.

    dataset: labelled images for the mIoU of this very engine; data: its name. Errors as of `check_options`.
    """
    check_options(options)
    clock = clock or SystemClock()
    systems: dict[Scope, System] = {
        "engine": EngineSystem(segmenter, frames),
        "frame": FrameSystem(segmenter, frames),
    }
    warm_up, typical = _warmed_up(systems, clock, options)
    n = options.n or max(LEAST, min(MOST, math.ceil(SECONDS * 1e3 / max(1e-3, typical["frame"]))))
    options, cameras = replace(options, n=n), options.cameras
    segmenter.clear_latency()
    watch = RunWatch(options.device)
    with watch:
        runs = _measured(systems, clock, options, progress)
    watched = sum(len(run.milliseconds) for run in runs.values())
    # from here on other images than those of the rows are processed
    stages = stages_of_frames(segmenter.latency(), runs["frame"].milliseconds if cameras is None else ())
    if cameras is not None:
        for scope, system in systems.items():
            runs[scope] = cameras.with_highest_rate(runs[scope], system, clock, typical[scope], progress)
    if options.loadgen:
        external = run_loadgen(systems["frame"], options.scenario, n, typical["frame"])
        runs["frame"] = replace(runs["frame"], extra={**runs["frame"].extra, **external})
    rows = [_row(scope, run) for scope, run in runs.items()]
    diagnostics, load = watch.diagnostics(runs["frame"].milliseconds), watch.load
    file_run: FileRun | None = None
    if options.file or options.video:
        file_run, file_watch = _file_run(segmenter, frames, clock, options, progress)
        rows.append(file_run.row)
        load = max(load, file_watch.load, key=lambda each: each.foreign_cores)
        diagnostics = (*diagnostics, *_file_diagnostics(file_run, file_watch, diagnostics))
    elif stages:
        diagnostics = (*diagnostics, *stage_diagnostics(stages))
    accuracy = _accuracy(segmenter, dataset, data, progress) if dataset is not None else None
    invalid = any(diagnostic.invalidates for diagnostic in diagnostics)
    return BenchRecord(
        model=model_facts(segmenter),
        conditions=_conditions(options, frames),
        status="invalid" if invalid else "settled" if all(row.settled for row in rows) else "inconclusive",
        rows=tuple(rows),
        load=load,
        resources=watch.resources(watched),
        device=watch.device(),
        versions=versions_with(segmenter.artifact.engine or "onnxruntime"),
        stages=file_run.serial if file_run else stages,
        overlapped=file_run.overlapped if file_run else None,
        accuracy=accuracy,
        diagnostics=diagnostics,
        warm_up=warm_up,
        when=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    )


def versions_with(engine: str) -> dict[str, str]:
    """The versions of the packages that figures of an engine depend on. UnknownNameError for an unknown engine."""
    return package_versions((*PACKAGES, *open_engine(engine).packages))


def model_facts(segmenter: Segmenter) -> ModelFacts:
    """What is measured."""
    artifact, spec = segmenter.artifact, segmenter.spec
    return ModelFacts(
        name=spec.name,
        width=spec.input.width,
        height=spec.input.height,
        engine=artifact.engine or "onnxruntime",
        precision=str(artifact.precision),
        output=str(artifact.output),
        file=artifact.path.name,
        sha256=artifact.sha256(),
        weights=artifact.provenance.identity,
    )


def _conditions(options: BenchOptions, frames: Sequence[NDArray[np.uint8]]) -> Conditions:
    sizes = {frame.shape[:2] for frame in frames}
    height, width = sizes.pop() if len(sizes) == 1 else (0, 0)
    cameras = options.cameras
    return Conditions(
        scenario=options.scenario,
        device=options.device,
        threads=options.threads or available_threads(),
        images=options.images,
        frame_width=width,
        frame_height=height,
        streams=cameras.streams if cameras else 1,
        rate=cameras.rate if cameras else 0.0,
    )


def _warmed_up(systems: dict[Scope, System], clock: Clock, options: BenchOptions) -> tuple[int, dict[Scope, float]]:
    """The number of images of the warm-up, and the typical latency in ms after it, by scope."""
    typical: dict[Scope, float] = {}
    count = 0
    for scope, system in systems.items():
        warm_up = WarmUp(MOST_WARM_UP)
        while len(warm_up.samples) < options.warm_up if options.warm_up is not None else not warm_up.is_over:
            warm_up.samples += single_stream(system, clock, 1).milliseconds
        last = warm_up.samples[-5:] or single_stream(system, clock, 1).milliseconds
        typical[scope] = summary_from_samples(last).p50_ms
        count += len(warm_up.samples)
    return count, typical


def _measured(
    systems: dict[Scope, System],
    clock: Clock,
    options: BenchOptions,
    progress: Progress,
) -> dict[Scope, ScenarioRun]:
    """The run of each scope. Of scenarios without cameras the scopes take turns, so that load affects both alike."""
    n = options.n or LEAST
    if (cameras := options.cameras) is not None:
        return {scope: cameras.run(system, clock, n, progress) for scope, system in systems.items()}
    scenario = offline if options.scenario == "offline" else single_stream
    bounds = [n * part // BATCHES for part in range(BATCHES + 1)]
    parts: dict[Scope, list[ScenarioRun]] = {scope: [] for scope in systems}
    for done, upto in itertools.pairwise(bounds):
        for scope, system in systems.items():
            parts[scope].append(scenario(system, clock, upto - done))
        progress("bench", upto, n)
    return {scope: _joined(runs) for scope, runs in parts.items()}


def _joined(runs: Sequence[ScenarioRun]) -> ScenarioRun:
    return ScenarioRun(
        tuple(itertools.chain.from_iterable(run.milliseconds for run in runs)),
        tuple(itertools.chain.from_iterable(run.cpu_ms for run in runs)),
        sum(run.seconds for run in runs),
    )


def _row(scope: Scope, run: ScenarioRun) -> Row:
    return Row(
        scope=scope,
        latency=summary_from_samples(run.milliseconds),
        fps=run.fps,
        cpu_ms=math.fsum(run.cpu_ms) / len(run.cpu_ms),
        settled=is_settled(run.milliseconds),
        samples=run.milliseconds,
        cpu_blocks=run.cpu_blocks,
        extra=run.extra,
    )


def _file_run(
    segmenter: Segmenter,
    frames: Sequence[NDArray[np.uint8]],
    clock: Clock,
    options: BenchOptions,
    progress: Progress,
) -> tuple[FileRun, RunWatch]:
    """The runs from file to file, with the watch of both."""
    n = options.n or LEAST
    with tempfile.TemporaryDirectory() as folder:
        video = options.video or make_clip(frames, n + 1, Path(folder) / "clip.mp4")
        with RunWatch(options.device) as watch:
            return measure_file(segmenter, video, clock, n, progress), watch


def _file_diagnostics(run: FileRun, watch: RunWatch, others: Collection[Diagnostic]) -> list[Diagnostic]:
    """What makes the row from file to file doubtful, except what `others` say already, such as the governor."""
    own = (*watch.diagnostics(run.row.samples), *stage_diagnostics(run.serial, run.overlapped))
    return [replace(each, message=f"file to file: {each.message}") for each in own if each not in others]


def _accuracy(segmenter: Segmenter, dataset: Dataset, data: str, progress: Progress) -> Accuracy:
    """The mIoU of this segmenter; the samples of its latency are dropped."""
    evaluation = evaluate(segmenter, dataset, progress=progress)
    segmenter.clear_latency()
    result = evaluation.metrics["miou"].result()
    figures = result.to_dict(evaluation.names)
    return Accuracy(
        data=data,
        images=evaluation.images,
        miou=result.overall["miou"],
        by_class=figures["iou"],
        overall={name: figures[name] for name in result.overall},
    )
