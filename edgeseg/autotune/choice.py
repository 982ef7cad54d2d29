"""Choose precision and engine: those that were named, or the fastest ones measured on this machine."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edgeseg.artifact import Artifact, LoadedModel, engine_filename
from edgeseg.autotune.autotune import Decision, SearchRequest, autotune, best_float, built_or_fp32, check_measurable
from edgeseg.autotune.benchmark import benchmark
from edgeseg.autotune.budget import Budget
from edgeseg.autotune.candidate import CandidateBuilder
from edgeseg.autotune.evaluation_set import SEARCH_IMAGES, evaluation_set_from_options, short_evaluation_set
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
    """Instead of a precision: the fastest one within a budget, measured on this machine.

    data: the URI of a labelled data set that decides by mIoU; without it the agreement with the float engine decides.
    short: compare int8 only with the best float precision, for a few seconds; the default where no precision is named.
    """

    budget: Budget = field(default_factory=Budget)
    data: str | None = None
    short: bool = False


@dataclass(frozen=True)
class BuildInputs:
    """The inputs of an engine: a float ONNX with its ranges, and images.

    check: frames on which builds are checked. images: the user's own; `calibrated_on` of them were used for
    calibration. threads: as in `RunOptions`. force: accept int8 whatever it loses.
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
        """The device and threads that it is timed with."""
        return RunOptions(self.options.device, self.threads)

    @property
    def can_be_int8(self) -> bool:
        """Whether the engine supports int8, and there are ranges and images to check it on."""
        has_int8 = self.table is not None and Precision.INT8 in self.engine.precisions
        return has_int8 and (self.force or not self.check.is_noise)

    def builder(self, progress: Progress) -> CandidateBuilder:
        """The builder of an engine of a named precision."""
        parts = (self.onnx, self.table, self.engine, self.folder, self.check, self.options, self.force)
        return CandidateBuilder(*parts, progress=progress)


@dataclass(frozen=True)
class Choice:
    """An engine that was built. name: its precision, or "int8-mixed". stem: of its file."""

    engine: Artifact
    name: str
    stem: str
    decision: Decision | None = None

    @property
    def filename(self) -> str:
        """The name of its file."""
        return engine_filename(self.stem, self.engine.engine, self.name, self.engine.path.suffix[1:])


def check_precision_possible(engine: Engine, precision: Precision | Auto) -> None:
    """Refuse a precision that `engine` does not support, and a search on an engine that cannot be measured here."""
    if isinstance(precision, Precision):
        engine.check_precision(precision)
    elif not precision.short:
        check_measurable(engine)


def choose_engine(inputs: Sequence[BuildInputs], precision: Precision | Auto, progress: Progress) -> Choice:
    """The fastest engine that can be built from `inputs`, one for each runtime."""
    if len(inputs) == 1:
        return choose_precision(inputs[0], precision, progress)
    if isinstance(precision, Auto):
        share = dataclasses.replace(precision.budget, minutes=precision.budget.minutes / len(inputs))
        precision = dataclasses.replace(precision, budget=share)
    choices, errors = [], []
    for each in inputs:
        try:
            choices.append(choose_precision(each, precision, progress))
        except EdgeSegError as error:
            logger.warning("%s is excluded: %s", each.engine.name, error.message)
            errors.append(error)
    if not choices:
        raise errors[0]
    return fastest(choices, inputs[0].check.frames[0], inputs[0].run)


def choose_precision(inputs: BuildInputs, precision: Precision | Auto, progress: Progress) -> Choice:
    """The engine of the named precision, or of the best one measured."""
    if isinstance(precision, Precision):
        return build_named(inputs, precision, progress)
    reason = reason_not_measured(inputs) if precision.short else reason_noise(inputs)
    if reason:
        return build_unmeasured(inputs, reason, progress)
    if precision.short and inputs.engine.takes_minutes:
        floating = best_float(inputs.engine, inputs.options.device)
        logger.warning("building and timing %s and int8, which may take minutes; --precision builds one", floating)
    decision = autotune(search_request(inputs, precision), inputs.folder, progress=progress)
    return Choice(decision.engine, decision.chosen.name, inputs.onnx.path.stem, decision)


def build_named(inputs: BuildInputs, precision: Precision, progress: Progress) -> Choice:
    """The engine of `precision`. AgreementError where int8 loses too many labels; its hint names better engines."""
    try:
        return build(inputs, precision, progress)
    except AgreementError as error:
        if precision is not Precision.INT8:
            raise
        raise with_better_engines(error, inputs, progress) from error


def build(inputs: BuildInputs, precision: Precision, progress: Progress) -> Choice:
    """The engine of `precision`."""
    progress("build", 0, None)
    built = inputs.builder(progress).build(precision)
    warn_of_changed_labels(built)
    return Choice(built, str(precision), inputs.onnx.path.stem)


def with_better_engines(error: AgreementError, inputs: BuildInputs, progress: Progress) -> AgreementError:
    """`error`, with the other engines of this machine that keep the labels with the same ranges in its hint.

    If there is one, rounding to 8 bits alone is not the cause.
    """
    hints = []
    for engine in runnable_engines():
        if engine.name == inputs.engine.name or Precision.INT8 not in engine.precisions or engine.takes_minutes:
            continue
        with contextlib.suppress(EdgeSegError):
            other = dataclasses.replace(inputs, engine=engine, options=BuildOptions(), force=False)
            agreement = other.builder(progress).build(Precision.INT8).agreement
            hints.append(
                f"{engine.name} keeps {agreement.labels or 0:.1%} with the same ranges: --engine {engine.name}"
            )
    message = error.message.removesuffix(f": {ROUNDING_ALONE}") if hints else error.message
    return AgreementError(message, hint="; ".join([*hints, error.hint]), code=error.code)


def reason_not_measured(inputs: BuildInputs) -> str:
    """Why nothing can be measured; "" where it can."""
    if inputs.engine.simulates:
        return f"{inputs.engine.name} computes int8 in floating point"
    if Precision.INT8 not in inputs.engine.precisions:
        return f"{inputs.engine.name} does not support int8"
    if inputs.table is None:
        return "there are no ranges for int8: give images with --images FOLDER"
    if reason := reason_noise(inputs):
        return reason
    try:
        inputs.engine.runnable()
    except UnavailableError as error:
        return f"not measured here: {error.message}"
    return ""


def reason_noise(inputs: BuildInputs) -> str:
    """Why int8 is not evaluated on noise; "" where there are images, or with `force`."""
    if inputs.force or not inputs.check.is_noise:
        return ""
    return "noise cannot show what int8 loses: give images of the camera with --images FOLDER"


def build_unmeasured(inputs: BuildInputs, reason: str, progress: Progress) -> Choice:
    """int8 where there are ranges and it keeps the labels, else the best float; with the reason in its decision."""
    choice, device = None, inputs.options.device
    if inputs.can_be_int8 and not inputs.engine.simulates:
        try:
            choice = build(inputs, Precision.INT8, progress)
        except AgreementError as error:
            reason += f", and {error.message}"
    best = best_float(inputs.engine, device)
    choice = choice or built_or_fp32(lambda each: build(inputs, each, progress), best, inputs.engine)
    record = {"summary": f"{choice.name} chosen: {reason}", "device": inputs.engine.device_to_build_for(device)}
    return dataclasses.replace(choice, engine=dataclasses.replace(choice.engine, decision=record))


def search_request(inputs: BuildInputs, auto: Auto) -> SearchRequest:
    """The request for `autotune`."""
    spec = inputs.onnx.spec
    if auto.short:
        evaluation_set = short_evaluation_set(spec, auto.data, inputs.images, inputs.calibrated_on)
    else:
        evaluation_set = evaluation_set_from_options(
            spec, auto.data, inputs.images, inputs.calibrated_on or SEARCH_IMAGES
        )
    budget = dataclasses.replace(auto.budget, sure=False) if auto.short and auto.data is None else auto.budget
    return SearchRequest(
        inputs.onnx,
        inputs.table if inputs.can_be_int8 else None,
        inputs.engine,
        evaluation_set,
        dataclasses.replace(budget, max_drop=1.0, min_agreement=0.0) if inputs.force else budget,
        run=inputs.run,
        check=inputs.check,
        options=inputs.options,
        short=auto.short,
        force=inputs.force,
    )


def fastest(choices: Sequence[Choice], rgb: Array, run: RunOptions) -> Choice:
    """The engine of `choices`, which are from one model, that is fastest on the frame `rgb`."""
    first = choices[0].engine.engine
    if len(choices) == 1:
        return choices[0]
    with contextlib.ExitStack() as stack:
        segmenters = {}
        for each in choices:
            segmenter = open_segmenter(each.engine.path, device=run.device, threads=run.threads)
            segmenters[each.engine.engine] = stack.enter_context(segmenter)
        timings = benchmark(segmenters, rgb, base=first)
    best = min(choices, key=lambda each: timings[each.engine.engine].ratio_to(timings[first]).value)
    name = best.engine.engine
    speed = ", ".join(
        f"{faster(timings[name].ratio_to(timings[other]))} than {other}" for other in timings if other != name
    )
    summary = f"{best.engine.decision.get('summary') or best.name}; {name} is {speed}"
    record = {**best.engine.decision, "summary": summary}
    record["engines"] = {other: timing.latency.to_dict() for other, timing in timings.items()}
    return dataclasses.replace(best, engine=dataclasses.replace(best.engine, decision=record))
