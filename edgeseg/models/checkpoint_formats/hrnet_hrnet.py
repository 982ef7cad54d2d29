"""The authors' HRNet with the head of FCN."""

from __future__ import annotations

from edgeseg.models.checkpoint_formats.checkpoint_format import Adopted, CheckpointFormat, Rule, State, renamed
from edgeseg.models.checkpoint_formats.hrnet import AUTHORS, authors_input, hrnet_adopted, without_bias
from edgeseg.models.hrnet import FAMILY

RULES: list[Rule] = [AUTHORS, (r"last_layer\.([01])\.", r"head.0.\1."), (r"last_layer\.3\.", "head.1.")]


def adopt(state: State) -> Adopted:
    """Rename. Its configurations resize without aligned corners."""
    own = without_bias(renamed(state, RULES), "head.0")
    return hrnet_adopted(own, FAMILY, authors_input, classifier="head.1", upsample="bilinear")


FORMAT = CheckpointFormat(
    name="HRNet-Semantic-Segmentation HRNet",
    family="hrnet",
    signature=("stage4.0.fuse_layers.3.2.0.0.weight", "last_layer.0.weight", "last_layer.3.weight"),
    adopt=adopt,
    source="HRNet/HRNet-Semantic-Segmentation, branch pytorch-v1.1: lib/models/seg_hrnet.py, experiments/cityscapes",
    licence="MIT",
)
