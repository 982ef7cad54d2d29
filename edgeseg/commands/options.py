"""The arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeseg.errors import FormatError, MismatchError
from edgeseg.progress import Progress
from edgeseg.spec import Precision, Tiles, precision_from_text, size_from_text

if TYPE_CHECKING:
    from edgeseg.artifact import Artifact
    from edgeseg.export.statistics import Statistics
    from edgeseg.segmenter import Segmenter

INPUT, ENGINE, PRECISION, OUTPUT = "Input", "Engine", "Precision", "Output"  # panels of the help pages


def option(
    usage: str, text: str, panel: str | None = None, default: str | bool = True, *,
    min: float | None = None, max: float | None = None,
) -> Any:  # fmt: skip
    """An option of a command and its line of the help page.

    usage: the names and the metavar, such as "-o --output DIR". default: what is printed as the default, where that
    is not the parameter's own; False prints none.
    """
    words = usage.split()
    names = [word for word in words if word.startswith("-")]
    return typer.Option(
        *names, metavar=" ".join(words[len(names) :]) or None, help=text, show_default=default, min=min, max=max,
        rich_help_panel=panel,
    )  # fmt: skip


MODEL_HELP = "A bundled name (edgeseg models), a file, or triton://HOST:8001/MODEL on a server."
Model = Annotated[str, typer.Argument(metavar="MODEL", help=MODEL_HELP)]
Engine = Annotated[
    str | None,
    option(
        "--engine NAME", "tensorrt, tensorrt_rtx, openvino, onnxruntime or pytorch.", ENGINE, "the first that runs here"
    ),
]
PrecisionName = Annotated[
    str | None, option("--precision NAME", "fp32, fp16, bf16 or int8.", PRECISION, "chosen by measurement")
]
EngineOfEach = Annotated[
    list[str] | None,
    option("--engine NAME", "Runtime; once for both, or twice, for A and for B.", ENGINE, "the first that runs here"),
]
PrecisionOfEach = Annotated[
    list[str] | None,
    option("--precision NAME", "fp32, fp16, bf16 or int8; once or twice.", PRECISION, "chosen by measurement"),
]
SizeText = Annotated[str | None, option("--size WIDTHxHEIGHT", "Input size.", INPUT, "the model's")]
Folder = Annotated[Path, option("-o --output DIR", "Folder for the results.", OUTPUT)]
Json = Annotated[bool, option("--json", "Print JSON on stdout.")]
Device = Annotated[
    str,
    option("--device NAME", "cpu, gpu, npu, cuda:0, ...; edgeseg doctor lists the devices of this machine.", ENGINE),
]
TILES = "Tiles"  # panel of the help page
TilesName = Annotated[
    str | None,
    option(
        "--tiles NAME",
        "Cut larger frames into tiles of the input's size: hann (blend neighbours) or centre (nearest); off: resize.",
        TILES,
        "the model's: off, unless it was converted for tiles",
    ),
]
Overlap = Annotated[
    int | None,
    option("--overlap PIXELS", "How far neighbouring tiles overlap at least.", TILES, "a quarter of the tile", min=0),
]
Crf = Annotated[
    str | None,
    option(
        "--crf OPTIONS",
        "Refine the labels along the image's edges with a dense CRF, slowly: on, or options like iterations=5&beta=5.",
        ENGINE,
        "none",
    ),
]
Threads = Annotated[int | None, option("--threads N", "CPU threads.", ENGINE, "all cores", min=1)]
CheckFolder = Annotated[
    str | None,
    option(
        "--images DIR",
        "Images like those of the camera: a folder, a glob or a data set's URI.",
        INPUT,
        "synthetic images",
    ),
]
CalibrationFolder = Annotated[
    str | None,
    option("--images DIR", "Images to calibrate and check with: a folder, a glob or a data set's URI.", PRECISION),
]
Ranges = Annotated[
    Path | None, option("--ranges FILE", "A range table from edgeseg calibrate, in place of --images.", PRECISION)
]
Limit = Annotated[int, option("--limit N", "Use N of the images, drawn at random.", PRECISION, min=1)]
ShardText = Annotated[
    str | None, option("--shard I/N", "Do part I of N, from 1 to N; each part in a process of its own.", default="all")
]
Overwrite = Annotated[bool, option("--overwrite", "Replace an engine that was made from other weights.", OUTPUT)]
Labels = Annotated[
    Path | None,
    option("--labels FILE", "Class names of a checkpoint, one per line, each with an optional colour.", INPUT),
]
MaskOutput = Annotated[bool, option("--mask", "Put upsampling and argmax into the graph.", OUTPUT)]

Numbers = tuple[str, str, str]  # typer takes no tuple of numbers that may be left out
UNTYPED: Numbers = ("", "", "")
Mean = Annotated[
    Numbers,
    option(
        "--mean R G B",
        "Input mean of a checkpoint, for pixels of 0..1 or 0..255, in the order of --color.",
        INPUT,
        "that of the checkpoint's training code",
    ),
]
Std = Annotated[Numbers, option("--std R G B", "Input standard deviation, as --mean.", INPUT, "as --mean")]
Color = Annotated[str | None, option("--color rgb|bgr", "Colour order of a checkpoint's input.", INPUT, "as --mean")]

ENGINES_FOLDER = Path("engines")
RESULTS_FOLDER = Path("benchmarks/results")  # of the records of a matrix
AUTO = "auto"


def precision_or_none(text: str | None) -> Precision | None:
    """The precision of this name; None for None."""
    return None if text is None else precision_from_text(text)


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
    """The engine, its precision and its device, for the JSON of a command."""
    from edgeseg.engines import open_engine

    return {
        "engine": artifact.location,
        "runtime": artifact.engine,
        "precision": str(artifact.precision),
        "device": open_engine(artifact.engine).device_to_build_for(device),
    }


def segmenter_from_options(
    model: str, engine: str | None, precision: str | None, size: str | None, device: str, threads: int | None,
    progress: Progress, tiles: Tiles | str | None = None,
    crf: str | None = None,
) -> Segmenter:  # fmt: skip
    """Open MODEL; weights are converted first, into ENGINES_FOLDER. tiles, crf: as for `edgeseg.open`."""
    from edgeseg.commands.terminal import note, note_conversion
    from edgeseg.opening import open_model

    segmenter = open_model(
        model,
        engine=engine,
        precision=precision_or_none(precision),
        size=size_or_none(size),
        out=ENGINES_FOLDER,
        device=device,
        threads=threads,
        tiles=tiles,
        crf=crf,
        progress=progress,
        on_convert=note_conversion,
    )
    if segmenter.tiles_text:
        note(segmenter.tiles_text)
    return segmenter


def segmenters_from_options(
    models: tuple[str, str], engines: list[str] | None, precisions: list[str] | None, size: str | None, device: str,
    threads: int | None, progress: Progress,
) -> list[Segmenter]:  # fmt: skip
    """Open A and B for compare or diff. MismatchError where an option is given more than twice."""
    of_each = []
    for name, values in (("--engine", engines), ("--precision", precisions)):
        if values is not None and len(values) > 2:
            message = f"{name} is given {len(values)} times for two models"
            raise MismatchError(message, hint="give it once for both, or twice", code="ES-MISMATCH-OPTIONS")
        of_each.append((values[0], values[-1]) if values else (None, None))
    opened: list[Segmenter] = []
    for model, engine, precision in zip(models, *of_each):
        try:
            opened.append(segmenter_from_options(model, engine, precision, size, device, threads, progress))
        except BaseException:
            for each in opened:
                each.close()
            raise
    return opened
