"""`edgeseg diff`: where two engines label the same images differently, and which of them is right."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeseg.commands.options import (
    INPUT,
    OUTPUT,
    Device,
    EngineOfEach,
    Json,
    PrecisionOfEach,
    SizeText,
    Threads,
    option,
    segmenters_from_options,
)
from edgeseg.commands.terminal import percent

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edgeseg.bench.accuracy_change import AccuracyChange
    from edgeseg.bench.diff import DiffImage, EngineDiff
    from edgeseg.bench.layer_diff import LayerDiff
    from edgeseg.datasets.dataset import Dataset
    from edgeseg.segmenter import Segmenter

ALARM = 1  # the exit code
SHOWN_LAYERS = 12
EXAMPLES = """
  edgeseg diff fp32.onnx int8.onnx --data 'camvid:CamVid?split=test' -o diff/
  edgeseg diff x.onnx x.onnx --engine openvino --engine pytorch --images frames/
  edgeseg diff fp32.onnx int8.onnx drive.mp4 --limit 100 --json
"""


def command(
    a: Annotated[str, typer.Argument(metavar="A", help="A bundled name (edgeseg models) or a file.")],
    b: Annotated[str, typer.Argument(metavar="B", help="The model that is compared with A.")],
    video: Annotated[
        str | None, typer.Argument(metavar="[VIDEO]", help="A video, or another source of frames.")
    ] = None,
    data: Annotated[str | None, option("--data URI", "Labelled images, such as camvid:PATH?split=test.", INPUT)] = None,
    images: Annotated[str | None, option("--images DIR", "Images: a folder, a glob or a URI.", INPUT)] = None,
    limit: Annotated[int | None, option("--limit N", "Use the first N images.", INPUT, "all", min=1)] = None,
    engine: EngineOfEach = None,
    precision: PrecisionOfEach = None,
    size: SizeText = None,
    device: Device = "auto",
    threads: Threads = None,
    layers: Annotated[bool, option("--layers", "Compare layer by layer, too (needs Polygraphy).")] = False,
    max_class_drop: Annotated[
        float, option("--max-class-drop POINTS", "The IoU that a class may lose without an alarm.", min=0, max=100)
    ] = 5.0,
    output: Annotated[Path | None, option("-o --output DIR", "Write images of where they differ most.", OUTPUT)] = None,
    worst: Annotated[int, option("--worst N", "How many images -o writes.", OUTPUT, min=1)] = 8,
    as_json: Json = False,
) -> int:
    """Compare the labels of two models on the same images.

    The result has the share of equal labels, overall and by class, and the mIoU of B with A as truth. With --data it
    has the mIoU of both, and an alarm for each class that loses IoU in B beyond chance: the exit code is then 1. Of a
    video it has the flicker of both.
    """
    from edgeseg.bench.diff import EnginePair, engine_diff
    from edgeseg.bench.difference_sheet import write_difference_images
    from edgeseg.commands.terminal import shown_progress, wrote

    check_one_source(video, data, images)
    dataset, source, total = images_from_options(video, data, images, limit)
    with shown_progress() as progress:
        opened = segmenters_from_options((a, b), engine, precision, size, device, threads, progress)
        with opened[0] as first, opened[1] as second:
            pair = EnginePair(first, second, dataset)
            diff = engine_diff(
                pair, source, max_class_drop=max_class_drop / 100, is_video=video is not None,
                worst=worst if output or layers else 0, total=total, progress=progress,
            )  # fmt: skip
            by_layer = layers_of(opened, diff) if layers else None
    paths = write_difference_images(output, diff.worst, pair) if output else []
    show(opened, diff, by_layer, as_json)
    for path in paths[-1:]:
        wrote(path)
    return ALARM if diff.change is not None and diff.change.alarms else 0


def check_one_source(*sources: str | None) -> None:
    """MismatchError unless one of VIDEO, --data and --images is given."""
    from edgeseg.errors import MismatchError

    count = sum(source is not None for source in sources)
    if count != 1:
        message = "there are no images to compare on" if count == 0 else "VIDEO, --data and --images exclude each other"
        raise MismatchError(message, hint="give VIDEO, --data URI or --images DIR", code="ES-MISMATCH-OPTIONS")


def images_from_options(
    video: str | None, data: str | None, images: str | None, limit: int | None
) -> tuple[Dataset | None, Iterable[DiffImage], int | None]:
    """The data set, if there is one, the images, and how many there are, if that is known."""
    from itertools import islice

    from edgeseg.bench.diff import DiffImage, images_from_dataset, images_from_rgbs
    from edgeseg.datasets import open_dataset
    from edgeseg.video.source import open_source

    if video is not None:
        return None, images_from_rgbs(frame.rgb() for frame in islice(open_source(video), limit)), limit
    if data is not None:
        dataset = open_dataset(data)
        return dataset, (labelled := images_from_dataset(dataset)[:limit]), len(labelled)
    named = named_readers(images or "")[:limit]
    return None, [DiffImage(name, read) for name, read in named], len(named)


def named_readers(images: str) -> list[tuple[str, Callable[[], NDArray[np.uint8]]]]:
    """The name of each image of a folder, glob or data set, and a function that reads it."""
    from functools import partial

    from edgeseg.calib.images import image_paths
    from edgeseg.datasets import DATASETS, open_dataset
    from edgeseg.image import rgb_from_file

    if images.partition(":")[0] in DATASETS:
        return [(sample.name, sample.rgb) for sample in open_dataset(images)]
    return [(path.stem, partial(rgb_from_file, path)) for path in image_paths(images)]


def layers_of(opened: Sequence[Segmenter], diff: EngineDiff) -> LayerDiff:
    """The layers of both, on the image that differs most."""
    from edgeseg.bench.layer_diff import layer_diff
    from edgeseg.pixels.resize import resize_rgb

    spec = opened[0].spec.input
    rgb = resize_rgb(diff.worst[0].labels.rgb, (spec.height, spec.width))
    return layer_diff(opened[0].artifact, opened[1].artifact, rgb)


def show(opened: Sequence[Segmenter], diff: EngineDiff, by_layer: LayerDiff | None, as_json: bool) -> None:
    """Print everything."""
    from edgeseg.commands.terminal import print_json, print_table

    files = {side: each.artifact.path.name for side, each in zip("ab", opened)}
    if as_json:
        print_json({**files, **diff.to_dict(), "layers": by_layer.to_dict() if by_layer else None})
        return
    print(f"A: {files['a']}\nB: {files['b']}")
    agreement = diff.agreement
    shares = f"{100 * agreement.value:.2f} ({100 * agreement.low:.2f} to {100 * agreement.high:.2f})"
    against = "mIoU of B with A as the truth, %"
    print_table(["images", "equal labels, % (95%)", against], [[len(diff.by_image), shares, f"{100 * diff.miou:.2f}"]])
    rows = [[name, percent(each["agreement"]), percent(each["iou"])] for name, each in diff.by_class().items()]
    print_table(["class", "A's pixels with B's label, %", "IoU of B with A as the truth, %"], rows)
    if diff.change is not None:
        print_change(diff.change)
    if diff.flicker is not None:
        figures = [each.to_dict() for each in diff.flicker]
        cells = [[side, *(percent(each[key]) for key in ("flicker", "tracked", "label_changes"))]
                 for side, each in zip("AB", figures)]  # fmt: skip
        columns = ["", "flicker, %", "pixels that are tracked, %", "labels that change in place, %"]
        print_table(columns, cells, title=f"{figures[0]['pairs']} pairs of frames")
    if by_layer is not None:
        print_layers(by_layer)


def print_change(change: AccuracyChange) -> None:
    """Print what B loses by class, and a note for each alarm."""
    from edgeseg.commands.terminal import note, print_table

    rows = [
        [
            each.name,
            str(each.images),
            percent(each.a),
            percent(each.b),
            drop_text(each.drop),
            "ALARM" if each.alarm else "",
        ]
        for each in change.classes
        if each.a is not None or each.b is not None
    ]
    rows.append(["mIoU", str(change.images), percent(change.a), percent(change.b), drop_text(change.drop), ""])
    print_table(["class", "images", "A, %", "B, %", "B - A (99%)", ""], rows, title=f"ground truth: {change.data}")
    for each in change.alarms:
        limit = f"{100 * change.max_class_drop:g}"
        note(f"warning: {each.name} loses more than {limit} points of IoU, which is not chance")


def drop_text(drop: object) -> str:
    """ "-1.20 (-2.10 to -0.30)": what B has more than A, in points."""
    from edgeseg.measure.estimate import Estimate

    if not isinstance(drop, Estimate):
        return "-"
    return f"{-100 * drop.value:+.2f} ({-100 * drop.high:+.2f} to {-100 * drop.low:+.2f})"


def print_layers(by_layer: LayerDiff) -> None:
    """Print the tensors that differ most, in the order of the graph, and what was built differently."""
    from edgeseg.commands.terminal import note, print_table
    from edgeseg.inspection.table import table_from_difference

    ratios = by_layer.signal_to_noise
    lowest = sorted(ratios, key=lambda name: ratios[name])[:SHOWN_LAYERS]
    rows = [[name, f"{db:.1f}"] for name, db in ratios.items() if name in lowest]
    if rows:
        title = f"the {len(rows)} of {len(ratios)} tensors that differ most, in the order of the graph"
        print_table(["tensor", "signal to noise of B against A, dB"], rows, title=title)
    else:
        note(f"note: no tensors are compared: {by_layer.reason}")
    print_table(*table_from_difference(by_layer.built), title=f"{by_layer.built.matched} layers matched")
