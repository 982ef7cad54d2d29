"""What an engine is, in a few lines for a person; what is not known is left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from edgeseg.artifact import Artifact
from edgeseg.inspection.row import Row, is_timed, known_sum


def summary_from_artifact(artifact: Artifact, rows: Sequence[Row]) -> dict[str, str]:
    """The lines of the summary: what is said -> it. rows: those of `artifact`."""
    return {name: text for name, text in lines(artifact, rows) if text}


def lines(artifact: Artifact, rows: Sequence[Row]) -> Iterator[tuple[str, str]]:
    """All lines; "" for what is not known."""
    spec = artifact.spec
    yield "Model", f"{spec.name}: {spec.input.width}x{spec.input.height}, {len(spec.labels)} classes"
    yield (
        "Engine",
        f"{artifact.engine}, {artifact.precision}" if artifact.engine else f"none, {artifact.precision} ONNX",
    )
    computing = [row for row in rows if row.kind == "compute"]
    yield "Computes in", counted(row.precision for row in computing)
    yield "Asked for", counted(row.requested for row in computing)
    yield "Layers", f"{len(rows)}, of which {len(computing)} multiply"
    yield "Labels", agreement_text(artifact)
    yield "Weights", mebibytes(known_sum(row.weight_bytes for row in rows))
    yield "Moves", mebibytes(known_sum(row.activation_bytes for row in rows))
    yield "Time", f"{known_sum(row.layer.milliseconds for row in rows):.3f} ms" if is_timed(rows) else ""


def counted(precisions: Iterable[str]) -> str:
    """How many layers have which precision, commonest first."""
    counts = Counter(precision for precision in precisions if precision)
    return ", ".join(f"{precision} in {count}" for precision, count in counts.most_common())


def agreement_text(artifact: Artifact) -> str:
    """How many labels are those of the float model."""
    agreement = artifact.agreement
    if agreement.labels is None:
        return ""
    return f"{agreement.labels:.2%} as those of the float model, on {agreement.frames} images"


def mebibytes(size: float | None) -> str:
    """A size for a person."""
    return "" if size is None else f"{size / 2**20:.1f} MiB"
