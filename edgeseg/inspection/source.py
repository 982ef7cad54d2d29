"""Where the explorer's rows come from: an engine's sidecar, an ONNX that was not built yet, or a build log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeseg.artifact import Artifact, Layer, read_onnx, sidecar_path
from edgeseg.engines.layers import requests_from_onnx
from edgeseg.engines.tensorrt.build_log import layers_from_log
from edgeseg.engines.tensorrt.inspector import layers_from_inspector
from edgeseg.engines.tensorrt.plan_layers import PlanLayer, layers_from_plan
from edgeseg.errors import FormatError, MismatchError
from edgeseg.files import existing_file
from edgeseg.inspection.row import Row, rows_from_layers, rows_from_plan


@dataclass(frozen=True)
class InspectedEngine:
    """An engine as rows. layers: requested and obtained precision, with what was lost.

    has_plan: whether the rows are those of a compiled plan, with tensors, or the artifact's layers alone.
    """

    name: str
    layers: tuple[Layer, ...]
    rows: tuple[Row, ...]
    has_plan: bool


def explored_from_artifact(artifact: Artifact, log: Path | None = None) -> InspectedEngine:
    """The engine or ONNX `artifact`. log: the build log of it, or its engine inspector's JSON, in the sidecar's place.

    FormatError where the log has no layers. MismatchError where they are those of another network.
    """
    layers = artifact.layers or layers_from_onnx(artifact.path)
    plan = plan_from_file(log) if log else plan_from_build(artifact)
    if log:
        requests = {layer.name: (layer.name, layer.requested) for layer in layers if layer.requested}
        layers = layers_from_plan(plan, requests)
        check_same_network(artifact, log, layers)
    rows = rows_from_plan(plan, layers) if plan else rows_from_layers(layers)
    return InspectedEngine(artifact.path.name, layers, rows, bool(plan))


def plan_from_build(artifact: Artifact) -> tuple[PlanLayer, ...]:
    """The plan that the sidecar keeps, empty for an engine that has none."""
    try:
        return tuple(map(PlanLayer.from_dict, artifact.build.layers))
    except (AttributeError, KeyError, TypeError) as problem:
        raise FormatError(
            f"the plan in {sidecar_path(artifact.path)} cannot be read",
            hint="build the engine again with edgeseg build, or name its build log with --log",
        ) from problem


def plan_from_file(path: Path) -> tuple[PlanLayer, ...]:
    """The plan that a build log or the JSON of an engine inspector describes."""
    text = existing_file(path).read_text(encoding="utf-8", errors="replace")
    try:
        plan = layers_from_inspector(text) if text.lstrip().startswith("{") else layers_from_log([text])
    except FormatError as problem:
        raise FormatError(f"{path.name}: {problem.message}", hint=problem.hint) from problem
    if not any(layer.op for layer in plan):
        raise FormatError(
            f"{path.name} has the names of the layers alone",
            hint="build again with detailed profiling verbosity: trtexec --profilingVerbosity=detailed",
        )
    return plan


def check_same_network(artifact: Artifact, log: Path, layers: Sequence[Layer]) -> None:
    """MismatchError where a log computes less than half of what `artifact` asks for."""
    asking = [layer for layer in layers if layer.requested]
    missing = [layer.name for layer in asking if not layer.obtained]
    if 2 * len(missing) > len(asking):
        raise MismatchError(
            f"{log.name} is of another network: {len(missing)} of {len(asking)} computing nodes of "
            f"{artifact.path.name} are not in it, such as {missing[0]}",
            hint="name the log of the build of this very file",
        )


def layers_from_onnx(path: Path) -> tuple[Layer, ...]:
    """The nodes of an ONNX that was not built yet: requested as the graph says, obtained by nobody."""
    model = read_onnx(path)
    requests = requests_from_onnx(model)
    return tuple(
        Layer(node.name, node.op_type, requested, "")
        for node in model.graph.node
        for name, requested in [requests.get(node.name, ("", ""))]
        if name in ("", node.name)  # not the activations that fuse into the node before them
    )
