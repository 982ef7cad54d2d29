"""TensorRT's timing cache: the time of each kernel on this device, which the next build need not measure again."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeseg.engines.tensorrt.compat import Release
from edgeseg.files import user_cache, whole_file


@dataclass(frozen=True)
class TimingCache:
    """A cache file of one release and one device: TensorRT refuses that of another."""

    path: Path

    def attach(self, release: Release, config: Any) -> Any:
        """TensorRT's cache object, filled from the file if this release accepts it; the build adds to it."""
        stored = self.path.read_bytes() if self.path.exists() else b""
        cache = config.create_timing_cache(stored)
        if not config.set_timing_cache(cache, False):
            cache = config.create_timing_cache(b"")
            config.set_timing_cache(cache, False)
        return cache

    def save(self, cache: Any) -> None:
        """Write the file, whole or not at all."""
        with whole_file(self.path) as partial:
            partial.write_bytes(bytes(cache.serialize()))


def timing_cache_for(release: Release, device: str, folder: Path | None) -> TimingCache | None:
    """The cache of the GPU named `device` in `folder`; None for a release that uses none."""
    if not release.uses_timing_cache:
        return None
    version = ".".join(map(str, release.version))
    name = re.sub(r"[^\w.]+", "-", f"{release.name}-{version}-{device or 'gpu'}")
    return TimingCache((folder or user_cache() / "timings") / f"{name}.cache")
