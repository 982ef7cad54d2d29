"""Other people's checkpoints as edgeseg's own: whose it is, its network, and what a spec has to say of it."""

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

KNOWN_SETS = (CITYSCAPES_LABELS,)  # by their number of classes, which no other well-known set shares
CLASSES = range(2, 256)  # one logit has nothing to win against
ELSEWHERE = "export it to ONNX with its own code, then: edgeseg adopt model.onnx"
FIXED = {  # what a config.json may ask for and no family has as an argument
    "num_attention_heads": [1, 2, 5, 8],
    "strides": [4, 2, 2, 2],
    "hidden_act": "gelu",
}


@dataclass(frozen=True)
class Adoption:
    """A checkpoint that was recognised. state: under the family's names. origin, dialect: as a person calls them."""

    path: Path
    spec: ModelSpec
    state: Mapping[str, Tensor]
    origin: str
    dialect: str

    def facts(self) -> dict[str, Any]:
        """What a user checks before they trust it, by name."""
        spec, size = self.spec, self.spec.input
        return {
            "origin": self.origin,
            "dialect": self.dialect,
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
    """Recognise the checkpoint at `path` (`weights_path`'s). size: (width, height), that of its origin unless given.

    labels: a text file of names, in place of what the checkpoint or its number of classes says.
    statistics: in place of what lies beside the checkpoint, or its origin usually has.
    FormatError for a checkpoint that no origin knows.
    """
    checkpoint = read_checkpoint(path)
    origin = recognised(checkpoint.state, path=str(path))
    adopted = adopted_from(checkpoint, origin)
    check_config(checkpoint)
    spec = ModelSpec(
        name=model_name(path),
        input=(statistics or Statistics()).input_from(checkpoint.input or adopted.input),
        labels=labels_from_checkpoint(checkpoint, adopted.classes, labels),
        family=origin.family,
        variant=adopted.variant,
        align_corners=adopted.align_corners,
        licence=origin.licence,
    )
    if size:
        spec = spec.resized(*size)
    rule = open_family(origin.family).size_rule
    rule.check(spec.input.width, spec.input.height, model=spec.name)
    return Adoption(path, spec, adopted.state, origin.name, adopted.dialect)


def adopted_from(checkpoint: Checkpoint, origin: CheckpointFormat) -> Adopted:
    """What `origin` reads in `checkpoint`. MismatchError where it has the names of such a one alone."""
    try:
        adopted = origin.adopt(checkpoint.state)
    except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as problem:
        message = f"{checkpoint.path} has the names of {origin.name}, and tensors of other shapes"
        raise MismatchError(message, hint=ELSEWHERE) from problem
    if adopted.classes not in CLASSES:
        message = f"{checkpoint.path} gives {adopted.classes} logits a pixel, and edgeseg takes 2 to 255"
        raise MismatchError(message, hint=ELSEWHERE)
    return adopted


def labels_from_checkpoint(checkpoint: Checkpoint, classes: int, labels: Path | None) -> LabelSet:
    """The labels of the file `labels`, of the checkpoint, of a known set with as many classes, or without names.

    MismatchError where the first two have another number than `classes`, that of the network's logits.
    """
    if labels is not None:
        found, source = labels_from_file(labels), str(labels)
    elif checkpoint.names:
        found = labels_from_names(checkpoint.names, checkpoint.palette or None)
        found, source = named_as(found), f"{checkpoint.path} itself"
    else:
        known = [known for known in KNOWN_SETS if len(known) == classes]
        return known[0] if known else unnamed_labels(classes)
    if len(found) != classes:
        raise MismatchError(
            f"{checkpoint.path} tells {classes} classes apart, and {source} names {len(found)}",
            hint=f"write {classes} names into a text file, one a line, and give it with --labels FILE",
        )
    return found


def named_as(labels: LabelSet) -> LabelSet:
    """The known set of the same names, whose colours people know; else `labels`."""
    return next((known for known in KNOWN_SETS if known.names == labels.names), labels)


def check_config(checkpoint: Checkpoint) -> None:
    """MismatchError where a config.json asks for what shapes do not tell and the family does not do."""
    for key, usual in FIXED.items():
        found = checkpoint.config.get(key, usual)
        if found != usual:
            raise MismatchError(
                f"the config.json of {checkpoint.path} has {key} {found}, and edgeseg builds {usual}",
                hint=ELSEWHERE,
            )


def shown(adoption: Adoption) -> list[tuple[str, str]]:
    """The facts as lines of a table, without what is not there."""
    facts = adoption.facts()
    names = facts["labels"]
    facts["labels"] = ", ".join(names if len(names) <= 4 else [*names[:3], "...", names[-1]])
    for key in ("mean", "std"):
        facts[key] = " ".join(f"{value:.4g}" for value in facts[key])
    facts["align_corners"] = str(facts["align_corners"]).lower()
    return [(key.replace("_", " "), str(value)) for key, value in facts.items() if value != ""]
