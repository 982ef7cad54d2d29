"""Where INT8 and float label most differently, as an image beside each INT8 record of a matrix."""

from __future__ import annotations

import dataclasses
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from edgeseg.bench.difference_sheet import SHEET
from edgeseg.bench.matrix import MatrixCase, MatrixOutcome, run_command
from edgeseg.bench.report.images import image_path

LIMIT = 40  # images to look through


def write_images(
    outcomes: Sequence[MatrixOutcome], run: Callable[[list[str]], tuple[int, str]] = run_command
) -> Iterator[tuple[Path, str]]:
    """The path of each image that is written, or the reason why it is not. Images of records that were there are kept.

    Of INT8 records whose fp32 twin is in the matrix, too, and that have labelled data.
    """
    measured = {outcome.case for outcome in outcomes if outcome.record is not None}
    for outcome in outcomes:
        case, path = outcome.case, image_path(outcome.path)
        twin = dataclasses.replace(case, precision="fp32")
        if case.precision != "int8" or not {case, twin} <= measured or "data" not in case.options:
            continue
        if path.exists() and not outcome.seconds:
            continue
        path.unlink(missing_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            _, said = run(diff_command(case, folder))
            sheet = Path(folder) / SHEET
            if sheet.exists():  # the exit code is 1 where a class lost
                shutil.move(sheet, path)
            yield path, "" if path.exists() else said.strip()


def diff_command(case: MatrixCase, folder: str) -> list[str]:
    """The command that draws it into a folder."""
    words = ["--size", case.size, "--engine", case.engine, "--device", case.device, "--precision", "fp32"]
    words += ["--precision", "int8", "--data", case.options["data"], "--limit", str(LIMIT), "--worst", "1"]
    return [sys.executable, "-m", "edgeseg", "diff", case.model, case.model, *words, "-o", folder]
