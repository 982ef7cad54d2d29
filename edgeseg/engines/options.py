"""What a user may ask of a build beside the precision, and of an engine that is opened."""

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

    device: as `Engine.devices` names them; "auto" is the first of those. threads: how many cores an engine on a CPU
    computes on; None leaves that to the runtime. Other devices ignore it.
    """

    device: str = AUTO
    threads: int | None = None

    def __post_init__(self) -> None:
        if self.threads is not None and (not isinstance(self.threads, int) or self.threads < 1):
            hint = "give 1 or more, or leave it out to use all cores"
            raise SizeError(f"an engine cannot run on {self.threads} threads", hint=hint, code="ES-THREADS")


@dataclass(frozen=True)
class BuildOptions:
    """Options of a build; every default leaves the choice to the engine, which states which of them it takes.

    batch: the fewest, the usual and the most images at once.
    workspace_mib: device memory for kernels' scratch; None: what is free. level: optimisation, 0 to 5.
    device: what it is built for and checked on, as in `RunOptions`; every engine takes it. dla: a DLA core, with the
    GPU for what it cannot run. timing_cache: a folder; None: the user's cache. portable: also for later versions of
    the runtime. gpus: compute capabilities such as "8.6" that the engine is made for, of RTX; () for the device's own.
    any_gpu: for every GPU from Ampere on, of TensorRT.
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
        """The names of the options that are not left to the engine."""
        return [each.name for each in dataclasses.fields(self) if getattr(self, each.name) != each.default]

    def to_dict(self) -> dict[str, Any]:
        """What was asked for, as plain data for a sidecar, without paths."""
        return {name: getattr(self, name) for name in self.asked() if name != "timing_cache"}

    def check(self, taken: Iterable[str], engine: str) -> None:
        """MismatchError unless every option that was asked for is one of `taken`."""
        known = sorted(taken)
        for name in self.asked():
            if name not in (*known, "device"):
                hint = f"it takes: {', '.join(known)}" if known else "leave it out, or build with --engine tensorrt"
                raise MismatchError(f"the engine {engine} takes no option {name}", hint=hint)
