"""What a conversion must not write over: engines, ONNX files and range tables of other networks."""

from __future__ import annotations

import glob
from pathlib import Path

from edgeseg.artifact import LoadedModel, artifact_from_onnx, sidecar_path
from edgeseg.calib.range import RangeTable
from edgeseg.engines.build import check_replaceable, overwrite_error
from edgeseg.errors import EdgeSegError, MismatchError
from edgeseg.provenance import Provenance
from edgeseg.spec import Precision


def check_names_free(stem: str, provenance: Provenance, out: Path) -> None:
    """FileProblem (ES-FILE-EXISTS) where `out` has an engine or ONNX called `stem` that was made from other weights."""
    for sidecar in sorted(out.glob(f"{glob.escape(stem)}.*.json")):
        engine = sidecar.with_suffix("")
        if sidecar_path(engine) == sidecar:
            check_replaceable(engine, provenance)
    for path in (out / f"{stem}.onnx", *(out / f"{stem}.{precision}.onnx" for precision in Precision)):
        if path.exists():
            check_made_here(path)
            check_replaceable(path, provenance)


def check_made_here(path: Path) -> None:
    """FileProblem where the ONNX at `path` is not one of edgeseg's."""
    try:
        artifact_from_onnx(path)
    except EdgeSegError:
        raise overwrite_error(path, "was not made by edgeseg") from None


def check_table_replaceable(path: Path, onnx: LoadedModel) -> None:
    """FileProblem where the range table at `path` is of another network than `onnx`."""
    try:
        table = RangeTable.open(path)
    except EdgeSegError:  # none, or damaged: nothing is lost
        return
    try:
        table.check(onnx.graph())
    except MismatchError:
        raise overwrite_error(path, f"is of another network ({table.model})") from None
