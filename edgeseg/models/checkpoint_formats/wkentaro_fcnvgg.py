"""wkentaro/pytorch-fcn: FCN-32s, FCN-16s and FCN-8s with the authors' border of 100 pixels.

Its transposed convolutions are fixed to the bilinear kernel. FCN8sAtOnce has the names of FCN8s: it scales the skipped
maps by 0.01 and 0.0001, which no tensor shows.
"""

from __future__ import annotations

from edgeseg.models.checkpoint_formats.checkpoint_format import Adopted, CheckpointFormat, Rule, State, renamed, rows
from edgeseg.models.checkpoint_formats.inputs import CAFFE_VGG
from edgeseg.models.fcnvgg import FAMILY
from edgeseg.models.variant import text_from_arguments

RULES: list[Rule] = [
    *((rf"conv{stage + 1}_{n + 1}\.", f"stages.{stage}.{n}.0.") for stage in range(5) for n in range(3)),
    (r"fc6\.", "hidden.0."),
    (r"fc7\.", "hidden.3."),
    (r"score_fr\.", "scores.0."),
    (r"score_pool4\.", "scores.1."),
    (r"score_pool3\.", "scores.2."),
]


def adopt(state: State) -> Adopted:
    """Rename; the finest scores tell which of the three it is."""
    own = renamed(state, RULES, drop=[r"upscore"])
    finest = 8 if "scores.2.weight" in own else 16 if "scores.1.weight" in own else 32
    arguments = {
        "width": rows(own, "stages.0.0.0.weight"),
        "hidden": rows(own, "hidden.0.weight"),
        "finest": finest,
        "border": 100,
    }
    return Adopted(
        variant=text_from_arguments("8s-border" if finest == 8 else f"{finest}s", arguments, FAMILY.variants),
        classes=rows(own, "scores.0.weight"),
        state=own,
        input=CAFFE_VGG,
        align_corners=False,
        details="FCN8s, not FCN8sAtOnce, whose names are the same" if finest == 8 else "",
    )


FORMAT = CheckpointFormat(
    name="wkentaro/pytorch-fcn",
    family="fcnvgg",
    signature=("conv1_1.weight", "conv5_3.weight", "fc6.weight", "fc7.weight", "score_fr.weight"),
    adopt=adopt,
    source="wkentaro/pytorch-fcn at 4b98850: torchfcn/models/*.py, torchfcn/datasets/voc.py",
)
