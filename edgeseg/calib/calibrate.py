"""Run the float graph over images and collect the statistics of every tensor; an interrupted run can be resumed."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sized
from itertools import islice
from pathlib import Path

from edgeseg.artifact import Onnx
from edgeseg.calib.calibration import Calibration, ImageRecord
from edgeseg.calib.images import CalibrationImages, Rgb
from edgeseg.calib.range import RangeTable
from edgeseg.calib.warnings import Warn, log_warning
from edgeseg.errors import DataError, EdgeSegError
from edgeseg.progress import Progress, silent

CHECKPOINT_IMAGES = 16

logger = logging.getLogger(__name__)


def ranges_from_images(
    onnx: Onnx,
    images: Iterable[Rgb],
    *,
    progress: Progress = silent,
    warn: Warn = log_warning,
    partial: Path | None = None,
) -> RangeTable:
    """The range table of the float deploy graph `onnx` over `images`, (H, W, 3) uint8 at the input's size.

    images: read one at a time; none is kept. With `partial` they must be iterable more than once.
    warn: called at the end with each warning about the images or the network; logs it by default.
    partial: a file that receives the statistics so far, every CHECKPOINT_IMAGES images and at KeyboardInterrupt, and
    from which a run resumes. The caller removes it once the table is saved.
    The same images in the same order give the same table, byte for byte, interrupted or not.
    """
    calibration = Calibration(onnx)
    total = len(images) if isinstance(images, Sized) else None
    remaining = iter(images) if partial is None else remaining_images(calibration, images, partial)
    if calibration.images.count:
        progress("calibrate", calibration.images.count, total)
    is_consistent = True
    try:
        for rgb in remaining:
            outputs = calibration.run(rgb)
            is_consistent = False
            calibration.add(rgb, outputs)
            is_consistent = True
            if partial is not None and calibration.images.count % CHECKPOINT_IMAGES == 0:
                calibration.table().write(partial)
            progress("calibrate", calibration.images.count, total)
    except KeyboardInterrupt:
        # An interrupt inside `add` leaves half of an image in the statistics: the last checkpoint is the newest state.
        if partial is not None and calibration.images.count and is_consistent:
            calibration.table().write(partial)
        raise
    if not calibration.images.count:
        hint = "name a folder with at least one image; 64 are enough"
        raise DataError("no images to calibrate with", hint=hint, code="ES-DATA-EMPTY")
    for warning in calibration.warnings():
        warn(warning)
    if isinstance(images, CalibrationImages):
        for warning in images.warnings():
            warn(warning)
    return calibration.table()


def remaining_images(calibration: Calibration, images: Iterable[Rgb], partial: Path) -> Iterator[Rgb]:
    """The images after those that the file `partial` covers, once `calibration` has resumed from it."""
    remaining = iter(images)
    table = read_partial(partial)
    if table is None:
        return remaining
    if calibration.can_resume_from(table):
        for rgb in islice(remaining, table.images):
            calibration.images.check(rgb)
            calibration.images.add(rgb)
        if (calibration.images.count, calibration.images.sha256) == (table.images, table.images_sha256):
            logger.info("resuming after %d images, from %s", table.images, partial)
            calibration.resume_from(table)
            return remaining
    logger.warning("%s is of another network or of other images: starting from the first image", partial)
    calibration.images = ImageRecord(calibration.images.spec)
    return iter(images)


def read_partial(partial: Path) -> RangeTable | None:
    """The table in the file `partial`; None where the file does not exist or cannot be read."""
    if not partial.exists():
        return None
    try:
        return RangeTable.open(partial)
    except EdgeSegError as error:
        logger.warning("%s cannot be used: starting from the first image (%s)", partial, error.message)
        return None
