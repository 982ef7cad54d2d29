"""What the commands print: results on stdout, progress and notes on stderr."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeseg.progress import Progress

LONGEST_WORD = 40  # in a sentence; a longer one is broken
LINE_SECONDS = 10.0  # between two lines of progress where there is no terminal

if TYPE_CHECKING:
    from edgeseg.provenance import Agreement


def print_json(data: Any) -> None:
    """One JSON document on stdout; what is not a number becomes null."""
    from edgeseg.artifact import without_nan

    print(json.dumps(without_nan(data), indent=1, default=str))


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    title: str | None = None,
    expendable: Sequence[str] = (),
) -> None:
    """A table on stdout; columns of numbers are aligned to the right, and single words are never broken.

    expendable: the columns that are left out, in this order, where the terminal is too narrow for all.
    """
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    cells = [[str(cell) for cell in row] for row in rows]
    shown, droppable, width = list(range(len(columns))), list(expendable), terminal_width()
    lines = [[line[i] for i in shown] for line in (columns, *cells)]
    while droppable and sum(map(least_width, zip(*lines))) > room_in(width, len(shown)):
        shown.remove(columns.index(droppable.pop(0)))
        lines = [[line[i] for i in shown] for line in (columns, *cells)]
    table = Table(title=title, box=SIMPLE_HEAD, title_justify="left", pad_edge=False)
    widths = column_widths(list(zip(*lines)), room_in(width, len(shown)))
    for index, column in enumerate(lines[0]):
        numeric = bool(cells) and all(is_number(row[index]) for row in lines[1:])
        table.add_column(column, justify="right" if numeric else "left", overflow="fold", width=widths[index])
    for row in lines[1:]:
        table.add_row(*row)
    whole = max(width, sum(widths) + width - room_in(width, len(shown)))
    Console(width=whole, highlight=False, markup=False).print(table)


def room_in(width: int, columns: int) -> int:
    """What the lines and gaps of a table leave to its columns."""
    return width - (3 * columns - 1)


def least_width(texts: Sequence[str]) -> int:
    """The width that a column (heading first) needs: no single word is broken, and no usual word of a sentence."""
    single = all(len(text.split()) <= 1 for text in texts[1:])
    words = [len(word) for text in texts for word in text.split()]
    return max([1, *words] if single else [1, *(min(length, LONGEST_WORD) for length in words)])


def column_widths(columns: Sequence[Sequence[str]], room: int) -> list[int]:
    """The width of each column (heading first): its longest line, or where there is no room, a fair share of it."""
    widths, most = [*map(least_width, columns)], [max(1, *map(len, texts)) for texts in columns]
    wanting = sorted(range(len(columns)), key=lambda i: most[i] - widths[i])
    for place, index in enumerate(wanting):
        share = max(0, room - sum(widths)) // (len(wanting) - place)
        widths[index] += min(share, max(0, most[index] - widths[index]))
    return widths


def terminal_width() -> int:
    """The columns of the terminal, or what COLUMNS says; 200 where stdout is a file or a pipe."""
    from rich.console import Console

    return Console().width if sys.stdout.isatty() or "COLUMNS" in os.environ else 200


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


def progress_lines(clock: Callable[[], float] = time.monotonic) -> Progress:
    """A line on stderr for each task that takes long, every LINE_SECONDS: a sign of life in a log file."""
    latest: dict[str, float] = {}

    def show(task: str, done: int, total: int | None) -> None:
        now = clock()
        if now - latest.setdefault(task, now) >= LINE_SECONDS:
            latest[task] = now
            print(f"{task}: {done}" + (f" of {total}" if total else ""), file=sys.stderr, flush=True)

    return show


@contextmanager
def shown_progress() -> Iterator[Progress]:
    """A progress bar a task on a terminal; elsewhere a line every while."""
    if not sys.stderr.isatty():
        yield progress_lines()
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
