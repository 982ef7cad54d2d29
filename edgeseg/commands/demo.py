"""`edgeseg demo`: the whole line once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeseg.commands.options import Json


def command(
    source: Annotated[
        str | None, typer.Argument(metavar="[SOURCE]", help="A video, URL or camera; a drawn street unless given.")
    ] = None,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Where everything goes.")] = Path(
        "demo"
    ),
    frames: Annotated[int | None, typer.Option("--frames", min=1, help="Stop after that many.")] = None,
    as_json: Json = False,
) -> None:
    """Convert a bundled BiSeNetV2, stream a video through it, and show how fast and how right it was."""
    from edgeseg.commands.signals import stopped_by_signals
    from edgeseg.commands.stream import print_report
    from edgeseg.commands.terminal import shown_progress, wrote
    from edgeseg.demo import SOURCE, run_demo

    with shown_progress() as progress, stopped_by_signals() as stop:
        made = run_demo(source or SOURCE, out=output, frames=frames, stop=stop, progress=progress)
    print_report(made.artifact, made.report, [str(made.video)], made.judges, as_json=as_json)
    wrote(made.video if made.report.frames else None)
    wrote(made.sheet if made.report.frames else None, f"edgeseg bench {made.artifact.path}")
