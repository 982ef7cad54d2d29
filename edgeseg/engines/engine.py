"""What every engine states about itself, in one shape: how to build a file for its runtime, and how to open it."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgeseg.artifact import Artifact, Layer, LoadedModel
from edgeseg.engines.backend import Backend
from edgeseg.engines.devices import AUTO, device_from_name
from edgeseg.engines.options import BuildOptions, RunOptions
from edgeseg.errors import EdgeSegError, FormatError, UnavailableError, UnknownNameError
from edgeseg.files import existing_file, sha256_from_file, whole_file
from edgeseg.measure.device import describe_device, package_versions
from edgeseg.progress import Progress, silent
from edgeseg.provenance import BuildInfo
from edgeseg.spec import Precision

# Runtimes leave single layers (a depthwise or a first convolution) in floating point for speed; one that leaves most of
# them did not take the graph.
OBTAINED_SHARE = 0.5


@dataclass(frozen=True)
class BuildJob:
    """What `Engine.write` is to make. path: of the engine file. device: of `Engine.devices`; "auto" for none here."""

    onnx: LoadedModel
    path: Path
    precision: Precision
    options: BuildOptions = field(default_factory=BuildOptions)
    progress: Progress = silent
    device: str = AUTO


@dataclass(frozen=True)
class BuildResult:
    """What became of a job. layers: as the runtime compiled them. build, device: for the sidecar."""

    layers: tuple[Layer, ...]
    build: BuildInfo = field(default_factory=BuildInfo)
    device: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Engine:
    """A runtime that edgeseg builds for.

    extension: of its files, without the dot.
    precisions: what it can make, the plainest first.
    install: the command that brings the runtime. packages: distributions whose versions a build depends on.
    runtime: imports the runtime; ImportError or OSError where that fails.
    write: makes an engine file and gives its layers, read back from what the runtime compiled. It may take minutes.
    load: `load(artifact, run)` opens an engine file, or a float ONNX, on `run.device`, which is one of `devices`.
    devices: what the installed runtime can run on here, by the names of `edgeseg.engines.devices`, the first of which
    "auto" means.
    targets: those of edgeseg quantize whose int8 ONNX it takes.
    simulates: computes int8 in floating point, so that no layer obtains it.
    obtained_share: of the layers that ask for the engine's precision, the share that must obtain it.
    options: the names of those BuildOptions that it takes beside the device.
    runs_here: raises UnavailableError where this machine can build for the engine and not run it; None: it always can.
    dry_run: the command of the runtime's own that does the same job; None where there is none.
    takes_minutes: whether a build may.
    """

    name: str
    extension: str
    precisions: tuple[Precision, ...]
    install: str
    packages: tuple[str, ...]
    runtime: Callable[[], Any]
    write: Callable[[BuildJob], BuildResult]
    load: Callable[[Artifact, RunOptions], Backend]
    devices: Callable[[], tuple[str, ...]]
    targets: tuple[str, ...]
    simulates: bool = False
    obtained_share: float = OBTAINED_SHARE
    options: frozenset[str] = frozenset()
    runs_here: Callable[[], None] | None = None
    dry_run: Callable[[BuildJob], str] | None = None
    takes_minutes: bool = False

    def available(self) -> None:
        """UnavailableError, with what to install, unless the runtime can be imported here."""
        try:
            self.runtime()
        except (ImportError, OSError) as problem:
            reason = str(problem).splitlines()[0] if str(problem) else type(problem).__name__
            raise UnavailableError(f"the engine {self.name} is not available: {reason}", hint=self.install) from problem

    def runnable(self) -> None:
        """UnavailableError, with what is missing, unless engine files can be run here."""
        self.available()
        if self.runs_here is not None:
            self.runs_here()

    def device_from_name(self, name: str) -> str:
        """The one of `devices` that `name` means. UnknownNameError or UnavailableError where it means none of them."""
        here = self.devices()
        if not here:
            self.runnable()  # says what is missing
        return device_from_name(name, here, self.name)

    def has_device(self, name: str) -> bool:
        """Whether `name` means one of `devices`. UnknownNameError where it is no device's name."""
        try:
            self.device_from_name(name)
        except UnavailableError:
            return False
        return True

    def device_to_build_for(self, name: str) -> str:
        """As `device_from_name`; "auto" stays where there is no device: what is built here may run elsewhere."""
        return AUTO if name == AUTO and not self.devices() else self.device_from_name(name)

    def is_on_cpu(self, name: str) -> bool:
        """Whether the device that `name` means is the CPU."""
        return self.device_to_build_for(name) == "cpu"

    def open(self, artifact: Artifact, run: RunOptions = RunOptions()) -> Backend:  # noqa: B008 - frozen
        """Load `artifact` to run it, on the device and the threads of `run`."""
        self.available()
        existing_file(artifact.path)
        device = self.device_from_name(run.device)
        with self.named_failures(artifact.path):
            return self.load(artifact, dataclasses.replace(run, device=device))

    def build(
        self,
        onnx: LoadedModel,
        out: Path,
        precision: Precision,
        *,
        options: BuildOptions | None = None,
        progress: Progress = silent,
    ) -> Artifact:
        """Make the engine file `out` and its sidecar from an ONNX; what the runtime made of it is in the layers."""
        self.check_precision(precision)
        options = options or BuildOptions()
        options.check(self.options, self.name)
        self.available()
        device = self.device_to_build_for(options.device)
        with whole_file(out) as partial, self.named_failures(onnx.path):
            written = self.write(BuildJob(onnx, partial, precision, options, progress, device))
        built = dataclasses.replace(
            onnx.artifact,
            path=out,
            precision=precision,
            engine=self.name,
            provenance=dataclasses.replace(onnx.provenance, built_from_sha256=sha256_from_file(onnx.path)),
            versions=package_versions(("edgeseg", *self.packages)),
            device={**describe_device(), **written.device},
            build=written.build,
            layers=written.layers,
        )
        built.write_sidecar()
        return built

    def check_precision(self, precision: Precision) -> None:
        """UnknownNameError unless this engine makes `precision`."""
        if precision not in self.precisions:
            known = ", ".join(str(known) for known in self.precisions)
            raise UnknownNameError(f"the engine {self.name} makes no {precision}", hint=f"it makes: {known}")

    @contextlib.contextmanager
    def named_failures(self, path: Path) -> Iterator[None]:
        """A runtime's own exception as a FormatError that names engine and file: each runtime has its own classes."""
        try:
            yield
        except (EdgeSegError, OSError):
            raise
        except Exception as problem:
            reason = (str(problem).strip().splitlines() or [type(problem).__name__])[-1]
            hint = "try another engine: edgeseg doctor"
            raise FormatError(f"{self.name} cannot run {path.name}: {reason}", hint=hint) from problem
