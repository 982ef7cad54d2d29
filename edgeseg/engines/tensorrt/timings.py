"""The timing cache: how long each kernel took on this device, so that the next build need not measure again."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeseg.engines.tensorrt.compat import Release
from edgeseg.files import user_cache, whole_file


@dataclass(frozen=True)
class Timings:
    """A cache file. It is of one release and one device: TensorRT refuses that of another."""

    path: Path

    def attach(self, release: Release, config: Any) -> Any:
        """The cache, from the file where there is one that this release takes; what is measured is added to it."""
        stored = self.path.read_bytes() if self.path.exists() else b""
        cache = config.create_timing_cache(stored)
        if not config.set_timing_cache(cache, False):
            cache = config.create_timing_cache(b"")
            config.set_timing_cache(cache, False)
        return cache

    def keep(self, cache: Any) -> None:
        """Write what is known now, whole or not at all."""
        with whole_file(self.path) as partial:
            partial.write_bytes(bytes(cache.serialize()))


def timings_for(release: Release, device: str, folder: Path | None) -> Timings | None:
    """The cache of `device`, by its name, in `folder`; None for a release that keeps none."""
    if not release.keeps_timings:
        return None
    version = ".".join(map(str, release.version))
    name = re.sub(r"[^\w.]+", "-", f"{release.name}-{version}-{device or 'gpu'}")
    return Timings((folder or user_cache() / "timings") / f"{name}.cache")
