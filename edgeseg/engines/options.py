"""The options of a build, besides the precision, and of an engine that is opened."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeseg.engines.devices import AUTO
from edgeseg.errors import MismatchError, SizeError


@dataclass(frozen=True)
class RunOptions:
    """Where an opened engine runs: chosen when it is opened, not when it is built.

    device: one of `Engine.devices`; "auto" is the first. threads: of an engine on a CPU; None leaves the number to the
    runtime. Other devices ignore it.
    """

    device: str = AUTO
    threads: int | None = None

    def __post_init__(self) -> None:
        if self.threads is not None and (not isinstance(self.threads, int) or self.threads < 1):
            hint = "give 1 or more, or omit it to use all cores"
            raise SizeError(f"an engine cannot run on {self.threads} threads", hint=hint, code="ES-THREADS")


@dataclass(frozen=True)
class BuildOptions:
    """Options of a build; every default leaves the choice to the engine, and `Engine.options` lists those that it has.

    batch: the fewest, the usual and the most images at once.
    workspace_mib: scratch memory of kernels; None: half of the free memory. level: optimisation, 0 to 5.
    device: the engine is built for it and checked on it, as in `RunOptions`; every engine has this option. dla: a DLA
    core; the GPU runs what it cannot. timing_cache: a folder; None: the user's cache. portable: also for later versions
    of the runtime. gpus: the compute capabilities, such as "8.6", of an RTX engine; () for that of the device. any_gpu:
    for every GPU since Ampere (TensorRT).
    """

    batch: tuple[int, int, int] = (1, 1, 1)
    workspace_mib: int | None = None
    level: int | None = None
    device: str = AUTO
    dla: int | None = None
    timing_cache: Path | None = None
    portable: bool = False
    gpus: tuple[str, ...] = ()
    any_gpu: bool = False

    def __post_init__(self) -> None:
        low, usual, most = self.batch
        if not 1 <= low <= usual <= most:
            text = ":".join(map(str, self.batch))
            hint = "give the fewest, the usual and the most images, for example 1:1:4"
            raise SizeError(f"the batch {text} does not rise from 1", hint=hint, code="ES-SIZE-BATCH")

    def asked(self) -> list[str]:
        """The names of the options that are set."""
        return [each.name for each in dataclasses.fields(self) if getattr(self, each.name) != each.default]

    def to_dict(self) -> dict[str, Any]:
        """The options that are set, as plain data for a sidecar, without paths."""
        return {name: getattr(self, name) for name in self.asked() if name != "timing_cache"}

    def check(self, allowed: Iterable[str], engine: str) -> None:
        """MismatchError unless every option that is set is in `allowed`."""
        known = sorted(allowed)
        for name in self.asked():
            if name not in (*known, "device"):
                hint = f"it has: {', '.join(known)}" if known else "omit it, or use --engine tensorrt"
                raise MismatchError(f"the engine {engine} has no option {name}", hint=hint, code="ES-MISMATCH-OPTIONS")
