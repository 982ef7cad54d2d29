"""`edgeseg export --to triton`: a model to the model repository of a Triton server."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeseg.commands.terminal import note, print_json, print_row, wrote
from edgeseg.engines.triton.options import ServeOptions
from edgeseg.engines.triton.repository import Repository
from edgeseg.serving import repository_from_model

if TYPE_CHECKING:
    from edgeseg.export.parity import Parity

REPOSITORY = Path("repository")


def export_repository(
    model: str | Path, out: Path | None, options: ServeOptions, inputs: Mapping[str, Any], *, as_json: bool
) -> None:
    """Write the repository, and print what is in it. inputs: further arguments of `repository_from_model`."""
    made, parity = repository_from_model(model, out or REPOSITORY, options, **inputs)
    print_repository(made, parity, as_json=as_json)


def print_repository(made: Repository, parity: Parity | None, *, as_json: bool) -> None:
    """Print what was written, and the next command."""
    name, spec, script = made.models[0], made.artifact.spec, made.plan_script
    facts = {
        "model": name,
        "backend": made.backend,
        "precision": str(made.artifact.precision),
        "input": f"{spec.input.width}x{spec.input.height}",
        "batch": made.batch,
    }
    if as_json:
        agreement = parity.agreement if parity else None
        more = {"models": made.models, "agreement": agreement, "licence": spec.licence}
        print_json({"repository": str(made.folder), **facts, **more, "plan_script": str(script) if script else None})
    else:
        print_row(facts)
    for each in made.models:
        wrote(made.folder / each)
    if script:
        note(f"note: the plan is missing: run {script} on the GPU of the server, with its TensorRT")
    wrote(None, f"edgeseg stream SOURCE triton://localhost:8001/{name}")
