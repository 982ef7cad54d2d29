"""Read the layers of an engine from its sidecar, a build log, or the ONNX that it is built from."""

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
    """An engine with its layers and rows. layers: requested and obtained precision of the ONNX nodes.

    has_plan: whether the rows come from a compiled plan, with tensors; else from `layers`.
    """

    name: str
    layers: tuple[Layer, ...]
    rows: tuple[Row, ...]
    has_plan: bool


def inspect_artifact(artifact: Artifact, log: Path | None = None) -> InspectedEngine:
    """Inspect an engine or ONNX. log: its build log or the JSON of an engine inspector, used instead of the sidecar.

    FormatError if the log has no layers. MismatchError if it belongs to another network.
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
    """The plan in the sidecar; empty if there is none."""
    try:
        return tuple(map(PlanLayer.from_dict, artifact.build.layers))
    except (AttributeError, KeyError, TypeError) as problem:
        raise FormatError(
            f"the plan in {sidecar_path(artifact.path)} cannot be read",
            hint="build the engine again with edgeseg build, or name its build log with --log",
            code="ES-FORMAT-SIDECAR",
        ) from problem


def plan_from_file(path: Path) -> tuple[PlanLayer, ...]:
    """The plan in a build log or the JSON of an engine inspector."""
    text = existing_file(path).read_text(encoding="utf-8", errors="replace")
    try:
        plan = layers_from_inspector(text) if text.lstrip().startswith("{") else layers_from_log([text])
    except FormatError as problem:
        raise FormatError(f"{path.name}: {problem.message}", hint=problem.hint, code="ES-FORMAT-LAYERS") from problem
    if not any(layer.op for layer in plan):
        raise FormatError(
            f"{path.name} has only the names of the layers",
            hint="build again with detailed profiling verbosity: trtexec --profilingVerbosity=detailed",
            code="ES-FORMAT-LAYERS",
        )
    return plan


def check_same_network(artifact: Artifact, log: Path, layers: Sequence[Layer]) -> None:
    """MismatchError if a log contains less than half of the nodes that `artifact` requests a precision for."""
    requested = [layer for layer in layers if layer.requested]
    missing = [layer.name for layer in requested if not layer.obtained]
    if 2 * len(missing) > len(requested):
        raise MismatchError(
            f"{log.name} belongs to another network: it lacks {len(missing)} of {len(requested)} computing nodes of "
            f"{artifact.path.name}, such as {missing[0]}",
            hint="name the build log of this file",
        )


def layers_from_onnx(path: Path) -> tuple[Layer, ...]:
    """The nodes of an ONNX, with the precision that the graph requests; none is obtained yet."""
    model = read_onnx(path)
    requests = requests_from_onnx(model)
    return tuple(
        Layer(node.name, node.op_type, requested, "")
        for node in model.graph.node
        for name, requested in [requests.get(node.name, ("", ""))]
        if name in ("", node.name)  # leaves out activations that fuse into the node before them
    )
