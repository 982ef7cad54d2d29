"""A summary of an engine in a few lines of text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from edgeseg.artifact import Artifact
from edgeseg.inspection.row import Row, is_timed, known_sum


def summary_from_artifact(artifact: Artifact, rows: Sequence[Row]) -> dict[str, str]:
    """The summary: title -> text. rows: those of `artifact`."""
    return {name: text for name, text in lines(artifact, rows) if text}


def lines(artifact: Artifact, rows: Sequence[Row]) -> Iterator[tuple[str, str]]:
    """Yield all lines; the text is "" for a line to leave out."""
    spec = artifact.spec
    yield "Model", f"{spec.name}: {spec.input.width}x{spec.input.height}, {len(spec.labels)} classes"
    yield (
        "Engine",
        f"{artifact.engine}, {artifact.precision}" if artifact.engine else f"none, {artifact.precision} ONNX",
    )
    computing = [row for row in rows if row.kind == "compute"]
    yield "Computes in", counted(row.precision for row in computing)
    yield "Requested", counted(row.requested for row in computing)
    yield "Layers", f"{len(rows)}, {len(computing)} of them compute"
    yield "Labels", agreement_text(artifact)
    yield "Weights", mebibytes(known_sum(row.weight_bytes for row in rows))
    yield "Activations moved", mebibytes(known_sum(row.activation_bytes for row in rows))
    yield "Time", f"{known_sum(row.layer.milliseconds for row in rows):.3f} ms" if is_timed(rows) else "unknown"


def counted(precisions: Iterable[str]) -> str:
    """The number of layers per precision, most frequent first."""
    counts = Counter(precision for precision in precisions if precision)
    return ", ".join(f"{count} in {precision}" for precision, count in counts.most_common())


def agreement_text(artifact: Artifact) -> str:
    """The share of labels that equal those of the float model."""
    agreement = artifact.agreement
    if agreement.labels is None:
        return ""
    return f"{agreement.labels:.2%} equal those of the float model, on {agreement.frames} images"


def mebibytes(size: float | None) -> str:
    """A size as text."""
    return "unknown" if size is None else f"{size / 2**20:.1f} MiB"
