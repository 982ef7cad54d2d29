"""JSON lines as a sink: one line per frame, with its prediction."""

from __future__ import annotations

import contextlib
import json
from io import FileIO
from pathlib import Path
from typing import Any

from edgeseg.errors import FileProblem
from edgeseg.files import writable_folder
from edgeseg.predictions.semantic import semantic_mask
from edgeseg.uri import flag_option
from edgeseg.video.address import Address
from edgeseg.video.result import Result
from edgeseg.video.sink import FrameSink, Wants
from edgeseg.video.source import SourceInfo


class JsonLinesSink(FrameSink):
    """Writes one JSON object per line at once, so that another program can follow the file; never a part of a line.

    Keys: `index`, `sequence`, `pts_seconds`, `name` of the frame, `stale`, `ms` (submission to prediction), and those
    of `Prediction.to_dict`: for a semantic mask `task`, `size` [H, W], `shares` and COCO's run lengths `rle`, by class.
    polygons: also `polygons`, the outlines of a semantic mask by class (`SemanticMask.outlines`). rle: False leaves the
    run lengths of a semantic mask out.
    """

    wants: Wants = "prediction"

    def __init__(self, path: Path, *, polygons: bool = False, rle: bool = True) -> None:
        super().__init__(str(path), path)
        self._path, self._polygons, self._rle = path, polygons, rle
        self._file: FileIO | None = None

    def _write(self, result: Result) -> bool:
        frame = result.frame
        line: dict[str, Any] = {
            "index": frame.index,
            "sequence": frame.sequence,
            "pts_seconds": frame.pts_seconds,
            "name": frame.name,
            "stale": result.stale,
            "ms": result.milliseconds.get("total"),
            **(result.prediction.to_dict() if self._rle else semantic_mask(result.prediction).summary()),
        }
        if self._polygons:
            line["polygons"] = semantic_mask(result.prediction).outlines()
        try:
            self._file = self._file or self._path.open("wb", buffering=0)
            _append_whole(self._file, json.dumps(line, separators=(",", ":")).encode() + b"\n")
        except OSError as problem:
            reason = problem.strerror or str(problem)
            hint = "free space, or name another place with -o"
            raise FileProblem(f"cannot write {self.name}: {reason}", hint=hint, code="ES-FILE-WRITE") from problem
        return True

    def close(self) -> None:
        """Close the file; `write` has already reported a full disk."""
        file, self._file = self._file, None
        if file is not None:
            with contextlib.suppress(OSError):
                file.close()


def _append_whole(file: FileIO, data: bytes) -> None:
    """Write all of `data`, or none of it where the disk is full."""
    end, written = file.tell(), 0
    try:
        while written < len(data):
            written += file.write(data[written:])
    except OSError:
        with contextlib.suppress(OSError):
            file.truncate(end)
        raise


def sink_from_address(address: Address, info: SourceInfo | None) -> JsonLinesSink:
    """`out.jsonl`; options: polygons (1: outlines beside the run lengths), rle (0: no run lengths)."""
    address.check_options(["polygons", "rle"])
    polygons, rle = flag_option(address.options, "polygons"), flag_option({"rle": "1", **address.options}, "rle")
    path = Path(address.place)
    if path.is_dir():
        raise FileProblem(f"this is a folder, not a file: {path}", hint="name a file in it")
    writable_folder(path.parent)
    return JsonLinesSink(path, polygons=polygons, rle=rle)
