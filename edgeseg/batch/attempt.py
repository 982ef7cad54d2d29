"""One attempt at a unit: outputs under temporary names, then renamed, and the marker last."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from edgeseg.artifact import without_nan
from edgeseg.batch.markers import marker_path, row_of_marker
from edgeseg.batch.units import Unit
from edgeseg.files import sync_to_disk

PARTIAL = ".partial"


class Attempt:
    """A folder `OUT/.partial/<digest>-<random>` for the outputs of a unit until they are whole.

    A process that is killed leaves it behind, so `earlier` counts the attempts that ended so.
    """

    def __init__(self, out: Path, unit: Unit) -> None:
        self._out, self._unit = out, unit
        self.earlier = len(leftovers(out, unit.digest))
        self._folder = out / PARTIAL / f"{unit.digest}-{secrets.token_hex(4)}"
        self.outputs, self.fetched = self._folder / "outputs", self._folder / "fetched"
        for folder in (self.outputs, self.fetched):
            folder.mkdir(parents=True)

    def commit(self, row: dict[str, Any]) -> bool:
        """Move the outputs to their place, then write the marker. False where the attempt was ended from outside.

        Another process ends it by its marker, or by removing its folder: it did the unit, or began the batch anew.
        """
        final = self._out / row["outputs"]
        marker = self._folder / "marker.json"
        try:
            is_done = row_of_marker(self._out, self._unit.digest) is not None
            if is_done or not self.outputs.is_dir() or not self.fetched.is_dir():
                return False
            for path in self.outputs.iterdir():  # not of folders of images, which would take as long as the work
                if path.is_file():
                    sync_to_disk(path)
            marker.write_text(json.dumps(without_nan(row), indent=1, allow_nan=False) + "\n", encoding="utf-8")
            sync_to_disk(marker)
            with contextlib.suppress(FileNotFoundError):  # of an attempt that ended before its marker
                final.replace(self._folder / "earlier")
            if row["error"] is None:
                self.outputs.replace(final)
            marker.replace(marker_path(self._out, self._unit.digest))
        except FileNotFoundError:
            return False
        remove_leftovers(self._out, [self._unit.digest])
        return True

    def discard(self) -> None:
        """Remove what it wrote."""
        shutil.rmtree(self._folder, ignore_errors=True)


def leftovers(out: Path, digest: str) -> list[Path]:
    """The folders of attempts at a unit."""
    return list((out / PARTIAL).glob(f"{digest}-*"))


def remove_leftovers(out: Path, digests: Iterable[str]) -> None:
    """Remove what attempts at these units left."""
    wanted = set(digests)
    with contextlib.suppress(OSError), os.scandir(out / PARTIAL) as entries:
        for entry in entries:
            if entry.name.partition("-")[0] in wanted:
                shutil.rmtree(entry.path, ignore_errors=True)
