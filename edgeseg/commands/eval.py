"""`edgeseg eval`: mIoU of a model on a data set."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

from edgeseg.commands.options import (
    Crf,
    Device,
    Engine,
    Json,
    Model,
    Overlap,
    PrecisionName,
    SizeText,
    Threads,
    TilesName,
    engine_facts,
    option,
    segmenter_from_options,
)

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
NO_TRUTH, NOWHERE = "no ground truth", "does not occur"

EXAMPLES = """
  edgeseg eval bisenetv2-camvid --data 'camvid:CamVid?split=test'
  edgeseg eval model.onnx --data folder:mine --metric miou --metric boundary_iou
  edgeseg eval model.onnx --data 'street:?frames=40&stride=1' --metric flicker
  edgeseg eval model.onnx --data folder:aerial --tiles hann
  edgeseg eval bisenetv2-camvid --data folder:mine --metric boundary --crf on
  edgeseg eval model.onnx --video drive.mp4 --frames 100
"""


def command(
    model: Model,
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
    as_json: Json = False,
) -> None:
    """Measure the accuracy of MODEL on labelled images.

    The result has mIoU, IoU per class and pixel accuracy, of the same engine that stream runs and bench times. Classes
    are matched by name: the model may have more classes than the data set, and in another order.
    """
    from edgeseg.commands.terminal import note, print_json, print_table, shown_progress, wrote
    from edgeseg.datasets import open_dataset
    from edgeseg.evaluation import evaluate
    from edgeseg.metrics import open_metric
    from edgeseg.spec import tiles_from_options

    chosen = list(dict.fromkeys(metrics or ["flicker" if video else "miou"]))
    for metric in chosen:
        open_metric(metric)
    check_sources(data, video, chosen)
    dataset = open_dataset(data) if data else None
    cut = tiles_from_options(tiles, overlap)
    with shown_progress() as progress:
        opened = segmenter_from_options(model, engine, precision, size, device, threads, progress, cut, crf)
        with opened as segmenter:
            if dataset is None:
                show_flicker(segmenter, video or "", limit, device, as_json, progress)
                return
            result = evaluate(segmenter, dataset, metrics=chosen, progress=progress)
    artifact = segmenter.artifact
    if as_json:
        facts = {
            "output": str(artifact.output),
            "tiles": segmenter.tiles_text or None,
            "crf": segmenter.crf_text or None,
            "data": data,
        }
        print_json({**engine_facts(artifact, device), **facts, **result.to_dict()})
        return
    print_classes(result)
    print_table(["engine", "precision", "images"], [[artifact.engine, artifact.precision, result.images]])
    if any(metric.frames > 1 for metric in result.metrics.values()):
        note(f"note: flicker is of {result.frame_pairs} pairs of neighbouring frames")
    if rows := overall_rows(result):
        print_table(["figure", "%"], rows)
    elif result.labelled_pixels == 0:
        note("note: no pixel of these images has a label, so there is no mIoU")
    wrote(None, f"edgeseg bench {artifact.path}")


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
    rows = [[title, percent(math.nan if (value := figures[key]) is None else value)] for key, title in titles.items()]
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
    """The figures over all classes, in percent; those that nothing was measured for are left out."""
    rows = []
    for metric in result.metrics.values():
        result_of_metric = metric.result()
        for key, figure in result_of_metric.overall.items():
            occurring = f"mIoU over the {sum(result_of_metric.pixels > 0)} classes that occur"
            title = occurring if key == "miou_of_true_classes" else TITLES.get(key, key.replace("_", " "))
            if not math.isnan(figure):
                rows.append([title, percent(figure)])
    return rows


def percent(fraction: float) -> str:
    """A fraction in percent, without the sign; "-" for nan."""
    return "-" if math.isnan(fraction) else f"{100 * fraction:.2f}"
