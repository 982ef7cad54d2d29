"""Printing for all commands: results on stdout, progress and notes on stderr."""

from __future__ import annotations

import json
import logging
import math
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any

LONGEST_WORD = 40  # in a sentence; a longer one is broken
LINE_SECONDS = 10.0  # between two lines of progress where there is no terminal

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    from edgeseg.provenance import Agreement
    from edgeseg.video.sink import FrameSink


def print_json(data: Any) -> None:
    """Print one JSON document on stdout; NaN becomes null."""
    from edgeseg.artifact import without_nan

    print(json.dumps(without_nan(data), indent=1, default=str))


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    title: str | None = None,
    expendable: Sequence[str] = (),
) -> None:
    """Print a table on stdout; numbers are aligned to the right, and single words are never broken.

    expendable: columns to leave out, in this order, where the terminal is too narrow.
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


def print_row(row: Mapping[str, object]) -> None:
    """Print a table of one row on stdout, by column."""
    print_table(list(row), [list(row.values())])


def room_in(width: int, columns: int) -> int:
    """The characters that a table's gaps leave to its columns."""
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
    """The width of the terminal, or COLUMNS; 200 where stdout is a file or a pipe."""
    from rich.console import Console

    return Console().width if sys.stdout.isatty() or "COLUMNS" in os.environ else 200


def is_number(text: str) -> bool:
    """Whether `text` is a number, empty or a dash."""
    return text in ("", "-") or text.replace(".", "", 1).replace("%", "").replace("-", "", 1).strip().isdigit()


def wrote(path: Path | None, next_command: str = "") -> None:
    """Print which file was written, and the next command."""
    if path is not None:
        note(f"wrote {path}")
    if next_command:
        note(f"next: {next_command}")


def wrote_by(sinks: Iterable[FrameSink]) -> None:
    """Print which files each sink wrote, and its notes."""
    for sink in sinks:
        for path in sink.files():
            wrote(path)
        for line in sink.notes:
            note(f"note: {line}")


def percent(fraction: float | None) -> str:
    """A fraction in percent, without the sign; "-" for None and nan."""
    return "-" if fraction is None or math.isnan(fraction) else f"{100 * fraction:.2f}"


def agreement_cells(agreement: Agreement) -> list[str]:
    """The share of labels that equal the float model's, in percent, and the images it was measured on."""
    labels = "-" if agreement.labels is None else f"{100 * agreement.labels:.2f}"
    return [labels, f"{agreement.frames}: {agreement.images}" if agreement.frames else "-"]


def note(text: str) -> None:
    """Print a line on stderr."""
    print(json_line("note", text) if AS_JSON.get() else text, file=sys.stderr)


AS_JSON: ContextVar[bool] = ContextVar("AS_JSON", default=False)  # whether notes are printed as JSON lines


def json_line(kind: str, message: str) -> str:
    """A line in the form of an event: {"kind": "note", "message": "...", "time": seconds since the epoch}."""
    return json.dumps({"kind": kind, "message": message, "time": time.time()})


class JsonFormatter(logging.Formatter):
    """A record of the log as a JSON line."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        return json_line(record.levelname.lower(), super().format(record))


@contextmanager
def json_lines() -> Iterator[None]:
    """All that is printed on stderr within the block is JSON lines: notes, progress and the log."""
    handlers = [each for each in logging.getLogger().handlers if getattr(each, "stream", None) is sys.stderr]
    formatters = [handler.formatter for handler in handlers]
    before = AS_JSON.set(True)
    try:
        for handler in handlers:
            handler.setFormatter(JsonFormatter("%(name)s: %(message)s"))
        yield
    finally:
        AS_JSON.reset(before)
        for handler, formatter in zip(handlers, formatters):
            handler.setFormatter(formatter)


def note_conversion() -> None:
    """Say why a command does not begin with its work at once."""
    note("the model has no engine for this machine yet: it is converted first, once, which can take minutes")


class ProgressLines:
    """Progress where there is no terminal: a line for each long task every LINE_SECONDS, a sign of life in a log."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._printed: dict[str, float] = {}

    def __call__(self, task: str, done: int, total: int | None, figures: str = "") -> None:
        """Report that `done` of `total` steps of `task` are done; a task that is finished needs no line."""
        now = self._clock()
        if done != total and now - self._printed.setdefault(task, now) >= LINE_SECONDS:
            self._printed[task] = now
            note(f"{task}: {done}" + (f" of {total}" if total else "") + (f"  {figures}" if figures else ""))


class ProgressBars:
    """Progress on a terminal: a bar for each task; a finished one leaves one line with what was done."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, task: str, done: int, total: int | None, figures: str = "") -> None:
        """Report that `done` of `total` steps of `task` are done."""
        if task not in self._tasks:
            self._tasks[task] = self._bars.add_task(task, total=total, completed=done, count="", figures="")
        count = f"{done}/{total}" if total else str(done or "")
        self._bars.update(self._tasks[task], completed=done, total=total, count=count, figures=figures)

    def print_finished(self) -> None:
        """Print what each task did and how long it took; not of those that took less than a second."""
        for task in self._bars.tasks:
            if (seconds := task.elapsed or 0) >= 1:
                done = f"{int(task.completed)} in " if task.completed else ""
                note(f"{task.description}: {done}{seconds:.0f} s")


@contextmanager
def shown_progress() -> Iterator[ProgressLines | ProgressBars]:
    """Bars on a terminal, which vanish at the end; elsewhere, and within `json_lines`, lines."""
    if AS_JSON.get() or not sys.stderr.isatty():
        yield ProgressLines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description:10}"), BarColumn(), TextColumn("{task.fields[count]}"), TimeElapsedColumn(),
        TimeRemainingColumn(), TextColumn("{task.fields[figures]}"),
    )  # fmt: skip
    bars = Bars(*columns, console=Console(stderr=True), transient=True)
    progress = ProgressBars(bars)
    try:
        with bars:
            yield progress
    finally:
        progress.print_finished()
