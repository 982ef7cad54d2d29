"""torchvision's DeepLab v3 on ResNet50 and ResNet101."""

from __future__ import annotations

from edgeseg.models.checkpoint_formats.checkpoint_format import Adopted, CheckpointFormat, Rule, State, renamed
from edgeseg.models.checkpoint_formats.resnet import mean_first
from edgeseg.models.checkpoint_formats.torchvision_fcn import AUXILIARY, torchvision_adopted
from edgeseg.models.deeplabv3 import FAMILY

RULES: list[Rule] = [
    (r"backbone\.", "backbone."),
    (r"classifier\.0\.convs\.4\.1\.", "head.pyramid.mean.0."),
    (r"classifier\.0\.convs\.4\.2\.", "head.pyramid.mean.1."),
    (r"classifier\.0\.convs\.", "head.pyramid.branches."),
    (r"classifier\.0\.project\.", "head.project.0."),
    (r"classifier\.1\.", "head.classify.0.0."),
    (r"classifier\.2\.", "head.classify.0.1."),
    (r"classifier\.4\.", "head.classify.2."),
]


def adopt(state: State) -> Adopted:
    """The classifier's network; the auxiliary one is left out."""
    own = renamed(state, RULES, drop=[AUXILIARY])
    return torchvision_adopted(mean_first(own, "head.project.0.0.weight"), FAMILY)


FORMAT = CheckpointFormat(
    name="torchvision DeepLab v3",
    family="deeplabv3",
    signature=(
        "backbone.conv1.weight",
        "backbone.layer4.0.conv1.weight",
        "classifier.0.convs.0.0.weight",
        "classifier.0.project.0.weight",
        "classifier.4.weight",
    ),
    adopt=adopt,
    source="torchvision 0.28: models/segmentation/deeplabv3.py, transforms/_presets.py",
)
