"""`edgeseg compare`: whether B is faster or slower than A, from records or from both engines side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeseg.commands.options import (
    INPUT,
    OUTPUT,
    CheckFolder,
    Device,
    EngineOfEach,
    Json,
    PrecisionOfEach,
    SizeText,
    Threads,
    option,
    segmenters_from_options,
)

if TYPE_CHECKING:
    from edgeseg.bench.compare import Comparison, Figure
    from edgeseg.bench.export import ExportedValue
    from edgeseg.bench.record import BenchRecord
    from edgeseg.measure.estimate import Estimate
    from edgeseg.progress import Progress
    from edgeseg.segmenter import Segmenter

REGRESSION = 1  # the exit code
FRAMES = 8
TITLES = {"cpu_ms": "CPU ms", "p50_ms": "wall ms"}
EXAMPLES = """
  edgeseg compare before/ after/ --tolerance 3
  edgeseg compare fp32.onnx int8.onnx --data 'camvid:CamVid?split=test'
  edgeseg compare record.json --export bencher -o bencher.json
"""


def command(
    a: Annotated[
        str, typer.Argument(metavar="A", help="A record of bench, a folder of records, an engine or a model.")
    ],
    b: Annotated[str | None, typer.Argument(metavar="[B]", help="What is compared with A, of the same kind.")] = None,
    engine: EngineOfEach = None,
    precision: PrecisionOfEach = None,
    size: SizeText = None,
    images: CheckFolder = None,
    data: Annotated[str | None, option("--data URI", "Labelled images, to compare mIoU as well.", INPUT)] = None,
    device: Device = "auto",
    threads: Threads = None,
    tolerance: Annotated[
        float, option("--tolerance PERCENT", "Times that differ by less are equal.", min=0.1, max=100)
    ] = 2.0,
    max_drop: Annotated[
        float, option("--max-drop POINTS", "The mIoU that B may lose, in percentage points.", min=0, max=100)
    ] = 0.5,
    across: Annotated[
        list[str] | None,
        option("--across FIELD", "Allow records that differ in device, versions, conditions or one field; repeatable."),
    ] = None,
    strict: Annotated[
        bool, option("--strict", "Exit with 1 also where a figure has no answer, or a record no partner.")
    ] = False,
    export: Annotated[
        str | None, option("--export FORMAT", "bencher or github-action-benchmark: export the figures of B.", OUTPUT)
    ] = None,
    output: Annotated[Path | None, option("-o --output FILE", "File for --export.", OUTPUT, "stdout")] = None,
    as_json: Json = False,
) -> int:
    """Say whether B is faster or slower than A.

    Records are compared as they are. Engines and models are timed side by side in one process, in turns ABBA, so that
    other load affects both alike. Each ratio B/A has an interval of 99%: better, worse, equal within --tolerance, or
    inconclusive. The exit code is 1 where B is slower, or its mIoU lower by more than --max-drop; with --strict also
    where that cannot be told.
    """
    from edgeseg.bench.export import values_from_comparison
    from edgeseg.commands.terminal import shown_progress

    check_options(export, output, as_json)
    alone = 0
    if is_records(a):
        check_kinds(a, b)
        limits = tolerance / 100, max_drop / 100
        comparisons, values, alone = compare_paths(a, b, *limits, across or [], export is not None)
    else:
        check_kinds(a, b, side_by_side=True)
        with shown_progress() as progress:
            opened = segmenters_from_options((a, b or ""), engine, precision, size, device, threads, progress)
            comparisons = [side_by_side(opened, images, data, tolerance / 100, max_drop / 100, progress)]
        values = [value for each in comparisons for value in values_from_comparison(each)]
    show(comparisons, values, export, output, as_json, tolerance)
    unknown = strict and (alone > 0 or not all(each.is_complete for each in comparisons))
    return REGRESSION if unknown or any(each.is_regression for each in comparisons) else 0


def is_records(path: str) -> bool:
    """Whether `path` is a record or a folder of records, not an engine or model."""
    return path.endswith(".json") or Path(path).is_dir()


def check_options(export: str | None, output: Path | None, as_json: bool) -> None:
    """MismatchError or UnknownNameError for options that do not go together."""
    from edgeseg.bench.export import export_named
    from edgeseg.errors import MismatchError

    if export is not None:
        export_named(export)
    message = ""
    if output is not None and export is None:
        message, hint = "-o is for --export, which is missing", "add --export bencher, or use --json > FILE"
    elif export is not None and output is None and as_json:
        message, hint = "--json and --export both go to stdout", "add -o FILE for --export"
    if message:
        raise MismatchError(message, hint=hint, code="ES-MISMATCH-OPTIONS")


def check_kinds(a: str, b: str | None, *, side_by_side: bool = False) -> None:
    """MismatchError unless A and B are both records, or both models."""
    from edgeseg.errors import MismatchError

    if (b is None and side_by_side) or (b is not None and is_records(b) == side_by_side):
        kind = "model" if side_by_side else "record"
        message = f"{a} is a {kind}, and {b or 'B'} is {'missing' if b is None else 'none'}"
        hint = "give two records, two folders of records, or two models"
        raise MismatchError(message, hint=hint, code="ES-MISMATCH-OPTIONS")


def compare_paths(
    a: str, b: str | None, tolerance: float, max_drop: float, across: Sequence[str], exported: bool
) -> tuple[list[Comparison], list[ExportedValue], int]:
    """Compare two records, or the matching ones of two folders; of one, only export. Last, how many have no partner."""
    from edgeseg.bench.compare import compare_records, matched_records
    from edgeseg.bench.export import values_from_records
    from edgeseg.bench.same_conditions import check_fields
    from edgeseg.commands.terminal import note
    from edgeseg.errors import DataError, MismatchError

    before, after = records_from_path(a), None if b is None else records_from_path(b)
    values = values_from_records(before if after is None else after) if exported else []
    if after is None:
        if not exported:
            hint = f"name what it is compared with, or add --export bencher: edgeseg compare {a} B"
            raise MismatchError("there is nothing to compare with", hint=hint, code="ES-MISMATCH-OPTIONS")
        return [], values, 0
    check_fields(across, [*before, *after])
    pairs, alone, others = matched_records(before, after)
    if Path(a).is_file() and Path(b or a).is_file():  # whatever they are of
        pairs, alone, others = [(before[0], after[0])], [], []
    for side, records in (("A", alone), ("B", others)):
        for record in records:
            note(f"note: only {side} has {record.model.name} {record.model.engine} {record.conditions.scenario}")
    if not pairs:
        message = f"no record of {a} matches one of {b}"
        hint = "name the two records themselves to compare different models or engines"
        raise DataError(message, hint=hint, code="ES-DATA-NO-RECORDS")
    compared = [compare_records(*pair, across=across, tolerance=tolerance, max_drop=max_drop) for pair in pairs]
    return compared, values, len(alone) + len(others)


def records_from_path(path: str) -> list[BenchRecord]:
    """The records of a file or folder."""
    from edgeseg.bench.report.stored import records_from_paths
    from edgeseg.commands.terminal import note

    collection = records_from_paths([Path(path)])
    for file in collection.unreadable:
        note(f"note: {file.path} is left out: {file.reason}")
    return [stored.record for stored in collection.records]


def side_by_side(
    opened: Sequence[Segmenter],
    images: str | None,
    data: str | None,
    tolerance: float,
    max_drop: float,
    progress: Progress,
) -> Comparison:
    """Compare two opened models, and close them."""
    from edgeseg.bench.compare_engines import compare_engines
    from edgeseg.check_images import bench_images
    from edgeseg.datasets import open_dataset

    with opened[0] as a, opened[1] as b:
        dataset, frames = open_dataset(data) if data else None, bench_images(a.spec, images, FRAMES)
        return compare_engines(a, b, frames, dataset, tolerance=tolerance, max_drop=max_drop, progress=progress)


def show(
    comparisons: Sequence[Comparison], values: Sequence[ExportedValue], export: str | None, output: Path | None,
    as_json: bool, tolerance: float,
) -> None:  # fmt: skip
    """Print the comparisons, and write or print what is exported."""
    import json

    from edgeseg.bench.export import export_named
    from edgeseg.commands.terminal import print_json, wrote
    from edgeseg.files import write_text

    exported = export_named(export)(values) if export is not None else None
    if output is not None:
        write_text(output, json.dumps(exported, indent=1) + "\n")
        wrote(output)
    if as_json:
        print_json({"comparisons": [each.to_dict() for each in comparisons]})
    elif export is not None and output is None:
        print_json(exported)
    else:
        for each in comparisons:
            print_comparison(each, tolerance)


def print_comparison(comparison: Comparison, tolerance: float) -> None:
    """Print a row for each figure, and notes."""
    from edgeseg.commands.terminal import note, print_table

    print(f"A: {comparison.a}\nB: {comparison.b}")
    rows = [figure_row(each, tolerance) for each in comparison.figures]
    if (miou := comparison.miou) is not None:
        drop = f"{-100 * miou.drop.value:+.2f} points ({interval(miou.drop, -100, 2, '+')})"
        answer = f"equal within {100 * miou.max_drop:g} points" if miou.answer == "equal" else miou.answer
        name = f"mIoU, %, {miou.images} images"
        rows.append([name, f"{100 * miou.a:.2f}", f"{100 * miou.b:.2f}", drop, answer])
    print_table(["figure", "A", "B", "B/A (99%)", "answer"], rows, title=comparison.name)
    for field in comparison.across:
        note(f"note: the records differ in {field}")
    for each in comparison.not_compared:
        note(f"note: not compared: {each}")


def figure_row(figure: Figure, tolerance: float) -> list[str]:
    """The cells of one figure."""
    ratio = f"{figure.ratio.value:.3f} ({interval(figure.ratio, 1, 3)})" if figure.ratio else "-"
    answer = f"equal within {tolerance:g}%" if figure.answer == "equal" else figure.answer
    name = f"{figure.scope}, {TITLES[figure.name]}"
    reason = f": {figure.reason}" if figure.reason else ""
    return [name, f"{figure.a:.2f}", f"{figure.b:.2f}", ratio, answer + reason]


def interval(estimate: Estimate, factor: float, digits: int, sign: str = "") -> str:
    """ "0.981 to 1.003"."""
    low, high = sorted((factor * estimate.low, factor * estimate.high))
    return f"{low:{sign}.{digits}f} to {high:{sign}.{digits}f}"
