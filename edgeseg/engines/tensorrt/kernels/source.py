"""The kernels' source, and the cache of what was compiled from it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from edgeseg.files import user_cache, whole_file

SOURCE = Path(__file__).with_name("pixels.cu")
SHIM = Path(__file__).with_name("shim.h")
KERNELS = ("resize_rgb", "resize_yuv", "labels_float", "labels_half", "labels_nearest", "overlay")


def compiled(ending: str, compile_to: Callable[[Path], None]) -> Path:
    """The file that `compile_to` makes for `ending`, from the user's cache where this source was compiled before."""
    digest = hashlib.sha256(SOURCE.read_bytes() + SHIM.read_bytes()).hexdigest()[:16]
    path = user_cache() / "kernels" / f"pixels-{digest}-{ending}"
    if not path.exists():
        with whole_file(path) as partial:
            compile_to(partial)
    return path
