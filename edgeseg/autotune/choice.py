"""Which precision an engine gets: the one that was named, or the one that is measured to pay on this machine."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edgeseg.artifact import Artifact, LoadedModel, engine_filename
from edgeseg.autotune.autotune import Decision, SearchRequest, best_float, check_decidable, decide
from edgeseg.autotune.benchmark import benchmark
from edgeseg.autotune.budget import Budget
from edgeseg.autotune.candidate import CandidateBuilder
from edgeseg.autotune.evaluation_set import SEARCHED, evaluation_set_from_options, short_evaluation_set
from edgeseg.autotune.summary import faster
from edgeseg.calib.range import RangeTable
from edgeseg.engines import runnable_engines
from edgeseg.engines.agreement import CheckImages, warn_of_changed_labels
from edgeseg.engines.backend import Array
from edgeseg.engines.diagnose import ROUNDING_ALONE
from edgeseg.engines.engine import Engine
from edgeseg.engines.options import BuildOptions, RunOptions
from edgeseg.errors import AgreementError, EdgeSegError, UnavailableError
from edgeseg.progress import Progress
from edgeseg.segmenter import open_segmenter
from edgeseg.spec import Precision

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Auto:
    """In place of a precision: the fastest one within a budget, measured here.

    data: a data set's URI with labels to judge on; without it the engines' agreement with the float one decides.
    short: hold int8 against the best float precision alone, for a few seconds; what is done where none is named.
    """

    budget: Budget = field(default_factory=Budget)
    data: str | None = None
    short: bool = False


@dataclass(frozen=True)
class Source:
    """What an engine is made from: a float ONNX with its ranges, and images.

    check: on which builds are checked. images: the user's own, of which calibration took `calibrated_on`, 0 where it
    took none. threads: as in `RunOptions`. force: take int8 whatever it loses.
    """

    onnx: LoadedModel
    table: RangeTable | None
    engine: Engine
    check: CheckImages
    options: BuildOptions
    folder: Path
    images: str | Path | None = None
    calibrated_on: int = 0
    threads: int | None = None
    force: bool = False

    @property
    def run(self) -> RunOptions:
        """On what it is timed."""
        return RunOptions(self.options.device, self.threads)

    @property
    def can_be_int8(self) -> bool:
        """Whether the engine makes int8, and there are ranges for it and images to judge it on."""
        able = self.table is not None and Precision.INT8 in self.engine.precisions
        return able and (self.force or not self.check.is_noise)

    def maker(self, progress: Progress) -> CandidateBuilder:
        """What builds an engine of a named precision."""
        parts = (self.onnx, self.table, self.engine, self.folder, self.check, self.options, self.force)
        return CandidateBuilder(*parts, progress=progress)


@dataclass(frozen=True)
class Choice:
    """An engine that was built. name: its precision, or that of a mix. stem: of its file."""

    engine: Artifact
    name: str
    stem: str
    decision: Decision | None = None

    @property
    def filename(self) -> str:
        """What its file is called."""
        return engine_filename(self.stem, self.engine.engine, self.name, self.engine.path.suffix[1:])


def check_choice(engine: Engine, choice: Precision | Auto) -> None:
    """Refuse a precision that `engine` does not make, and a search on one that cannot be measured here."""
    if isinstance(choice, Precision):
        engine.check_precision(choice)
    elif not choice.short:
        check_decidable(engine)


def chosen(sources: Sequence[Source], choice: Precision | Auto, progress: Progress) -> Choice:
    """The fastest engine of those that can be made of `sources`, which differ in their runtime."""
    if len(sources) == 1:
        return choose(sources[0], choice, progress)
    if isinstance(choice, Auto):
        share = dataclasses.replace(choice.budget, minutes=choice.budget.minutes / len(sources))
        choice = dataclasses.replace(choice, budget=share)
    choices, problems = [], []
    for source in sources:
        try:
            choices.append(choose(source, choice, progress))
        except EdgeSegError as problem:
            logger.warning("%s is left out: %s", source.engine.name, problem.message)
            problems.append(problem)
    if not choices:
        raise problems[0]
    return fastest(choices, sources[0].check.frames[0], sources[0].run)


def choose(source: Source, choice: Precision | Auto, progress: Progress) -> Choice:
    """The engine of the precision that is named, or measured."""
    if isinstance(choice, Precision):
        return named(source, choice, progress)
    reason = undecided(source) if choice.short else undecided_on_noise(source)
    if reason:
        return unmeasured(source, reason, progress)
    if choice.short and source.engine.takes_minutes:
        floating = best_float(source.engine, source.options.device)
        logger.warning("%s and int8 are built and timed, which may take minutes; --precision builds one", floating)
    decision = decide(question_of(source, choice), source.folder, progress=progress)
    return Choice(decision.engine, decision.chosen.name, source.onnx.path.stem, decision)


def named(source: Source, precision: Precision, progress: Progress) -> Choice:
    """The engine of `precision`. AgreementError, which tells of better engines, where int8 loses too many labels."""
    try:
        return made(source, precision, progress)
    except AgreementError as problem:
        if precision is not Precision.INT8:
            raise
        raise with_better_engines(problem, source, progress) from problem


def made(source: Source, precision: Precision, progress: Progress) -> Choice:
    """The engine of `precision`."""
    progress("build", 0, None)
    built = source.maker(progress).build(precision)
    warn_of_changed_labels(built)
    return Choice(built, str(precision), source.onnx.path.stem)


def with_better_engines(problem: AgreementError, source: Source, progress: Progress) -> AgreementError:
    """`problem`, and which other engines that run here keep the labels with the same ranges.

    Where one does, rounding to 8 bits alone is not to blame.
    """
    found = []
    for engine in runnable_engines():
        if engine.name == source.engine.name or Precision.INT8 not in engine.precisions or engine.takes_minutes:
            continue
        with contextlib.suppress(EdgeSegError):
            other = dataclasses.replace(source, engine=engine, options=BuildOptions(), force=False)
            kept = other.maker(progress).build(Precision.INT8).agreement
            found.append(f"{engine.name} keeps {kept.labels or 0:.1%} with the same ranges: --engine {engine.name}")
    hint = "; ".join([*found, problem.hint])
    message = problem.message.removesuffix(f": {ROUNDING_ALONE}") if found else problem.message
    return AgreementError(message, hint=hint, code=problem.code)


def undecided(source: Source) -> str:
    """Why nothing can be measured; "" where it can."""
    if source.engine.simulates:
        return f"{source.engine.name} computes int8 in floating point"
    if Precision.INT8 not in source.engine.precisions:
        return f"{source.engine.name} makes no int8"
    if source.table is None:
        return "there are no ranges for int8: give images with --images FOLDER"
    if reason := undecided_on_noise(source):
        return reason
    try:
        source.engine.runnable()
    except UnavailableError as problem:
        return f"not measured here: {problem.message}"
    return ""


def undecided_on_noise(source: Source) -> str:
    """Why int8 is not judged where the images are noise; "" where they are images, or it is taken whatever it loses."""
    if source.force or not source.check.is_noise:
        return ""
    return "noise does not tell what int8 loses: give images of the camera with --images FOLDER"


def unmeasured(source: Source, reason: str, progress: Progress) -> Choice:
    """int8 where there are ranges and it keeps the labels, else the best float; with the reason on record."""
    choice, device = None, source.options.device
    if source.can_be_int8 and not source.engine.simulates:
        try:
            choice = made(source, Precision.INT8, progress)
        except AgreementError as problem:
            reason += f", and {problem.message}"
    choice = choice or made(source, best_float(source.engine, device), progress)
    record = {"verdict": f"{choice.name} chosen: {reason}", "device": source.engine.device_to_build_for(device)}
    return dataclasses.replace(choice, engine=dataclasses.replace(choice.engine, decision=record))


def question_of(source: Source, auto: Auto) -> SearchRequest:
    """What `decide` is asked."""
    spec = source.onnx.spec
    if auto.short:
        panel = short_evaluation_set(spec, auto.data, source.images, source.calibrated_on)
    else:
        panel = evaluation_set_from_options(spec, auto.data, source.images, source.calibrated_on or SEARCHED)
    budget = dataclasses.replace(auto.budget, sure=False) if auto.short and auto.data is None else auto.budget
    return SearchRequest(
        source.onnx,
        source.table if source.can_be_int8 else None,
        source.engine,
        panel,
        dataclasses.replace(budget, max_drop=1.0, min_agreement=0.0) if source.force else budget,
        run=source.run,
        check=source.check,
        options=source.options,
        short=auto.short,
        force=source.force,
    )


def fastest(choices: Sequence[Choice], rgb: Array, run: RunOptions) -> Choice:
    """The engine that is fastest on the frame `rgb`, of `choices` from one model; the only one without a race."""
    first = choices[0].engine.engine
    if len(choices) == 1:
        return choices[0]
    with contextlib.ExitStack() as stack:
        opened = {}
        for each in choices:
            segmenter = open_segmenter(each.engine.path, device=run.device, threads=run.threads)
            opened[each.engine.engine] = stack.enter_context(segmenter)
        laps = benchmark(opened, rgb, base=first)
    best = min(choices, key=lambda each: laps[each.engine.engine].ratio_to(laps[first]).value)
    name = best.engine.engine
    said = ", ".join(f"{faster(laps[name].ratio_to(laps[other]))} than {other}" for other in laps if other != name)
    summary = f"{best.engine.decision.get('verdict') or best.name}; {name} is {said}"
    record = {**best.engine.decision, "verdict": summary}
    record["engines"] = {other: lap.latency.to_dict() for other, lap in laps.items()}
    return dataclasses.replace(best, engine=dataclasses.replace(best.engine, decision=record))
