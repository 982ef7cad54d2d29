"""`edgeseg data`: check a data set."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeseg.commands.options import Json, option

if TYPE_CHECKING:
    from edgeseg.datasets.dataset import Sample
    from edgeseg.datasets.survey import Survey
    from edgeseg.spec import LabelSet

SHEET_ROWS, SHEET_WIDTH = 4, 1600
BAR = 24

EXAMPLES = """
  edgeseg data 'camvid:CamVid?split=test' -o sheet.png
  edgeseg data street:?seed=1
"""


def command(
    uri: Annotated[
        str, typer.Argument(metavar="URI", help="Such as camvid:PATH?split=test, folder:PATH or street:?seed=1.")
    ],
    output: Annotated[
        Path | None, option("-o --output PNG", "Write a contact sheet of images with their labels.")
    ] = None,
    limit: Annotated[int | None, option("--limit N", "Read N pairs, drawn at random.", default="all", min=1)] = None,
    columns: Annotated[int, option("--columns N", "Columns of the contact sheet.", min=1)] = 4,
    as_json: Json = False,
) -> None:
    """Check a data set: sizes, classes and unusable files.

    Every pair of image and label image is read. With unusable files the exit code is 2.
    """
    from edgeseg.commands.terminal import print_json, shown_progress, wrote
    from edgeseg.datasets import open_dataset
    from edgeseg.datasets.digest import dataset_sha256
    from edgeseg.datasets.pairs import random_subset
    from edgeseg.datasets.survey import survey_dataset

    dataset = open_dataset(uri)
    samples = random_subset(dataset.samples, limit)
    with shown_progress() as progress:
        survey = survey_dataset(dataset, samples, progress=progress)
        sha256 = dataset_sha256(dataset, progress=progress) if len(samples) == len(dataset) else None
    if as_json:
        print_json({"data": dataset.name, "pairs": len(dataset), **survey.to_dict(), "sha256": sha256})
    else:
        print_survey(dataset.name, len(dataset), survey, sha256)
    if output is not None and survey.readable:
        write_sheet(output, random_subset(survey.readable, SHEET_ROWS * columns), survey.labels, columns)
        wrote(output)
    survey.problems.check(dataset.name)
    wrote(None, f"edgeseg eval MODEL --data {shlex.quote(uri)}")


def print_survey(name: str, pairs: int, survey: Survey, sha256: str | None) -> None:
    """Print a table of the data set, and one of its classes."""
    from edgeseg.commands.terminal import print_table

    sizes = [f"{W}x{H} ({count})" for (H, W), count in survey.sizes.most_common(3)]
    more = [f"{len(survey.sizes) - 3} more"] if len(survey.sizes) > 3 else []
    print_table(
        ["data", "value"],
        [
            ["name", name],
            ["pairs", f"{pairs}, {len(survey.readable)} of them usable"],
            ["sizes", ", ".join(sizes + more)],
            ["classes", f"{sum(survey.images[: len(survey.labels)] > 0)} of {len(survey.labels)} occur"],
            ["sha256", sha256 or "not computed for a part"],
        ],
    )
    shares, most = survey.shares(), max(survey.shares().max(), survey.ignored(), 1e-9)
    rows = [(n, share, count) for n, share, count in zip(survey.labels.names, shares, survey.images)]
    rows.append(("(ignored)", survey.ignored(), survey.images[survey.labels.ignore]))
    print_table(
        ["class", "% of pixels", "images", ""],
        [[n, f"{100 * share:.2f}", count, "#" * round(BAR * share / most)] for n, share, count in rows],
    )


def write_sheet(path: Path, samples: Sequence[Sample], labels: LabelSet, columns: int) -> None:
    """Write images with their labels as an overlay, on one page."""
    import cv2
    import numpy as np

    from edgeseg.files import whole_file
    from edgeseg.pixels.contact import contact_sheet
    from edgeseg.pixels.overlay import overlay_labels

    palette = np.array(labels.palette, np.uint8)
    overlays = [overlay_labels(sample.rgb(), sample.labels(), palette) for sample in samples]
    sheet = contact_sheet(overlays, columns, SHEET_WIDTH, labels.colors())
    with whole_file(path) as partial:
        partial.write_bytes(cv2.imencode(".png", sheet[..., ::-1])[1].tobytes())
