"""`edgeseg report`: one HTML page, and markdown, of benchmark records."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeseg.commands.options import RESULTS_FOLDER, option

Folders = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="[FOLDER]...", help=f"Records of edgeseg bench, or folders of them.  [default: {RESULTS_FOLDER}]",
        show_default=False,
    ),
]  # fmt: skip
Page = Annotated[Path, option("-o --output PAGE", "The HTML page.")]
Markdown = Annotated[Path | None, option("--markdown FILE", "Write the tables as markdown too.")]

EXAMPLES = """
  edgeseg report
  edgeseg report boards/orin/ boards/xavier/ -o boards.html --markdown boards.md
"""


def command(folders: Folders = None, page: Page = Path("report.html"), markdown: Markdown = None) -> None:
    """Make an HTML page of benchmark records.

    The page has tables, mIoU against latency, stages, raw samples, IoU of each class, INT8 against float and the
    diagnostics, and needs no network. A folder may hold records, a folder bench/ of them, or a folder for each device.
    Records that are inconclusive or invalid are listed with the reason, and are in no table or chart.
    """
    from edgeseg.bench.report.markdown import markdown_from_sections
    from edgeseg.bench.report.page import page_from_sections
    from edgeseg.bench.report.section import sections_from_records
    from edgeseg.bench.report.stored import records_from_paths
    from edgeseg.commands.terminal import note, wrote
    from edgeseg.errors import FileProblem
    from edgeseg.files import write_text

    if markdown is not None and markdown.resolve() == page.resolve():
        message, hint = f"the page and the markdown are the same file: {page}", "name two files"
        raise FileProblem(message, hint=hint, code="ES-FILE-SAME")
    collection = records_from_paths(folders or [RESULTS_FOLDER])
    for each in collection.unreadable:
        note(f"warning: {each.reason}")
    sections = sections_from_records(collection.records)
    texts = {markdown: markdown_from_sections(sections, collection.unreadable)} if markdown else {}
    texts[page] = page_from_sections(sections, collection.unreadable)
    for path, text in texts.items():
        write_text(path, text)
        wrote(path)
    for section in sections:
        print(f"{section.name}: {len(section.entries)} records, and {len(section.left_out)} not in the tables")
