"""`edgeseg data`: what a data set holds."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeseg.commands.options import Json

if TYPE_CHECKING:
    from edgeseg.datasets.dataset import Sample
    from edgeseg.datasets.survey import Survey
    from edgeseg.spec import LabelSet

SHEET_ROWS, SHEET_WIDTH = 4, 1600
BAR = 24


def command(
    uri: Annotated[str, typer.Argument(metavar="URI", help="camvid:PATH?split=test, folder:PATH, street:?seed=1, ...")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="PNG", help="A contact sheet: pictures under their labels.")
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Read that many pairs, chosen by seed.")] = None,
    columns: Annotated[int, typer.Option("--columns", min=1, help="Of the contact sheet, which has 4 rows.")] = 4,
    as_json: Json = False,
) -> None:
    """Read every pair of a data set: sizes, classes, what cannot be used (then it ends with 2), a contact sheet."""
    from edgeseg.commands.terminal import print_json, shown_progress, wrote
    from edgeseg.datasets import open_dataset
    from edgeseg.datasets.digest import dataset_sha256
    from edgeseg.datasets.pick import drawn
    from edgeseg.datasets.survey import survey_dataset

    dataset = open_dataset(uri)
    samples = drawn(dataset.samples, limit)
    with shown_progress() as progress:
        survey = survey_dataset(dataset, samples, progress=progress)
        sha256 = dataset_sha256(dataset, progress=progress) if len(samples) == len(dataset) else None
    if as_json:
        print_json({"data": dataset.name, "pairs": len(dataset), **survey.to_dict(), "sha256": sha256})
    else:
        print_survey(dataset.name, len(dataset), survey, sha256)
    if output is not None and survey.readable:
        write_sheet(output, drawn(survey.readable, SHEET_ROWS * columns), survey.labels, columns)
        wrote(output)
    survey.problems.check(dataset.name)
    wrote(None, f"edgeseg eval MODEL --data {shlex.quote(uri)}")


def print_survey(name: str, pairs: int, survey: Survey, sha256: str | None) -> None:
    """One table of the set, one of its classes."""
    from edgeseg.commands.terminal import print_table

    sizes = [f"{W}x{H} ({count})" for (H, W), count in survey.sizes.most_common(3)]
    more = [f"{len(survey.sizes) - 3} more"] if len(survey.sizes) > 3 else []
    print_table(
        ["data", "value"],
        [
            ["name", name],
            ["pairs", f"{pairs}, {len(survey.readable)} of them read and sound"],
            ["sizes", ", ".join(sizes + more)],
            ["classes", f"{sum(survey.images[: len(survey.labels)] > 0)} of {len(survey.labels)} occur"],
            ["sha256", sha256 or "not taken of a part"],
        ],
    )
    shares, most = survey.shares(), max(survey.shares().max(), survey.ignored(), 1e-9)
    rows = [(n, share, count) for n, share, count in zip(survey.labels.names, shares, survey.images)]
    rows.append(("(not judged)", survey.ignored(), survey.images[survey.labels.ignore]))
    print_table(
        ["class", "% of pixels", "images", ""],
        [[n, f"{100 * share:.2f}", count, "#" * round(BAR * share / most)] for n, share, count in rows],
    )


def write_sheet(path: Path, samples: Sequence[Sample], labels: LabelSet, columns: int) -> None:
    """Pictures with their labels over them, on one page."""
    import cv2
    import numpy as np

    from edgeseg.files import whole_file
    from edgeseg.pixels.contact import contact_sheet
    from edgeseg.pixels.overlay import overlay_labels

    palette = np.array(labels.palette, np.uint8)
    pictures = [overlay_labels(sample.rgb(), sample.labels(), palette) for sample in samples]
    sheet = contact_sheet(pictures, columns, SHEET_WIDTH, labels.colors())
    with whole_file(path) as partial:
        partial.write_bytes(cv2.imencode(".png", sheet[..., ::-1])[1].tobytes())
