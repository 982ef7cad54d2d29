"""PSPNet of hszhao/semseg, the author's own port: a stem of 64, 64 and 128 channels, and aligned corners."""

from __future__ import annotations

from edgeseg.models.checkpoint_formats.checkpoint_format import Adopted, CheckpointFormat, Rule, State, renamed, rows
from edgeseg.models.checkpoint_formats.inputs import semseg_input
from edgeseg.models.checkpoint_formats.resnet import resnet_adopted
from edgeseg.models.pspnet import FAMILY

RULES: list[Rule] = [
    (r"layer0\.", "backbone.stem."),
    (r"layer", "backbone.layer"),
    (r"ppm\.features\.(\d)\.1\.", r"head.pools.\1.0."),
    (r"ppm\.features\.(\d)\.2\.", r"head.pools.\1.1."),
    (r"cls\.0\.", "head.classify.0.0."),
    (r"cls\.1\.", "head.classify.0.1."),
    (r"cls\.4\.", "head.classify.2."),
]


def adopt(state: State) -> Adopted:
    """The classifier's network; the auxiliary one is left out. The code takes sides of 8k+1 where ours are of 8k."""
    own = renamed(state, RULES, drop=[r"aux\."])
    classes = rows(own, "head.classify.2.weight")
    return resnet_adopted(
        own,
        FAMILY.variants,
        classes=classes,
        input=semseg_input(classes),
        align_corners=True,
        channels=rows(own, "head.classify.0.0.weight"),
        trunk="semseg",
        port="semseg",
    )


FORMAT = CheckpointFormat(
    name="hszhao/semseg PSPNet",
    family="pspnet",
    signature=("layer0.0.weight", "layer1.0.conv1.weight", "ppm.features.0.1.weight", "cls.4.weight"),
    adopt=adopt,
    source="hszhao/semseg at 4f274c3: model/pspnet.py, model/resnet.py, tool/test.py",
)
