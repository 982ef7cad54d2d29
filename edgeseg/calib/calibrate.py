"""Run the float graph over images and note what every tensor holds; go on where that was cut short."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path

from edgeseg.artifact import Onnx
from edgeseg.calib.calibration import Calibration
from edgeseg.calib.pictures import Pictures, Rgb
from edgeseg.calib.range import RangeTable
from edgeseg.calib.warnings import Warn, log_caveat
from edgeseg.errors import DataError, EdgeSegError
from edgeseg.interrupt import interrupts_held

EVERY = 16
Progress = Callable[[int], None]

logger = logging.getLogger(__name__)


def ranges_from_images(
    onnx: Onnx,
    images: Iterable[Rgb] | Callable[[], Iterable[Rgb]],
    *,
    progress: Progress | None = None,
    warn: Warn = log_caveat,
    partial: Path | None = None,
) -> RangeTable:
    """The range table of the float deploy graph `onnx` over `images`, (H, W, 3) uint8 at the input's size.

    images: read once, one at a time; none is kept. progress: called with the number of images done. warn: called at
    the end with each doubt about the images or the network; they are logged unless given.
    partial: where to keep what was seen so far, each EVERY images and at Ctrl-C, and where to go on from. It is the
    caller's to remove when the table is safe. With it, `images` are such as can be read twice.
    The same images in the same order give the same table, to the byte, interrupted or not.
    """
    calibration = Calibration(onnx)
    again = images if callable(images) else lambda: images
    rest = iter(again()) if partial is None else unseen(calibration, again, partial)
    if calibration.pictures.images and progress is not None:
        progress(calibration.pictures.images)
    with interrupts_held() as hold:
        try:
            for rgb in rest:
                found = calibration.run(rgb)
                with hold:
                    calibration.add(rgb, found)
                    if partial is not None and calibration.pictures.images % EVERY == 0:
                        calibration.table().write(partial)
                if progress is not None:
                    progress(calibration.pictures.images)
        except KeyboardInterrupt:
            if partial is not None and calibration.pictures.images:
                calibration.table().write(partial)
            raise
    if not calibration.pictures.images:
        raise DataError("no images to calibrate with", hint="name a folder with at least one image; 64 are enough")
    for caveat in calibration.caveats():
        warn(caveat)
    return calibration.table()


def unseen(calibration: Calibration, images: Callable[[], Iterable[Rgb]], partial: Path) -> Iterator[Rgb]:
    """The images that `calibration` has still to see, once it knows what the file `partial` tells of the first ones."""
    rest = iter(images())
    table = read_partial(partial)
    if table is None:
        return rest
    if calibration.fits(table):
        for rgb in islice(rest, table.images):
            calibration.pictures.check(rgb)
            calibration.pictures.add(rgb)
        if (calibration.pictures.images, calibration.pictures.sha256) == (table.images, table.images_sha256):
            logger.info("goes on after %d images, from %s", table.images, partial)
            calibration.go_on(table)
            return rest
    logger.warning("%s is of another network or of other images: calibration starts anew", partial)
    calibration.pictures = Pictures(calibration.pictures.spec)
    return iter(images())


def read_partial(partial: Path) -> RangeTable | None:
    """The table in the file at `partial`; None where there is none that can be read."""
    if not partial.exists():
        return None
    try:
        return RangeTable.open(partial)
    except EdgeSegError as problem:
        logger.warning("%s: calibration starts anew (%s)", partial, problem.message)
        return None
