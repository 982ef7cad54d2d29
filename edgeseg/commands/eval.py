"""`edgeseg eval`: mIoU of a model on a data set."""

from __future__ import annotations

import math
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeseg.commands.options import (
    MODEL_HELP,
    Crf,
    Device,
    Engine,
    Json,
    Overlap,
    PrecisionName,
    ShardText,
    SizeText,
    Threads,
    TilesName,
    engine_facts,
    option,
    segmenter_from_options,
)
from edgeseg.commands.terminal import percent

if TYPE_CHECKING:
    from edgeseg.evaluation import Evaluation
    from edgeseg.progress import Progress
    from edgeseg.segmenter import Segmenter

TITLES = {
    "miou": "mIoU",
    "iou": "IoU",
    "dice": "Dice",
    "boundary_f": "boundary F",
    "mean_boundary_f": "mean boundary F",
    "boundary_iou": "boundary IoU",
    "mean_boundary_iou": "mean boundary IoU",
    "class_flicker": "flicker",
}
SHARDS = "Shards"  # panel of the help page
NO_TRUTH, NOWHERE = "no ground truth", "does not occur"

EXAMPLES = """
  edgeseg eval bisenetv2-camvid --data 'camvid:CamVid?split=test'
  edgeseg eval model.onnx --data folder:mine --metric miou --metric boundary_iou
  edgeseg eval model.onnx --data 'street:?frames=40&stride=1' --metric flicker
  edgeseg eval model.onnx --data folder:aerial --tiles hann
  edgeseg eval bisenetv2-camvid --data folder:mine --metric boundary --crf on
  edgeseg eval model.onnx --data folder:mine --shard 3/8 -o shards/3.npz
  edgeseg eval --merge shards
  edgeseg eval model.onnx --data folder:/shared/mine --ray auto
  edgeseg eval model.onnx --video drive.mp4 --frames 100
"""


def command(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL",
            help=f"{MODEL_HELP} With --merge: files of shards, or a folder.",
        ),
    ],
    data: Annotated[str | None, option("--data URI", "Labelled images, such as camvid:PATH?split=test.")] = None,
    video: Annotated[
        str | None, option("--video SOURCE", "A video without labels, in place of --data: flicker alone.")
    ] = None,
    limit: Annotated[int | None, option("--frames N", "Frames of --video.", default="all", min=1)] = None,
    metrics: Annotated[
        list[str] | None,
        option("--metric NAME", "miou, boundary, boundary_iou, agreement or flicker; repeatable.", default="miou"),
    ] = None,
    engine: Engine = None,
    precision: PrecisionName = None,
    size: SizeText = None,
    tiles: TilesName = None,
    overlap: Overlap = None,
    crf: Crf = None,
    device: Device = "auto",
    threads: Threads = None,
    shard: ShardText = None,
    output: Annotated[
        Path | None, option("-o --output FILE", "Where --shard writes its counts.", SHARDS, "eval-I-of-N.npz")
    ] = None,
    merge: Annotated[
        bool, option("--merge", "Sum the files of all N shards, in any order, in place of evaluating.", SHARDS)
    ] = False,
    ray: Annotated[
        str | None, option("--ray ADDRESS", "Evaluate on a Ray cluster: local, auto or HOST:PORT.", SHARDS, "no Ray")
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure the accuracy of MODEL on labelled images.

    The result has mIoU, IoU per class and pixel accuracy, of the same engine that stream runs and bench times. Classes
    are matched by name: the model may have more classes than the data set, and in another order.
    """
    from edgeseg.batch.shard import shard_from_text
    from edgeseg.commands.eval_shards import job_from_options, show_from_ray, show_merged, write_shard
    from edgeseg.commands.terminal import print_json, shown_progress, wrote
    from edgeseg.datasets import open_dataset
    from edgeseg.evaluation import evaluate
    from edgeseg.spec import tiles_from_options

    check_options(models, data, video, metrics, shard, output, ray, merge)
    if merge:
        show_merged(models, as_json)
        return
    part = shard_from_text(shard) if shard else None
    chosen = metrics_from_names(metrics or ["flicker" if video else "miou"])
    dataset = open_dataset(data) if data else None
    cut = tiles_from_options(tiles, overlap)
    with shown_progress() as progress:
        if ray is not None:
            options: dict[str, Any] = {"threads": threads, "tiles": tiles, "overlap": overlap, "crf": crf}
            job = job_from_options(
                models[0], data or "", chosen, engine, precision, size, device, progress, **options
            )  # fmt: skip
            show_from_ray(ray, job, as_json, progress)
            return
        opened = segmenter_from_options(models[0], engine, precision, size, device, threads, progress, cut, crf)
        with opened as segmenter:
            artifact = segmenter.artifact
            if dataset is None:
                show_flicker(segmenter, video or "", limit, device, as_json, progress)
                return
            if part is not None:
                write_shard(segmenter, dataset, chosen, part, output, device, as_json, progress)
                return
            result = evaluate(segmenter, dataset, metrics=chosen, progress=progress)
    if as_json:
        print_json({**facts_of_segmenter(segmenter, device), "data": data, **result.to_dict()})
        return
    show_result(result, engine_facts(artifact, device))
    wrote(None, f"edgeseg bench {shlex.quote(artifact.location)}")


def metrics_from_names(names: list[str]) -> list[str]:
    """Each name once. UnknownNameError where no metric has it."""
    from edgeseg.metrics import open_metric

    for name in names:
        open_metric(name)
    return list(dict.fromkeys(names))


def facts_of_segmenter(segmenter: Segmenter, device: str) -> dict[str, Any]:
    """The engine, and how the labels are made from its outputs."""
    return {
        **engine_facts(segmenter.artifact, device),
        "output": str(segmenter.artifact.output),
        "tiles": segmenter.tiles_text or None,
        "crf": segmenter.crf_text or None,
    }


def show_result(result: Evaluation, facts: dict[str, Any]) -> None:
    """Print the tables of an evaluation. facts: "runtime" and "precision" of the engine."""
    from edgeseg.commands.terminal import note, print_table

    print_classes(result)
    print_table(["engine", "precision", "images"], [[facts["runtime"], facts["precision"], result.images]])
    if any(metric.frames > 1 for metric in result.metrics.values()):
        note(f"note: flicker is of {result.frame_pairs} pairs of neighbouring frames")
    if rows := overall_rows(result):
        print_table(["figure", "%", "95% interval"], rows)
    elif result.labelled_pixels == 0:
        note("note: no pixel of these images has a label, so there is no mIoU")


def check_options(
    models: list[str], data: str | None, video: str | None, metrics: list[str] | None, shard: str | None,
    output: Path | None, ray: str | None, merge: bool,
) -> None:  # fmt: skip
    """MismatchError where options exclude each other, or one lacks another."""
    from edgeseg.errors import MismatchError

    message = ""
    if merge and (data or video or metrics or shard or output or ray):
        message, hint = "--merge has the data set and the metrics of its shards", "name the files of the shards alone"
    elif not merge and len(models) > 1:
        message, hint = f"eval takes one model, not {len(models)}", "add --merge if these are files of shards"
    elif video and (shard or output or ray):
        message, hint = "a video is not split into shards", "give --data"
    elif ray and shard:
        message, hint = "--ray makes the shards itself", "leave --shard out"
    elif output and not shard:
        message, hint = "-o is the file of a shard", "add --shard i/n"
    if message:
        raise MismatchError(message, hint=hint, code="ES-MISMATCH-OPTIONS")
    if not merge:
        check_sources(data, video, metrics or ["flicker" if video else "miou"])


def check_sources(data: str | None, video: str | None, metrics: list[str]) -> None:
    """MismatchError unless there is either a data set, or a video and no metric but flicker."""
    from edgeseg.errors import MismatchError

    message = ""
    if data is None and video is None:
        message, hint = "there are no images to evaluate on", "add --data URI; edgeseg data URI lists a data set"
    elif data is not None and video is not None:
        message, hint = "--data and --video exclude each other", "give one of them"
    elif video is not None and metrics != ["flicker"]:
        message, hint = (
            f"{metrics[0]} needs ground truth, which a video lacks",
            "give --data, or --metric flicker alone",
        )
    if message:
        raise MismatchError(message, hint=hint, code="ES-MISMATCH-OPTIONS")


def show_flicker(
    segmenter: Segmenter, video: str, limit: int | None, device: str, as_json: bool, progress: Progress
) -> None:
    """Print the flicker of a video."""
    from itertools import islice

    from edgeseg.commands.terminal import print_json, print_table
    from edgeseg.evaluation import video_flicker
    from edgeseg.video.source import open_source

    figures = video_flicker(segmenter, islice(open_source(video), limit), progress).to_dict()
    if as_json:
        print_json({**engine_facts(segmenter.artifact, device), "video": video, **figures})
        return
    titles = {
        "flicker": "flicker",
        "tracked": "pixels that are tracked",
        "label_changes": "labels that change in place",
    }
    rows = [[title, percent(figures[key])] for key, title in titles.items()]
    print_table(["figure", "%"], rows, title=f"{figures['pairs']} pairs of frames")


def print_classes(result: Evaluation) -> None:
    """A line for each class, marked where the labels do not have it; then the classes that only the model has."""
    from edgeseg.commands.terminal import note, print_table

    results = [metric.result() for metric in result.metrics.values()]
    columns = {TITLES[key]: figures for each in results for key, figures in each.by_class.items()}
    if columns:
        notes = [
            "" if pixels else NOWHERE if all(math.isnan(f[place]) for f in columns.values()) else NO_TRUTH
            for place, pixels in enumerate(results[0].pixels)
        ]
        marked = [""] if any(notes) else []
        rows = [
            [name, *(percent(f[place]) for f in columns.values()), *([text] if marked else [])]
            for place, (name, text) in enumerate(zip(result.names, notes))
        ]
        print_table(["class", *columns, *marked], rows)
    for name, count in result.extra_pixels.items():
        share = percent(count / max(1, result.labelled_pixels))
        note(f"note: the data set has no class {name}; the model wrongly predicts it for {share} % of the pixels")


def overall_rows(result: Evaluation) -> list[list[str]]:
    """The figures over all classes, in percent, with their intervals; those that are undefined are left out."""
    rows, intervals = [], result.intervals()
    for metric in result.metrics.values():
        result_of_metric = metric.result()
        for key, figure in result_of_metric.overall.items():
            occurring = f"mIoU over the {sum(result_of_metric.pixels > 0)} classes that occur"
            title = occurring if key == "miou_of_true_classes" else TITLES.get(key, key.replace("_", " "))
            if not math.isnan(figure):
                interval = intervals.get(key)
                text = f"{percent(interval.low)} to {percent(interval.high)}" if interval else ""
                rows.append([title, percent(figure), text])
    return rows
