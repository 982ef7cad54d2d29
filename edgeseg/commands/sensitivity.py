"""`edgeseg sensitivity`: which parts of a model int8 hurts, and what it would cost to leave them float."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeseg.commands.options import ENGINES_FOLDER, Engine, Json, Limit, Model, Threads

if TYPE_CHECKING:
    from edgeseg.autotune.autotune import SearchRequest
    from edgeseg.autotune.estimate import Estimate
    from edgeseg.autotune.evaluation_set import EvaluationSet
    from edgeseg.autotune.sensitivity import Effect, Sensitivity
    from edgeseg.progress import Progress

LEVELS = ("blocks", "layers")
Found = dict[str, list["Effect"]]


def command(
    model: Model,
    data: Annotated[
        str | None, typer.Option("--data", metavar="URI", help="Pictures to judge on; labels give mIoU.")
    ] = None,
    engine: Engine = None,
    images: Annotated[
        str | None, typer.Option("--images", metavar="DIR", help="Images to calibrate on, or a data set's URI.")
    ] = None,
    ranges: Annotated[Path | None, typer.Option("--ranges", metavar="FILE", help="A range table made before.")] = None,
    limit: Limit = 100,
    judge: Annotated[int, typer.Option("--judge", min=8, help="How many pictures to judge on, chosen by seed.")] = 64,
    layers: Annotated[bool, typer.Option("--layers", help="Every layer too, one by one: takes its time.")] = False,
    flips: Annotated[
        int, typer.Option("--flips", min=0, help="Draw the pixels that flip, in that many of the worst pictures.")
    ] = 0,
    threads: Threads = None,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="For the plots.")] = ENGINES_FOLDER,
    as_json: Json = False,
) -> None:
    """Rank the blocks of MODEL by what int8 costs in them alone, with the time that leaving them float takes.

    Ctrl-C ends with what was measured so far.
    """
    from edgeseg.autotune.autotune import check_decidable
    from edgeseg.autotune.sensitivity import Sensitivity
    from edgeseg.commands.terminal import note, shown_progress, wrote
    from edgeseg.conversion import scratch_in
    from edgeseg.engines import default_engine, open_engine
    from edgeseg.engines.options import RunOptions

    engine = engine or default_engine()
    check_decidable(open_engine(engine))
    check_ranges_available(model, images, ranges)
    found: Found = {level: [] for level in LEVELS[: 1 + layers]}
    stopped, drawn = False, []
    with scratch_in(output) as scratch:
        with shown_progress() as progress:
            question = question_from_options(model, engine, ranges, data, images, limit, scratch, progress)
            question = dataclasses.replace(
                question, panel=fewer(question.panel, judge), run=RunOptions(threads=threads)
            )
            progress("int8", 0, None)
            study = Sensitivity(question, scratch)
            try:
                measure(study, found, progress)
            except KeyboardInterrupt:
                stopped = True
        name = f"{question.onnx.path.stem}.{engine}"
        drawn = plots(output, name, study, found)
        if flips and not stopped:
            drawn.append(flip_sheet(output / f"{name}.flips.png", study, flips))
    show(model, engine, study, found, stopped, as_json)
    for path in drawn:
        wrote(path)
    if stopped:
        done = ", ".join(f"{len(effects)} {level}" for level, effects in found.items())
        note(f"stopped: these are the {done} until then")
        raise KeyboardInterrupt
    judged = f" --data {shlex.quote(data)}" if data else ""
    wrote(None, f"edgeseg convert {model} --engine {engine} --precision auto{judged}")


def check_ranges_available(model: str, images: str | None, ranges: Path | None) -> None:
    """Raise MismatchError, before anything is built, where int8 would have no ranges."""
    from edgeseg.errors import MismatchError
    from edgeseg.recipe import bundled_ranges

    if images is None and ranges is None and bundled_ranges(model) is None:
        message = f"int8 needs ranges, and there is no range table for {Path(model).name}"
        hint = "calibrate: add --images FOLDER, or name a table: --ranges FILE"
        raise MismatchError(message, hint=hint, code="ES-RANGES-MISSING")


def question_from_options(
    model: str, engine: str, ranges: Path | None, data: str | None, images: str | None, limit: int,
    scratch: Path, progress: Progress,
) -> SearchRequest:  # fmt: skip
    """What is to be measured: the float ONNX of MODEL in `scratch`, its ranges and the pictures."""
    from edgeseg.autotune.autotune import SearchRequest
    from edgeseg.autotune.evaluation_set import evaluation_set_from_options
    from edgeseg.conversion import float_onnx, range_table
    from edgeseg.engines import open_engine

    progress("export", 0, None)
    onnx, _ = float_onnx(model, scratch, images=images)
    panel = evaluation_set_from_options(onnx.spec, data, images, limit)
    table = range_table(model, onnx, ranges=ranges, images=images, limit=limit, progress=progress)
    return SearchRequest(onnx, table, open_engine(engine), panel)


def fewer(panel: EvaluationSet, count: int) -> EvaluationSet:
    """`panel` with `count` pictures to judge on, drawn by seed."""
    from edgeseg.datasets.pick import drawn

    return dataclasses.replace(panel, judged=drawn(panel.judged, count))


def measure(study: Sensitivity, found: Found, progress: Progress) -> None:
    """Fill `found`, one block or layer after the other, so that what is done is there whenever this is stopped."""
    from edgeseg.autotune.blocks import Block, blocks_from_layers

    single = [Block(layer.removesuffix("/Conv"), (layer,)) for layer in study.layers]
    for level, blocks in zip(LEVELS, (blocks_from_layers(study.layers), single)):
        for number, block in enumerate(blocks if level in found else ()):
            progress(level, number, len(blocks))
            found[level].append(study.measured(block))
            progress(level, number + 1, len(blocks))


def plots(folder: Path, name: str, study: Sensitivity, found: Found) -> list[Path]:
    """Draw each level that has rows; those that were drawn."""
    from edgeseg.autotune.sensitivity_plot import draw_sensitivity

    paths = {level: folder / f"{name}.{'' if level == 'blocks' else level + '.'}sensitivity.png" for level in found}
    title = f"{name.replace('.', ' on ')}, {whole_text(study)}"
    return [
        paths[level] for level, effects in found.items() if effects and draw_sensitivity(paths[level], effects, title)
    ]


def flip_sheet(path: Path, study: Sensitivity, count: int) -> Path:
    """Draw the pictures in which int8 changes most labels."""
    from edgeseg.autotune.label_changes import LEGEND, draw_label_changes, worst
    from edgeseg.commands.terminal import note

    pictures = [study.panel.judged[index] for index in worst(study.scores.agreement, count)]
    with study.trial.open(study.reference) as plain, study.trial.open(study.int8) as int8:
        ignore = study.panel.counted[1] if study.panel.counted else 255
        draw_label_changes(path, pictures, plain, int8, ignore, study.panel.match)
    note(f"flips: {LEGEND}")
    return path


def show(model: str, engine: str, study: Sensitivity, found: Found, stopped: bool, as_json: bool) -> None:
    """All that was measured, the costliest first."""
    from edgeseg.autotune.sensitivity import ranked
    from edgeseg.commands.terminal import print_json, print_table

    if as_json:
        data: dict[str, Any] = {"model": model, "engine": engine, "interrupted": stopped, **study.to_dict()}
        print_json(data | {level: [each.to_dict() for each in ranked(effects)] for level, effects in found.items()})
        return
    unit = "labels changed, % (95%)" if study.panel.counted is None else "mIoU lost (95%)"
    columns = [unit, "labels as float, %", "SQNR dB", "float adds ms", "float adds % (95%)"]
    print(f"in int8 alone: judged on {len(study.judge)} pictures of {study.panel.source}")
    for level, effects in found.items():
        rows = [row_from_effect(each) for each in (study.whole, *ranked(effects))]
        print_table([level.removesuffix("s"), "layers", *columns], rows)
    if study.panel.counted is not None:
        print_table(["class", "IoU float", "IoU int8", "lost"], list(class_rows(study)))


def row_from_effect(effect: Effect) -> list[str]:
    """One line of the table."""
    sqnr = "-" if effect.sqnr_db is None else f"{effect.sqnr_db:.1f}"
    times = ["-", "-"]
    if (weight := effect.weight) is not None:
        times = [f"{weight.lost_ms:.2f}", interval(weight.ratio, lambda ratio: 100 * (ratio - 1), 1)]
    loss, same = interval(effect.loss, lambda share: 100 * share, 2), f"{100 * effect.agreement.value:.2f}"
    return [effect.block.name, str(len(effect.block.layers)), loss, same, sqnr, *times]


def interval(figure: Estimate, unit: Callable[[float], float], digits: int) -> str:
    """ "0.21 (0.10 to 0.33)"."""
    value, low, high = (f"{unit(end):.{digits}f}" for end in (figure.value, figure.low, figure.high))
    return f"{value} ({low} to {high})"


def class_rows(study: Sensitivity) -> Sequence[list[str]]:
    """The IoU of each class, float and in int8 throughout, those that lose most first."""
    rows = sorted(study.classes(), key=lambda row: row[2] - row[1])
    return [
        [name, f"{100 * plain:.2f}", f"{100 * int8:.2f}", f"{100 * (plain - int8):.2f}"] for name, plain, int8 in rows
    ]


def whole_text(study: Sensitivity) -> str:
    """What int8 throughout does, in words."""
    loss, weight = study.whole.loss, study.whole.weight
    what = "% of the labels changed" if study.panel.counted is None else "points of mIoU lost"
    lost = f"{interval(loss, lambda share: 100 * share, 2)} {what}"
    faster = f", {weight.ratio.value:.2f}x faster" if weight else ""
    return f"all in int8: {lost} on {len(study.judge)} pictures{faster}"
