"""torchvision's FCN: ResNet50 and ResNet101."""

from __future__ import annotations

from edgeseg.models.checkpoint_formats.checkpoint_format import Adopted, CheckpointFormat, Rule, State, renamed, rows
from edgeseg.models.checkpoint_formats.inputs import TORCHVISION
from edgeseg.models.checkpoint_formats.resnet import resnet_adopted
from edgeseg.models.family import Family
from edgeseg.models.fcn import FAMILY

RULES: list[Rule] = [
    (r"backbone\.", "backbone."),
    (r"classifier\.0\.", "head.classify.0.0."),
    (r"classifier\.1\.", "head.classify.0.1."),
    (r"classifier\.4\.", "head.classify.2."),
]
AUXILIARY = r"aux_classifier\."


def adopt(state: State) -> Adopted:
    """The classifier's network; the auxiliary one is left out."""
    return torchvision_adopted(renamed(state, RULES, drop=[AUXILIARY]), FAMILY)


def torchvision_adopted(own: State, family: Family) -> Adopted:
    """The network with torchvision's head. own: with the family's names."""
    return resnet_adopted(
        own,
        family.variants,
        classes=rows(own, "head.classify.2.weight"),
        input=TORCHVISION,
        channels=rows(own, "head.classify.0.0.weight"),
        trunk="torchvision",
        port="torchvision",
    )


FORMAT = CheckpointFormat(
    name="torchvision FCN",
    family="fcn",
    signature=("backbone.conv1.weight", "backbone.layer4.0.conv1.weight", "classifier.0.weight", "classifier.4.weight"),
    adopt=adopt,
    source="torchvision 0.28: models/segmentation/fcn.py, transforms/_presets.py",
)
