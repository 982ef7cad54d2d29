"""`edgeseg train MODEL --qat`: weights that learn to live with the Q/DQ of int8."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgeseg.errors import MismatchError

FIELDS = ("batch", "learning_rate", "scale", "colour", "seed", "steps", "minutes", "every")
CALIBRATION_IMAGES = 100


def tune(
    model: str, data: Sequence[tuple[str, float]], folder: Path | None, ranges: Path | None,
    options: Mapping[str, Any], restart: bool, as_json: bool,
) -> None:  # fmt: skip
    """Export MODEL, tune it, and write NAME.onnx and NAME.ranges.json. options: those that the user typed.

    The ranges are those of the file `ranges`, those that come with a bundled model, or those of 100 images of the
    first data set.
    """
    from edgeseg.calib.calibrate import ranges_from_images
    from edgeseg.calib.images import images_from
    from edgeseg.commands.terminal import note, print_json, print_table, shown_progress, wrote
    from edgeseg.conversion import float_onnx, range_table
    from edgeseg.interrupt import interrupts_held
    from edgeseg.train.qat.config import QatConfig
    from edgeseg.train.qat.finetune import check_not_overwritten, draw_for, finetune_int8
    from edgeseg.train.request import check_scale

    for option in options:
        if option not in FIELDS:
            hint = f"leave it out; --qat takes {', '.join('--' + name.replace('_', '-') for name in FIELDS)}"
            message = f"--{option.replace('_', '-')} has no effect with --qat"
            raise MismatchError(message, hint=hint, code="ES-MISMATCH-OPTIONS")
    if "minutes" in options and "steps" not in options:
        options = {**options, "steps": 1_000_000}  # the minutes alone end it
    config = QatConfig(data=tuple(data), **options)
    check_scale(config.scale)
    with tempfile.TemporaryDirectory() as scratch, shown_progress() as progress:
        onnx, _ = float_onnx(model, Path(scratch))
        out = folder or Path("runs") / f"{onnx.spec.name}-qat"
        for source in (Path(model), ranges):
            if source is not None and source.name in (onnx.path.name, f"{onnx.path.stem}.ranges.json"):
                check_not_overwritten(source, out)
        draw = draw_for(config, onnx.spec)
        table = range_table(model, onnx, ranges=ranges, progress=progress)
        if table is None:
            table = ranges_from_images(onnx, images_from(data[0][0], onnx.spec, CALIBRATION_IMAGES), progress=progress)
        if restart:
            (out / f"{onnx.path.stem}.qat.pt").unlink(missing_ok=True)
        try:
            with interrupts_held() as hold:
                result = finetune_int8(onnx.path, table, config, draw, out, progress=progress, hold=hold)
        except KeyboardInterrupt:
            same = "the same command without --restart" if restart else "the same command"
            note(f"stopped; {same} resumes from {out / onnx.path.stem}.qat.pt")
            raise
    loss = sum(result.losses[-20:]) / max(1, len(result.losses[-20:]))
    if as_json:
        print_json(
            {
                "onnx": str(result.onnx.path),
                "ranges": str(result.ranges),
                "steps": result.steps,
                "resumed": result.resumed,
                "seconds": round(result.seconds, 1),
                "loss": loss,
            }
        )
    else:
        print_table(["model", "steps", "loss"], [[result.onnx.spec.name, result.steps, f"{loss:.4f}"]])
    wrote(result.ranges)
    wrote(result.onnx.path, f"edgeseg convert {result.onnx.path} --ranges {result.ranges} --precision int8")
