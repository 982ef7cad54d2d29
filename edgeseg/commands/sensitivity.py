"""`edgeseg sensitivity`: which parts of a model INT8 harms, and what it costs to keep them in float."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from edgeseg.commands.options import (
    ENGINES_FOLDER,
    CalibrationFolder,
    Engine,
    Json,
    Limit,
    Model,
    Ranges,
    Threads,
    option,
)

if TYPE_CHECKING:
    from edgeseg.autotune.autotune import SearchRequest
    from edgeseg.autotune.evaluation_set import EvaluationSet
    from edgeseg.autotune.sensitivity import Effect, Sensitivity
    from edgeseg.measure.estimate import Estimate
    from edgeseg.progress import Progress

LEVELS = ("blocks", "layers")
Effects = dict[str, list["Effect"]]  # by level

EXAMPLES = """
  edgeseg sensitivity bisenetv2-camvid --data 'camvid:CamVid?split=test'
  edgeseg sensitivity model.onnx --images frames/ --layers
"""


def command(
    model: Model,
    data: Annotated[str | None, option("--data URI", "Images to measure on; with labels the measure is mIoU.")] = None,
    engine: Engine = None,
    images: CalibrationFolder = None,
    ranges: Ranges = None,
    limit: Limit = 100,
    judge: Annotated[int, option("--judge N", "Measure on N images, drawn at random.", min=8)] = 64,
    layers: Annotated[bool, option("--layers", "Measure every layer too; this is slow.")] = False,
    label_changes: Annotated[
        int, option("--flips N", "Draw the changed pixels of the N images with the most changes.", min=0)
    ] = 0,
    threads: Threads = None,
    output: Annotated[Path, option("-o --output DIR", "Folder for the plots.")] = ENGINES_FOLDER,
    as_json: Json = False,
) -> None:
    """Rank the blocks of MODEL by how much INT8 harms them.

    The result has, for each block, the accuracy lost by INT8 in that block alone, and the time that keeping it in float
    adds. Ctrl-C stops and prints what was measured so far.
    """
    from edgeseg.autotune.autotune import check_measurable
    from edgeseg.autotune.sensitivity import Sensitivity
    from edgeseg.commands.terminal import note, shown_progress, wrote
    from edgeseg.conversion import scratch_in
    from edgeseg.engines import default_engine, open_engine
    from edgeseg.engines.options import RunOptions

    engine = engine or default_engine()
    check_measurable(open_engine(engine))
    check_ranges_available(model, images, ranges)
    effects: Effects = {level: [] for level in LEVELS[: 1 + layers]}
    interrupted = False
    with scratch_in(output) as scratch:
        with shown_progress() as progress:
            request = request_from_options(model, engine, ranges, data, images, limit, scratch, progress)
            evaluation_set = with_fewer_images(request.evaluation_set, judge)
            request = dataclasses.replace(request, evaluation_set=evaluation_set, run=RunOptions(threads=threads))
            progress("int8", 0, None)
            study = Sensitivity(request, scratch)
            try:
                measure(study, effects, progress)
            except KeyboardInterrupt:
                interrupted = True
        name = f"{request.onnx.path.stem}.{engine}"
        paths = plots(output, name, study, effects)
        if label_changes and not interrupted:
            paths.append(label_change_sheet(output / f"{name}.flips.png", study, label_changes))
    show(model, engine, study, effects, interrupted, as_json)
    for path in paths:
        wrote(path)
    if interrupted:
        done = ", ".join(f"{len(rows)} {level}" for level, rows in effects.items())
        note(f"interrupted after {done}")
        raise KeyboardInterrupt
    data_option = f" --data {shlex.quote(data)}" if data else ""
    wrote(None, f"edgeseg convert {model} --engine {engine} --precision auto{data_option}")


def check_ranges_available(model: str, images: str | None, ranges: Path | None) -> None:
    """Raise MismatchError, before anything is built, where int8 would have no ranges."""
    from edgeseg.errors import MismatchError
    from edgeseg.recipe import bundled_ranges

    if images is None and ranges is None and bundled_ranges(model) is None:
        message = f"int8 needs ranges, and there is no range table for {Path(model).name}"
        hint = "calibrate: add --images FOLDER, or name a table: --ranges FILE"
        raise MismatchError(message, hint=hint, code="ES-RANGES-MISSING")


def request_from_options(
    model: str, engine: str, ranges: Path | None, data: str | None, images: str | None, limit: int,
    scratch: Path, progress: Progress,
) -> SearchRequest:  # fmt: skip
    """The float ONNX of MODEL in `scratch`, its ranges and the evaluation set."""
    from edgeseg.autotune.autotune import SearchRequest
    from edgeseg.autotune.evaluation_set import evaluation_set_from_options
    from edgeseg.conversion import float_onnx, range_table
    from edgeseg.engines import open_engine

    progress("export", 0, None)
    onnx, _ = float_onnx(model, scratch, images=images)
    evaluation_set = evaluation_set_from_options(onnx.spec, data, images, limit)
    table = range_table(model, onnx, ranges=ranges, images=images, limit=limit, progress=progress)
    return SearchRequest(onnx, table, open_engine(engine), evaluation_set)


def with_fewer_images(evaluation_set: EvaluationSet, count: int) -> EvaluationSet:
    """`evaluation_set` with `count` images, selected by seed."""
    from edgeseg.datasets.pairs import random_subset

    return dataclasses.replace(evaluation_set, images=random_subset(evaluation_set.images, count))


def measure(study: Sensitivity, effects: Effects, progress: Progress) -> None:
    """Add to `effects` block by block and layer by layer; after an interrupt they are those so far."""
    from edgeseg.autotune.blocks import Block, blocks_from_layers

    single = [Block(layer.removesuffix("/Conv"), (layer,)) for layer in study.layers]
    for level, blocks in zip(LEVELS, (blocks_from_layers(study.layers), single)):
        for number, block in enumerate(blocks if level in effects else ()):
            progress(level, number, len(blocks))
            effects[level].append(study.measure(block))
            progress(level, number + 1, len(blocks))


def plots(folder: Path, name: str, study: Sensitivity, effects: Effects) -> list[Path]:
    """Plot each level that has rows, and return the paths."""
    from edgeseg.autotune.plots import draw_sensitivity

    paths = {level: folder / f"{name}.{'' if level == 'blocks' else level + '.'}sensitivity.png" for level in effects}
    title = f"{name.replace('.', ' on ')}, {whole_text(study)}"
    return [paths[level] for level, rows in effects.items() if rows and draw_sensitivity(paths[level], rows, title)]


def label_change_sheet(path: Path, study: Sensitivity, count: int) -> Path:
    """Draw the label changes of the images in which int8 changes most labels."""
    from edgeseg.autotune.label_changes import draw_label_changes, worst

    evaluation_set, open_engine = study.evaluation_set, study.evaluator.open
    images = [evaluation_set.images[index] for index in worst(study.scores.agreement, count)]
    with open_engine(study.reference) as reference, open_engine(study.int8) as int8:
        ignore = evaluation_set.classes[1] if evaluation_set.classes else 255
        draw_label_changes(path, images, reference, int8, ignore, evaluation_set.match)
    return path


def show(model: str, engine: str, study: Sensitivity, effects: Effects, interrupted: bool, as_json: bool) -> None:
    """Print all effects, the costliest first."""
    from edgeseg.autotune.sensitivity import ranked
    from edgeseg.commands.terminal import print_json, print_table

    if as_json:
        data: dict[str, Any] = {"model": model, "engine": engine, "interrupted": interrupted, **study.to_dict()}
        print_json(data | {level: [each.to_dict() for each in ranked(rows)] for level, rows in effects.items()})
        return
    unit = "labels changed, % (95%)" if study.evaluation_set.classes is None else "mIoU lost (95%)"
    columns = [unit, "labels as fp32, %", "SQNR dB", "float adds ms", "float adds % (95%)"]
    print(f"each block alone in int8, evaluated on {len(study.scorer)} images of {study.evaluation_set.source}")
    for level, rows in effects.items():
        cells = [row_from_effect(each) for each in (study.whole, *ranked(rows))]
        print_table([level.removesuffix("s"), "layers", *columns], cells)
    if study.evaluation_set.classes is not None:
        print_table(["class", "IoU float, %", "IoU int8, %", "lost"], list(class_rows(study)))


def row_from_effect(effect: Effect) -> list[str]:
    """One line of the table."""
    sqnr = "-" if effect.sqnr_db is None else f"{effect.sqnr_db:.1f}"
    times = ["-", "-"]
    if (ablation := effect.ablation) is not None:
        times = [f"{ablation.lost_ms:.2f}", interval(ablation.ratio, lambda ratio: 100 * (ratio - 1), 1)]
    loss, same = interval(effect.loss, lambda share: 100 * share, 2), f"{100 * effect.agreement.value:.2f}"
    return [effect.block.name, str(len(effect.block.layers)), loss, same, sqnr, *times]


def interval(figure: Estimate, unit: Callable[[float], float], digits: int) -> str:
    """ "0.21 (0.10 to 0.33)"."""
    value, low, high = (f"{unit(end):.{digits}f}" for end in (figure.value, figure.low, figure.high))
    return f"{value} ({low} to {high})"


def class_rows(study: Sensitivity) -> Sequence[list[str]]:
    """The IoU of each class by the float and the int8 engine, the largest loss first."""
    rows = sorted(study.classes(), key=lambda row: row[2] - row[1])
    return [
        [name, f"{100 * before:.2f}", f"{100 * after:.2f}", f"{100 * (before - after):.2f}"]
        for name, before, after in rows
    ]


def whole_text(study: Sensitivity) -> str:
    """The effect of int8 for all layers, in words."""
    loss, ablation = study.whole.loss, study.whole.ablation
    what = "% of the labels changed" if study.evaluation_set.classes is None else "points of mIoU lost"
    lost = f"{interval(loss, lambda share: 100 * share, 2)} {what}"
    faster = f", {ablation.ratio.value:.2f}x faster" if ablation else ""
    return f"all in int8: {lost} on {len(study.scorer)} images{faster}"
