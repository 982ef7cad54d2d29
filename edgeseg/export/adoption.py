"""Recognise a checkpoint of another training code, and derive its network and model spec."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeseg.datasets.labels import CITYSCAPES_LABELS
from edgeseg.errors import MismatchError
from edgeseg.export.statistics import Statistics
from edgeseg.labels import labels_from_file, labels_from_names, unnamed_labels
from edgeseg.models import open_family
from edgeseg.models.checkpoint_formats import recognised
from edgeseg.spec import LabelSet, ModelSpec
from edgeseg.weights.checkpoint import Checkpoint, model_name, read_checkpoint

if TYPE_CHECKING:
    from torch import Tensor

    from edgeseg.models.checkpoint_formats.checkpoint_format import Adopted, CheckpointFormat

KNOWN_SETS = (CITYSCAPES_LABELS,)  # recognised by their number of classes
CLASSES = range(2, 256)  # argmax needs two logits
ELSEWHERE = "export it to ONNX with its own code, then: edgeseg adopt model.onnx"


@dataclass(frozen=True)
class Adoption:
    """A recognised checkpoint. state: with the family's names. origin: its format. details: its version, or ""."""

    path: Path
    spec: ModelSpec
    state: Mapping[str, Tensor]
    origin: str
    details: str

    def facts(self) -> dict[str, Any]:
        """The properties that a user checks before they trust the result."""
        spec, size = self.spec, self.spec.input
        return {
            "origin": self.origin,
            "details": self.details,
            "network": f"{spec.family} {spec.variant}",
            "classes": len(spec.labels),
            "labels": list(spec.labels.names),
            "input": f"{size.width}x{size.height}",
            "resize": size.resize,
            "color": size.color,
            "mean": list(size.mean),
            "std": list(size.std),
            "align_corners": spec.align_corners,
            "licence": spec.licence,
        }


def adoption_from_file(
    path: Path,
    *,
    size: tuple[int, int] | None = None,
    labels: Path | None = None,
    statistics: Statistics | None = None,
) -> Adoption:
    """Recognise the checkpoint at `path`. size: (width, height); the default is that of its format.

    labels: a text file of names, instead of those of the checkpoint or of its number of classes.
    statistics: instead of those next to the checkpoint or of its format.
    FormatError if no format matches.
    """
    checkpoint = read_checkpoint(path)
    checkpoint_format = recognised(checkpoint.state, path=str(path))
    adopted = adopted_from(checkpoint, checkpoint_format)
    check_config(checkpoint, adopted)
    spec = ModelSpec(
        name=model_name(path),
        input=(statistics or Statistics()).input_from(checkpoint.input or adopted.input),
        labels=labels_from_checkpoint(checkpoint, adopted.classes, labels),
        family=checkpoint_format.family,
        variant=adopted.variant,
        align_corners=adopted.align_corners,
        licence=checkpoint_format.licence,
    )
    if size:
        spec = spec.resized(*size)
    rule = open_family(checkpoint_format.family).size_rule
    rule.check(spec.input.width, spec.input.height, model=spec.name)
    return Adoption(path, spec, adopted.state, checkpoint_format.name, adopted.details)


def adopted_from(checkpoint: Checkpoint, checkpoint_format: CheckpointFormat) -> Adopted:
    """Read `checkpoint` as a `checkpoint_format`. MismatchError if only the names of its tensors match."""
    try:
        adopted = checkpoint_format.adopt(checkpoint.state)
    except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as problem:
        message = f"{checkpoint.path} has the tensor names of {checkpoint_format.name}, but other shapes"
        raise MismatchError(message, hint=ELSEWHERE) from problem
    if adopted.classes not in CLASSES:
        message = f"{checkpoint.path} gives {adopted.classes} logits per pixel; edgeseg takes 2 to 255"
        raise MismatchError(message, hint=ELSEWHERE)
    return adopted


def labels_from_checkpoint(checkpoint: Checkpoint, classes: int, labels: Path | None) -> LabelSet:
    """The labels of the file `labels`, of the checkpoint, of a known set with as many classes, or without names.

    classes: the number of the network's logits. MismatchError if there is another number of names.
    """
    if labels is not None:
        label_set, source = labels_from_file(labels), str(labels)
    elif checkpoint.names:
        names = labels_from_names(checkpoint.names, checkpoint.palette or None)
        label_set = next((known for known in KNOWN_SETS if known.names == names.names), names)
        source = f"{checkpoint.path} itself"
    else:
        known = [known for known in KNOWN_SETS if len(known) == classes]
        return known[0] if known else unnamed_labels(classes)
    if len(label_set) != classes:
        raise MismatchError(
            f"{checkpoint.path} has {classes} classes, and {source} names {len(label_set)}",
            hint=f"write {classes} names into a text file, one per line, and add --labels FILE",
        )
    return label_set


def check_config(checkpoint: Checkpoint, adopted: Adopted) -> None:
    """MismatchError if the config.json has a value that the network does not."""
    for key, supported in adopted.config.items():
        value = checkpoint.config.get(key, supported)
        if value != supported:
            raise MismatchError(
                f"the config.json of {checkpoint.path} has {key} {value}; edgeseg supports {supported}",
                hint=ELSEWHERE,
            )


def shown(adoption: Adoption) -> list[tuple[str, str]]:
    """The properties as lines of a table, without empty ones."""
    facts = adoption.facts()
    names = facts["labels"]
    facts["labels"] = ", ".join(names if len(names) <= 4 else [*names[:3], "...", names[-1]])
    for key in ("mean", "std"):
        facts[key] = " ".join(f"{value:.4g}" for value in facts[key])
    facts["align_corners"] = str(facts["align_corners"]).lower()
    return [(key.replace("_", " "), str(value)) for key, value in facts.items() if value != ""]
