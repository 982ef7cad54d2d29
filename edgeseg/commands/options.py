"""The arguments and options that several commands share, so that they read and behave alike."""

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

Model = Annotated[str, typer.Argument(metavar="MODEL", help="A bundled name (edgeseg models) or a file.")]
Engine = Annotated[
    str | None,
    typer.Option(
        "--engine", help="tensorrt, tensorrt_rtx, openvino, onnxruntime or pytorch; the best one here unless given."
    ),
]
PrecisionName = Annotated[
    str | None,
    typer.Option("--precision", help="fp32, fp16, bf16 or int8; default: int8 where it is measured to pay here."),
]
SizeText = Annotated[
    str | None, typer.Option("--size", metavar="WIDTHxHEIGHT", help="Input size; the model's own unless given.")
]
Folder = Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Where engines are written.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
Device = Annotated[
    str,
    typer.Option("--device", metavar="NAME", help="auto, cpu, gpu, npu, cuda:0, ...: edgeseg doctor lists those here."),
]
Threads = Annotated[int | None, typer.Option("--threads", min=1, help="CPU threads of the engine; all unless given.")]
CheckFolder = Annotated[
    str | None,
    typer.Option("--images", metavar="DIR", help="Images of the camera: a folder, a glob or a data set's URI."),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an engine that was made from other weights.")]
Limit = Annotated[int, typer.Option("--limit", min=1, help="How many of the images to use, chosen by seed.")]

Numbers = tuple[str, str, str]  # typer takes no tuple of numbers that may be left out
UNTYPED: Numbers = ("", "", "")
Mean = Annotated[
    Numbers, typer.Option("--mean", metavar="R G B", help="Of a checkpoint's input, where what is printed is wrong.")
]
Std = Annotated[
    Numbers, typer.Option("--std", metavar="R G B", help="As --mean: for 0..1 or 0..255, in the order of --color.")
]
Color = Annotated[str | None, typer.Option("--color", metavar="rgb|bgr", help="Colour order of a checkpoint's input.")]

ENGINES_FOLDER = Path("engines")
AUTO = "auto"


def precision_from_text(text: str | None) -> Precision | None:
    """The precision that a user named."""
    if text is None:
        return None
    try:
        return Precision(text.lower())
    except ValueError:
        raise UnknownNameError.among("precision", text, [str(precision) for precision in Precision]) from None


def size_or_none(text: str | None) -> tuple[int, int] | None:
    """The (width, height) that a user named."""
    return None if text is None else size_from_text(text)


def three_or_none(option: str, texts: Numbers) -> tuple[float, ...] | None:
    """The three numbers of an option; None where it was not typed."""
    if texts == UNTYPED:
        return None
    try:
        return tuple(float(text) for text in texts)
    except ValueError:
        example = f"{option} 0.485 0.456 0.406"
        message = f"{option} {' '.join(texts)} are not three numbers"
        raise FormatError(message, hint=f"for example: {example}", code="ES-FORMAT-NUMBERS") from None


def statistics_from_options(mean: Numbers, std: Numbers, color: str | None) -> Statistics:
    """What a user states of a checkpoint's input."""
    from edgeseg.export.statistics import Statistics

    return Statistics(three_or_none("--mean", mean), three_or_none("--std", std), color.lower() if color else None)


def engine_facts(artifact: Artifact) -> dict[str, str]:
    """What the JSON of stream, eval and bench says of the engine."""
    return {"engine": str(artifact.path), "runtime": artifact.engine, "precision": str(artifact.precision)}


def segmenter_from_options(
    model: str, engine: str | None, precision: str | None, size: str | None, device: str, threads: int | None,
    progress: Progress,
) -> Segmenter:  # fmt: skip
    """MODEL as stream, eval and bench open it: converted first, into ENGINES_FOLDER, where that is needed."""
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
