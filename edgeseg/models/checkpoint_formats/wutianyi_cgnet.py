"""wutianyiRosun/CGNet, its author's code."""

from __future__ import annotations

from edgeseg.models.checkpoint_formats.cgnet import adopted, block_rules
from edgeseg.models.checkpoint_formats.checkpoint_format import Adopted, CheckpointFormat, Rule, State, renamed, rows
from edgeseg.models.checkpoint_formats.light import LAYERS

RULES: list[Rule] = [
    (r"level1_(\d)\.", r"stem.\1."),
    (r"b1\.1\.", "norms.0.0."),
    (r"b1\.2\.", "norms.0.1."),
    *((rf"bn_prelu_{n + 1}\.{layer}\.", f"norms.{n}.{layer - 1}.") for n in (1, 2) for layer in (1, 2)),
    *((rf"level{n + 2}_0\.", f"downs.{n}.") for n in (0, 1)),
    *((rf"level{n + 2}\.", f"stages.{n}.") for n in (0, 1)),
    (r"classifier\.\d\.0\.", "classify."),
]


def adopt(state: State) -> Adopted:
    """The network. Its classifier has no bias, which mmsegmentation's has."""
    own = renamed(renamed(renamed(state, LAYERS), block_rules(r"level[23](?:_0|\.\d+)\.")), RULES)
    weight = own["classify.weight"]
    return adopted({**own, "classify.bias": weight.new_zeros(rows(own, "classify.weight"))})


FORMAT = CheckpointFormat(
    name="wutianyiRosun/CGNet",
    family="cgnet",
    signature=(
        "level1_0.conv.weight",
        "level2_0.F_loc.conv.weight",
        "level3_0.F_glo.fc.0.weight",
        "bn_prelu_3.act.weight",
    ),
    adopt=adopt,
    source="wutianyiRosun/CGNet cfccea3: model/CGNet.py, dataset/cityscapes.py",
    licence="MIT",
)
