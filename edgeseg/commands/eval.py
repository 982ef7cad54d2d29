"""`edgeseg eval`: mIoU of a model on a data set."""

from __future__ import annotations

from typing import Annotated

import typer

from edgeseg.commands.options import Engine, Json, Model, PrecisionName, SizeText, Threads, segmenter_from_options


def command(
    model: Model,
    data: Annotated[str, typer.Option("--data", metavar="URI", help="camvid:PATH?split=test, street:?seed=1, ...")],
    engine: Engine = None,
    precision: PrecisionName = None,
    size: SizeText = None,
    threads: Threads = None,
    as_json: Json = False,
) -> None:
    """Measure mIoU, per-class IoU and pixel accuracy of MODEL, through the path that stream and bench time."""
    from edgeseg.commands.terminal import print_json, print_table, shown_progress, wrote
    from edgeseg.datasets import open_dataset
    from edgeseg.evaluate import evaluate

    dataset = open_dataset(data)
    with shown_progress() as progress:
        opened = segmenter_from_options(model, engine, precision, size, threads, progress)
        with opened as segmenter:
            result = evaluate(segmenter, dataset, progress=progress)
    artifact, confusion = segmenter.artifact, result.confusion
    if as_json:
        about = {"engine": str(artifact.path), "runtime": artifact.engine, "precision": str(artifact.precision),
                 "output": str(artifact.output)}  # fmt: skip
        print_json({**about, "data": data, **result.to_dict()})
        return
    print_table(
        ["class", "IoU %", "Dice %"],
        [
            [name, f"{100 * iou:.2f}", f"{100 * dice:.2f}"]
            for name, iou, dice in zip(result.names, confusion.iou(), confusion.dice())
        ],
    )
    print_table(
        ["engine", "precision", "images", "mIoU %", "pixel accuracy %", "mean pixel accuracy %"],
        [
            [
                artifact.engine or "onnx",
                artifact.precision,
                result.images,
                f"{100 * confusion.miou():.2f}",
                f"{100 * confusion.pixel_accuracy():.2f}",
                f"{100 * confusion.mean_pixel_accuracy():.2f}",
            ]
        ],
    )
    wrote(None, f"edgeseg bench {artifact.path}")
