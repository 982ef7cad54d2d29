"""`edgeseg inspect`: what a file is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from edgeseg.commands.options import Json


def command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An engine, an ONNX or a weights file.")],
    as_json: Json = False,
) -> None:
    """Say what FILE is: spec, precision, provenance, and each layer's requested and obtained precision."""
    from edgeseg.commands.terminal import print_json, print_table

    facts, layers = described(file)
    if as_json:
        print_json({**facts, "layers": layers})
        return
    print_table(["field", "value"], [[key, value] for key, value in flat(facts)])
    if layers:
        columns = ["name", "op", "requested", "obtained"]
        print_table(columns, [[layer[column] for column in columns] for layer in layers], title="layers")


def described(file: Path) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """What is known about `file`, and its layers."""
    from dataclasses import asdict

    from edgeseg.artifact import Artifact

    if file.suffix == ".safetensors":
        from edgeseg.weights.file import header_from_weights, spec_from_weights

        return {"kind": "weights", "file": file.name, "spec": spec_from_weights(file).to_dict(),
                "config": header_from_weights(file).get("config", {})}, []  # fmt: skip
    artifact = Artifact.open(file)
    facts = {
        "kind": artifact.kind,
        "file": file.name,
        "engine": artifact.engine,
        "precision": str(artifact.precision),
        "output": str(artifact.output),
        "spec": artifact.spec.to_dict(),
        "provenance": dict(artifact.provenance),
        "versions": dict(artifact.versions),
        "device": dict(artifact.device),
        "agreement": dict(artifact.agreement),
    }
    layers = [asdict(layer) for layer in artifact.layers] or onnx_layers(file)
    return {key: value for key, value in facts.items() if value not in ("", {})}, layers


def onnx_layers(file: Path) -> list[dict[str, str]]:
    """The nodes of an ONNX that was not built yet: requested as the graph says, obtained by nobody."""
    from edgeseg.artifact import artifact_from_onnx, read_onnx
    from edgeseg.engines.layers import requests_from_onnx

    model = read_onnx(file)
    requests = requests_from_onnx(model, artifact_from_onnx(file).precision)
    return [
        {"name": node.name, "op": node.op_type, "requested": requested, "obtained": ""}
        for node in model.graph.node
        for name, requested in [requests.get(node.name, ("", ""))]
        if name in ("", node.name)
    ]


def flat(data: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested data as rows "a.b", value."""
    rows: list[tuple[str, str]] = []
    for key, value in data.items():
        if isinstance(value, dict):
            rows += flat(value, f"{prefix}{key}.")
        else:
            rows.append((prefix + key, ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)))
    return rows
