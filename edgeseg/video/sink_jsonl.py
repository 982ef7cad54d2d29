"""JSON lines as a sink: one line per frame, with its prediction."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import IO, ClassVar

from edgeseg.errors import FileProblem
from edgeseg.files import writable_folder
from edgeseg.video.address import Address
from edgeseg.video.result import Result
from edgeseg.video.sink import FrameSink, Wants
from edgeseg.video.source import SourceInfo


class JsonLinesSink(FrameSink):
    """Writes one JSON object per line and flushes it, so that another program can follow the file.

    Keys: `index`, `sequence`, `pts_seconds`, `name` of the frame, `stale`, `ms` (submission to prediction), and those
    of `Prediction.to_dict`: for a semantic mask `task`, `size` [H, W], `shares` and COCO's run lengths `rle`, by class.
    """

    wants: ClassVar[Wants] = "prediction"

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), path)
        self._path = path
        self._file: IO[str] | None = None

    def _write(self, result: Result) -> bool:
        frame = result.frame
        line = {
            "index": frame.index,
            "sequence": frame.sequence,
            "pts_seconds": frame.pts_seconds,
            "name": frame.name,
            "stale": result.stale,
            "ms": result.milliseconds.get("total"),
            **result.prediction.to_dict(),
        }
        try:
            self._file = self._file or self._path.open("w", encoding="utf-8")
            self._file.write(json.dumps(line, separators=(",", ":")) + "\n")
            self._file.flush()
        except OSError as problem:
            reason = problem.strerror or str(problem)
            raise FileProblem(f"cannot write {self.name}: {reason}", hint="name another place with -o") from problem
        return True

    def close(self) -> None:
        """Close the file; `write` has already reported a full disk."""
        file, self._file = self._file, None
        if file is not None:
            with contextlib.suppress(OSError):
                file.close()


def sink_from_address(address: Address, info: SourceInfo | None) -> JsonLinesSink:
    """`out.jsonl`, without options."""
    address.check_options([])
    path = Path(address.place)
    if path.is_dir():
        raise FileProblem(f"this is a folder, not a file: {path}", hint="name a file in it")
    writable_folder(path.parent)
    return JsonLinesSink(path)
