"""What the commands print: results on stdout, progress and notes on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeseg.progress import Progress, silent

if TYPE_CHECKING:
    from edgeseg.provenance import Agreement


def print_json(data: Any) -> None:
    """One JSON document on stdout; what is not a number becomes null."""
    from edgeseg.artifact import without_nan

    print(json.dumps(without_nan(data), indent=1, default=str))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str | None = None) -> None:
    """A table on stdout; columns of numbers are aligned to the right."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, box=SIMPLE_HEAD, title_justify="left", pad_edge=False)
    cells = [[str(cell) for cell in row] for row in rows]
    for index, column in enumerate(columns):
        numeric = bool(cells) and all(is_number(row[index]) for row in cells)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in cells:
        table.add_row(*row)
    console = Console(width=None if sys.stdout.isatty() else 200, highlight=False, markup=False)
    console.print(table)


def is_number(text: str) -> bool:
    """Whether `text` reads as a figure, or as none."""
    return text in ("", "-") or text.replace(".", "", 1).replace("%", "").replace("-", "", 1).strip().isdigit()


def wrote(path: Path | None, next_command: str = "") -> None:
    """Say what was written, and what to type next."""
    if path is not None:
        print(f"wrote {path}", file=sys.stderr)
    if next_command:
        print(f"next: {next_command}", file=sys.stderr)


def agreement_cells(agreement: Agreement) -> list[str]:
    """The share of labels as the float model's in percent, and the images of which that is true."""
    labels = "-" if agreement.labels is None else f"{100 * agreement.labels:.2f}"
    return [labels, f"{agreement.frames}: {agreement.images}" if agreement.frames else "-"]


def note(text: str) -> None:
    """A remark on stderr."""
    print(text, file=sys.stderr)


@contextmanager
def shown_progress() -> Iterator[Progress]:
    """A progress bar a task on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield silent
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description:10}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        TimeRemainingColumn(),
    )  # fmt: skip
    with Bars(*columns, console=Console(stderr=True)) as bars:
        tasks: dict[str, Any] = {}

        def show(task: str, done: int, total: int | None) -> None:
            if task not in tasks:
                tasks[task] = bars.add_task(task, total=total)
            bars.update(tasks[task], completed=done, total=total)

        yield show
