"""mmsegmentation's CGNet, a port of its author's with another order of names."""

from __future__ import annotations

from edgeseg.models.checkpoint_formats.cgnet import adopted, block_rules
from edgeseg.models.checkpoint_formats.checkpoint_format import Adopted, CheckpointFormat, Rule, State, renamed
from edgeseg.models.checkpoint_formats.light import LAYERS

MOST = 64  # blocks in a stage
RULES: list[Rule] = [
    (r"backbone\.stem\.", "stem."),
    (r"backbone\.norm_prelu_(\d)\.", r"norms.\1."),
    *((rf"backbone\.level{n + 1}\.0\.", f"downs.{n}.") for n in (0, 1)),
    *((rf"backbone\.level{n + 1}\.{block}\.", f"stages.{n}.{block - 1}.") for n in (0, 1) for block in range(1, MOST)),
    (r"decode_head\.conv_seg\.", "classify."),
]


def adopt(state: State) -> Adopted:
    """The network; the auxiliary heads are left out."""
    inside = block_rules(r"backbone\.level[12]\.\d+\.")
    return adopted(renamed(renamed(renamed(state, LAYERS), inside), RULES, drop=[r"auxiliary_head\."]))


FORMAT = CheckpointFormat(
    name="mmsegmentation CGNet",
    family="cgnet",
    signature=(
        "backbone.stem.0.conv.weight",
        "backbone.level1.0.f_loc.weight",
        "backbone.level2.0.f_glo.fc.0.weight",
        "decode_head.conv_seg.weight",
    ),
    adopt=adopt,
    source="mmsegmentation 1.2.2: mmseg/models/backbones/cgnet.py, configs/_base_/models/cgnet.py",
)
