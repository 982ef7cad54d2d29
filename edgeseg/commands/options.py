"""The arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeseg.errors import FormatError, UnknownNameError
from edgeseg.progress import Progress
from edgeseg.spec import Precision, size_from_text

if TYPE_CHECKING:
    from edgeseg.artifact import Artifact
    from edgeseg.export.statistics import Statistics
    from edgeseg.segmenter import Segmenter

INPUT, ENGINE, PRECISION, OUTPUT = "Input", "Engine", "Precision", "Output"  # panels of the help pages

Model = Annotated[str, typer.Argument(metavar="MODEL", help="A bundled name (edgeseg models) or a file.")]
Engine = Annotated[
    str | None,
    typer.Option(
        "--engine",
        metavar="NAME",
        help="tensorrt, tensorrt_rtx, openvino, onnxruntime or pytorch.",
        show_default="the first that runs here",
        rich_help_panel=ENGINE,
    ),
]
PrecisionName = Annotated[
    str | None,
    typer.Option(
        "--precision",
        metavar="NAME",
        help="fp32, fp16, bf16 or int8.",
        show_default="chosen by measurement",
        rich_help_panel=PRECISION,
    ),
]
SizeText = Annotated[
    str | None,
    typer.Option(
        "--size", metavar="WIDTHxHEIGHT", help="Input size.", show_default="the model's", rich_help_panel=INPUT
    ),
]
Folder = Annotated[
    Path, typer.Option("-o", "--output", metavar="DIR", help="Folder for the results.", rich_help_panel=OUTPUT)
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
Device = Annotated[
    str,
    typer.Option(
        "--device",
        metavar="NAME",
        help="cpu, gpu, npu, cuda:0, ...; edgeseg doctor lists the devices of this machine.",
        rich_help_panel=ENGINE,
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(
        "--threads", metavar="N", min=1, help="CPU threads.", show_default="all cores", rich_help_panel=ENGINE
    ),
]
CheckFolder = Annotated[
    str | None,
    typer.Option(
        "--images",
        metavar="DIR",
        help="Images like those of the camera: a folder, a glob or a data set's URI.",
        show_default="synthetic images",
        rich_help_panel=INPUT,
    ),
]
CalibrationFolder = Annotated[
    str | None,
    typer.Option(
        "--images",
        metavar="DIR",
        help="Images to calibrate and check with: a folder, a glob or a data set's URI.",
        rich_help_panel=PRECISION,
    ),
]
Ranges = Annotated[
    Path | None,
    typer.Option(
        "--ranges",
        metavar="FILE",
        help="A range table from edgeseg calibrate, in place of --images.",
        rich_help_panel=PRECISION,
    ),
]
Limit = Annotated[
    int,
    typer.Option(
        "--limit", metavar="N", min=1, help="Use N of the images, drawn at random.", rich_help_panel=PRECISION
    ),
]
Overwrite = Annotated[
    bool,
    typer.Option("--overwrite", help="Replace an engine that was made from other weights.", rich_help_panel=OUTPUT),
]
Labels = Annotated[
    Path | None,
    typer.Option(
        "--labels",
        metavar="FILE",
        help="Class names of a checkpoint, one per line, each with an optional colour.",
        rich_help_panel=INPUT,
    ),
]
MaskOutput = Annotated[
    bool, typer.Option("--mask", help="Put upsampling and argmax into the graph.", rich_help_panel=OUTPUT)
]

Numbers = tuple[str, str, str]  # typer takes no tuple of numbers that may be left out
UNTYPED: Numbers = ("", "", "")
Mean = Annotated[
    Numbers,
    typer.Option(
        "--mean",
        metavar="R G B",
        help="Input mean of a checkpoint, for pixels of 0..1 or 0..255, in the order of --color.",
        show_default="that of the checkpoint's training code",
        rich_help_panel=INPUT,
    ),
]
Std = Annotated[
    Numbers,
    typer.Option(
        "--std",
        metavar="R G B",
        help="Input standard deviation, as --mean.",
        show_default="as --mean",
        rich_help_panel=INPUT,
    ),
]
Color = Annotated[
    str | None,
    typer.Option(
        "--color",
        metavar="rgb|bgr",
        help="Colour order of a checkpoint's input.",
        show_default="as --mean",
        rich_help_panel=INPUT,
    ),
]

ENGINES_FOLDER = Path("engines")
AUTO = "auto"


def precision_from_text(text: str | None) -> Precision | None:
    """The precision of this name; None for None."""
    if text is None:
        return None
    try:
        return Precision(text.lower())
    except ValueError:
        raise UnknownNameError.among("precision", text, [str(precision) for precision in Precision]) from None


def size_or_none(text: str | None) -> tuple[int, int] | None:
    """(width, height) from a text; None for None."""
    return None if text is None else size_from_text(text)


def three_or_none(option: str, texts: Numbers) -> tuple[float, ...] | None:
    """The three numbers of an option; None where the option is not given."""
    if texts == UNTYPED:
        return None
    try:
        return tuple(float(text) for text in texts)
    except ValueError:
        example = f"{option} 0.485 0.456 0.406"
        message = f"{option} {' '.join(texts)} are not three numbers"
        raise FormatError(message, hint=f"for example: {example}", code="ES-FORMAT-NUMBERS") from None


def statistics_from_options(mean: Numbers, std: Numbers, color: str | None) -> Statistics:
    """The input statistics that the options state."""
    from edgeseg.export.statistics import Statistics

    return Statistics(three_or_none("--mean", mean), three_or_none("--std", std), color.lower() if color else None)


def engine_facts(artifact: Artifact, device: str) -> dict[str, str]:
    """The engine, its precision and its device, for the JSON of convert, stream, eval and bench."""
    from edgeseg.engines import open_engine

    return {
        "engine": str(artifact.path),
        "runtime": artifact.engine,
        "precision": str(artifact.precision),
        "device": open_engine(artifact.engine).device_to_build_for(device),
    }


def segmenter_from_options(
    model: str, engine: str | None, precision: str | None, size: str | None, device: str, threads: int | None,
    progress: Progress,
) -> Segmenter:  # fmt: skip
    """Open MODEL for stream, eval or bench; weights are converted first, into ENGINES_FOLDER."""
    from edgeseg.opening import open_model

    return open_model(
        model,
        engine=engine,
        precision=precision_from_text(precision),
        size=size_or_none(size),
        out=ENGINES_FOLDER,
        device=device,
        threads=threads,
        progress=progress,
    )
