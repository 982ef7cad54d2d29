"""`edgeseg inspect`: describe a file, and an engine layer by layer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeseg.commands.options import Json, option

if TYPE_CHECKING:
    from edgeseg.artifact import Artifact
    from edgeseg.inspection.difference import Difference
    from edgeseg.inspection.source import InspectedEngine

Other = Annotated[Path | None, option("--diff OTHER", "Print what changed from OTHER to FILE.")]
Page = Annotated[Path | None, option("--html PAGE", "Write an HTML page with a diagram.")]
Log = Annotated[
    Path | None, option("--log LOG", "The verbose build log of FILE, or the file of trtexec --exportLayerInfo.")
]


UNKNOWN = "-"

EXAMPLES = """
  edgeseg inspect engines/bisenetv2-camvid.openvino.int8.onnx
  edgeseg inspect model.plan --html page.html
"""


def command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An engine, an ONNX or a weights file.")],
    other: Other = None,
    page: Page = None,
    log: Log = None,
    as_json: Json = False,
) -> None:
    """Describe an engine, an ONNX or a weights file.

    The result has the spec, precision and provenance, and for each layer the requested and the obtained precision. Of a
    TensorRT plan it has the fused layers with their ONNX nodes and torch modules, copies, Q/DQ nodes that were not
    fused, and memory traffic. No GPU is needed.
    """
    from edgeseg.commands.terminal import print_json

    if file.suffix == ".safetensors":
        show_weights(file, as_json, {"--diff": other, "--html": page, "--log": log})
        return
    from edgeseg.artifact import Artifact
    from edgeseg.inspection.difference import difference
    from edgeseg.inspection.source import inspect_artifact

    artifact = Artifact.open(file)
    inspected = inspect_artifact(artifact, log)
    before = inspect_artifact(opened_other(other)) if other else None
    changed = difference(before.rows, inspected.rows) if before else None
    facts = described(artifact)
    if page:
        write_page(page, artifact, inspected, (before.name, changed) if before and changed else None)
    if as_json:
        print_json({**facts, **layers_json(inspected), **({"difference": changed.to_dict()} if changed else {})})
    elif before and changed:
        print_difference(before, inspected, changed)
    else:
        print_tables(facts, inspected)


def show_weights(file: Path, as_json: bool, asked: dict[str, Path | None]) -> None:
    """Print the spec and the training recipe of a weights file."""
    from edgeseg.commands.terminal import print_json, print_table
    from edgeseg.weights.file import header_from_weights, spec_from_weights

    for name in (name for name, path in asked.items() if path):
        raise no_layers(file, name)
    facts = {"kind": "weights", "file": file.name, "spec": spec_from_weights(file).to_dict(),
             "config": header_from_weights(file).get("config", {})}  # fmt: skip
    if as_json:
        print_json({**facts, "layers": []})
    else:
        print_table(["field", "value"], [[key, value] for key, value in flat(facts)])


def opened_other(file: Path) -> Artifact:
    """Open the file that FILE is compared with."""
    from edgeseg.artifact import Artifact

    if file.suffix == ".safetensors":
        raise no_layers(file, "--diff")
    return Artifact.open(file)


def no_layers(file: Path, option: str) -> Exception:
    """The error for an option that needs layers."""
    from edgeseg.errors import FormatError

    return FormatError(
        f"{option} needs layers, and {file.name} is a weights file, which has none",
        hint=f"name an engine or an ONNX; edgeseg export {file} makes one",
        code="ES-NO-LAYERS",
    )


def described(artifact: Artifact) -> dict[str, Any]:
    """Everything about a file except its layers."""
    facts = {
        "kind": artifact.kind,
        "file": artifact.path.name,
        "engine": artifact.engine,
        "precision": str(artifact.precision),
        "output": str(artifact.output),
        "spec": artifact.spec.to_dict(),
        "provenance": artifact.provenance.to_dict(),
        "versions": dict(artifact.versions),
        "device": dict(artifact.device),
        "build": {key: value for key, value in artifact.build.to_dict().items() if key != "layers"},
        "agreement": artifact.agreement.to_dict(),
    }
    return {key: value for key, value in facts.items() if value not in ("", {})}


def layers_json(inspected: InspectedEngine) -> dict[str, Any]:
    """The layers for --json: requested and obtained precision, and the plan where there is one."""
    from dataclasses import asdict

    from edgeseg.inspection.finding import findings
    from edgeseg.inspection.table import totals

    layers = {"layers": [asdict(layer) for layer in inspected.layers]}
    if not inspected.has_plan:
        return layers
    return {
        **layers,
        "plan": [row.to_dict() for row in inspected.rows],
        "totals": totals(inspected.rows),
        "findings": [asdict(finding) for finding in findings(inspected.rows, inspected.layers)],
    }


def print_tables(facts: dict[str, Any], inspected: InspectedEngine) -> None:
    """Print the tables of FILE."""
    from edgeseg.commands.terminal import print_table
    from edgeseg.inspection.finding import findings
    from edgeseg.inspection.table import table_from_rows, totals

    print_table(["field", "value"], [[key, value] for key, value in flat(facts)])
    if not inspected.has_plan:
        columns = ["name", "op", "requested", "obtained"]
        lines = [[getattr(layer, column) for column in columns] for layer in inspected.layers]
        print_table(columns, lines, title="layers")
        return
    print_table(*table_from_rows(inspected.rows, without=("module", "stream", "tactic")), title="layers")
    print_table(["total", "value"], [[key, value] for key, value in flat(totals(inspected.rows)) if value != UNKNOWN])
    rows = [[finding.code, finding.message] for finding in findings(inspected.rows, inspected.layers)]
    print_table(["finding", "meaning"], rows)


def print_difference(before: InspectedEngine, after: InspectedEngine, changed: Difference) -> None:
    """Print the tables of what changed."""
    from edgeseg.commands.terminal import print_table
    from edgeseg.inspection.table import table_from_difference

    print_table(*table_from_difference(changed), title=f"{changed.matched} layers matched")
    print_table(["total", "before", "after"], totals_beside(before, after), title=f"{before.name} -> {after.name}")


def totals_beside(before: InspectedEngine, after: InspectedEngine) -> list[list[str]]:
    """The totals of two engines, one row per figure that either has."""
    from edgeseg.inspection.table import totals

    old, new = (dict(flat(totals(inspected.rows))) for inspected in (before, after))
    beside = [[name, old.get(name, "0"), new.get(name, "0")] for name in {**old, **new}]
    return [line for line in beside if line[1:] != [UNKNOWN, UNKNOWN]]


def write_page(
    page: Path, artifact: Artifact, inspected: InspectedEngine, differing: tuple[str, Difference] | None
) -> None:
    """Write the page of FILE."""
    from edgeseg.commands.terminal import wrote
    from edgeseg.files import write_text
    from edgeseg.inspection.finding import findings
    from edgeseg.inspection.page import page_from_rows
    from edgeseg.inspection.summary import summary_from_artifact

    text = page_from_rows(
        inspected.name, inspected.rows, summary=summary_from_artifact(artifact, inspected.rows),
        details=dict(flat(described(artifact))), findings=findings(inspected.rows, inspected.layers),
        difference=differing,
    )  # fmt: skip
    write_text(page, text)
    wrote(page)


def flat(data: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested data as rows "a.b", value; a dash for an unknown value."""
    rows: list[tuple[str, str]] = []
    for key, value in data.items():
        if isinstance(value, dict):
            rows += flat(value, f"{prefix}{key}.")
        elif isinstance(value, (list, tuple)):
            rows.append((prefix + key, ", ".join(map(str, value))))
        else:
            rows.append((prefix + key, UNKNOWN if value is None else str(value)))
    return rows
