"""The description of an engine: how to build a file for its runtime, and how to open it."""

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
from edgeseg.measure.device import device_facts, package_versions
from edgeseg.progress import Progress, silent
from edgeseg.provenance import BuildInfo
from edgeseg.spec import Precision

# Runtimes keep single layers (a depthwise or a first convolution) in floating point for speed. If most layers stay so,
# the runtime did not use the Q/DQ of the graph.
OBTAINED_SHARE = 0.5


@dataclass(frozen=True)
class BuildJob:
    """The input of `Engine.write`. path: of the engine file. device: one of `Engine.devices`, or "auto" without one."""

    onnx: LoadedModel
    path: Path
    precision: Precision
    options: BuildOptions = field(default_factory=BuildOptions)
    progress: Progress = silent
    device: str = AUTO


@dataclass(frozen=True)
class BuildResult:
    """The result of a job. layers: as the runtime compiled them. build, device: for the sidecar."""

    layers: tuple[Layer, ...]
    build: BuildInfo = field(default_factory=BuildInfo)
    device: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Engine:
    """A runtime that edgeseg builds for.

    extension: of its files, without the dot.
    precisions: of the engines that it can build, fp32 first.
    install: the command that installs the runtime. packages: distributions whose versions a build depends on.
    runtime: imports the runtime; ImportError or OSError if that fails.
    write: makes an engine file and returns its layers as the runtime compiled them. It may take minutes.
    load: `load(artifact, run)` opens an engine file, or a float ONNX, on `run.device`, which is one of `devices`.
    devices: the devices of the installed runtime here, by the names of `edgeseg.engines.devices`; the first is "auto".
    targets: those of edgeseg quantize whose int8 ONNX it accepts.
    simulates: computes int8 in floating point, so that no layer obtains it.
    obtained_share: the share of the layers requesting the engine's precision that must obtain it.
    options: the names of its BuildOptions, without the device.
    runs_here: raises UnavailableError if this machine can build the engine but not run it; None: it always can.
    dry_run: the runtime's own command for the same job; None if there is none.
    takes_minutes: whether a build may take minutes.
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
        """UnavailableError, with the command that installs it, unless the runtime can be imported."""
        try:
            self.runtime()
        except (ImportError, OSError) as problem:
            reason = str(problem).splitlines()[0] if str(problem) else type(problem).__name__
            raise UnavailableError(f"the engine {self.name} is not available: {reason}", hint=self.install) from problem

    def runnable(self) -> None:
        """UnavailableError, which says what is missing, unless engine files can run here."""
        self.available()
        if self.runs_here is not None:
            self.runs_here()

    def device_from_name(self, name: str) -> str:
        """The one of `devices` that `name` stands for. UnknownNameError or UnavailableError if there is none."""
        devices = self.devices()
        if not devices:
            self.runnable()  # says what is missing
        return device_from_name(name, devices, self.name)

    def has_device(self, name: str) -> bool:
        """Whether `name` stands for one of `devices`. UnknownNameError for an unknown name."""
        try:
            self.device_from_name(name)
        except UnavailableError:
            return False
        return True

    def device_to_build_for(self, name: str) -> str:
        """As `device_from_name`, but "auto" is allowed without a device: the engine may run elsewhere."""
        return AUTO if name == AUTO and not self.devices() else self.device_from_name(name)

    def is_on_cpu(self, name: str) -> bool:
        """Whether `name` stands for the CPU."""
        return self.device_to_build_for(name) == "cpu"

    def open(self, artifact: Artifact, run: RunOptions = RunOptions()) -> Backend:  # noqa: B008 - frozen
        """Load `artifact` on the device and with the threads of `run`."""
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
        """Make the engine file `out` and its sidecar from an ONNX; the layers are those that the runtime compiled."""
        self.check_precision(precision)
        options = options or BuildOptions()
        options.check(self.options, self.name)
        self.available()
        device = self.device_to_build_for(options.device)
        with whole_file(out) as partial, self.named_failures(onnx.path):
            result = self.write(BuildJob(onnx, partial, precision, options, progress, device))
        built = dataclasses.replace(
            onnx.artifact,
            path=out,
            precision=precision,
            engine=self.name,
            provenance=dataclasses.replace(onnx.provenance, built_from_sha256=sha256_from_file(onnx.path)),
            versions=package_versions(("edgeseg", *self.packages)),
            device={**device_facts(), **result.device},
            build=result.build,
            layers=result.layers,
        )
        built.write_sidecar()
        return built

    def check_precision(self, precision: Precision) -> None:
        """UnknownNameError unless this engine has `precision`."""
        if precision not in self.precisions:
            known = ", ".join(str(known) for known in self.precisions)
            raise UnknownNameError(f"the engine {self.name} has no {precision}", hint=f"it has: {known}")

    @contextlib.contextmanager
    def named_failures(self, path: Path) -> Iterator[None]:
        """Raise exceptions of the runtime as a FormatError that names the engine and the file."""
        try:
            yield
        except (EdgeSegError, OSError):
            raise
        except Exception as problem:
            reason = (str(problem).strip().splitlines() or [type(problem).__name__])[-1]
            message, hint = (
                f"{self.name} cannot run {path.name}: {reason}",
                "use another engine: edgeseg doctor lists them",
            )
            raise FormatError(message, hint=hint, code="ES-RUN") from problem
