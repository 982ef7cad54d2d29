"""`edgeseg eval`: mIoU of a model on a data set."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

from edgeseg.commands.options import (
    Device,
    Engine,
    Json,
    Model,
    PrecisionName,
    SizeText,
    Threads,
    engine_facts,
    option,
    segmenter_from_options,
)

if TYPE_CHECKING:
    from edgeseg.evaluation import Evaluation

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
"""


def command(
    model: Model,
    data: Annotated[str, option("--data URI", "Labelled images, such as camvid:PATH?split=test.")],
    metrics: Annotated[
        list[str] | None,
        option("--metric NAME", "miou, boundary, boundary_iou, agreement or flicker; repeatable.", default="miou"),
    ] = None,
    engine: Engine = None,
    precision: PrecisionName = None,
    size: SizeText = None,
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

    chosen = list(dict.fromkeys(metrics or ["miou"]))
    for metric in chosen:
        open_metric(metric)
    dataset = open_dataset(data)
    with shown_progress() as progress:
        opened = segmenter_from_options(model, engine, precision, size, device, threads, progress)
        with opened as segmenter:
            result = evaluate(segmenter, dataset, metrics=chosen, progress=progress)
    artifact = segmenter.artifact
    if as_json:
        print_json({**engine_facts(artifact, device), "output": str(artifact.output), "data": data, **result.to_dict()})
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
