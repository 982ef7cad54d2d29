"""The figures of a training by step, in a CSV file."""

from __future__ import annotations

import csv
import math
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from edgeseg.errors import FileProblem
from edgeseg.files import existing_file, whole_file

NAME = "log.csv"


@dataclass(frozen=True)
class Row:
    """Figures after `step` steps: the mean loss since the previous row; val_miou is nan without a validation."""

    step: int
    loss: float
    learning_rate: float
    images_per_second: float = math.nan
    val_miou: float = math.nan


COLUMNS = [field.name for field in fields(Row)]


class Log:
    """All rows of a training, in memory and in a file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[Row] = rows_from_file(path) if path.exists() else []

    def cut(self, step: int) -> None:
        """Drop the rows after `step`, that of the checkpoint, and rewrite the file."""
        self.rows = [row for row in self.rows if row.step <= step]
        with whole_file(self.path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            writer.writerows(map(cells, self.rows))

    def append(self, row: Row) -> None:
        """Add a row."""
        self.rows.append(row)
        try:
            with self.path.open("a", newline="", encoding="utf-8") as file:
                csv.writer(file).writerow(cells(row))
        except OSError as problem:
            reason = problem.strerror or str(problem)
            raise FileProblem(f"cannot write {self.path}: {reason}", hint="name another folder with -o") from problem


def cells(row: Row) -> list[str]:
    """A row as text; nan is empty."""
    return ["" if isinstance(value, float) and math.isnan(value) else str(value) for value in asdict(row).values()]


def rows_from_file(path: Path) -> list[Row]:
    """The rows of a log; missing columns are nan. An incomplete line is skipped."""
    rows = []
    with existing_file(path).open(newline="", encoding="utf-8", errors="replace") as file:
        for line in csv.DictReader(file):
            if None in line.values():
                continue
            try:
                figures = [float(line.get(name) or "nan") for name in COLUMNS[1:]]
                rows.append(Row(int(line["step"]), *figures))
            except (KeyError, TypeError, ValueError):
                continue
    return rows
