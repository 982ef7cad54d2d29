"""davidtvs/PyTorch-ENet: its code since 2021, and its first version, whose upsampling blocks have a third layer."""

from __future__ import annotations

from edgeseg.models.checkpoint_formats.checkpoint_format import Adopted, CheckpointFormat, Rule, State, renamed, rows
from edgeseg.models.enet import FAMILY
from edgeseg.models.variant import text_from_arguments
from edgeseg.spec import InputSpec

CITYSCAPES_CLASSES = 20  # the 19 and one for pixels without a label
THIRD = "upsample4_0.ext_conv3.0.weight"  # the first version alone has this layer
LAYERS: list[Rule] = [  # inside a block
    (r"(.+\.)out_(?:activation|prelu)\.", r"\1act."),
    (r"(.+\.)main_conv1\.", r"\1shortcut."),
    (r"(.+\.)ext_tconv1\.", r"\1body.1.0."),
    (r"(.+\.)ext_tconv1_bnorm\.", r"\1body.1.1."),
    (r"(.+\.)ext_tconv1_activation\.", r"\1body.1.2."),
    *[(rf"(.+\.)ext_conv{number}\.", rf"\1body.{number - 1}.") for number in (1, 2, 3)],
    ("", ""),
]
TWO_LAYERS: Rule = (r"(upsample\d_0\.)ext_conv2\.", r"\1body.2.")
BLOCKS: list[Rule] = [
    (r"initial_block\.main_branch\.", "initial.conv."),
    (r"initial_block\.batch_norm\.", "initial.norm."),
    (r"initial_block\.act\.", "initial.act."),
    (r"downsample([12])_0\.", r"down\1."),
    *[(rf"regular1_{n}\.", f"stage1.{n - 1}.") for n in range(1, 5)],
    *[(rf"(?:regular|dilated|asymmetric)2_{n}\.", f"stage2.{n - 1}.") for n in range(1, 9)],
    *[(rf"(?:regular|dilated|asymmetric)3_{n}\.", f"stage2.{n + 8}.") for n in range(8)],
    (r"upsample([45])_0\.", r"up\1."),
    *[(rf"regular4_{n}\.", f"stage4.{n - 1}.") for n in (1, 2)],
    (r"regular5_1\.", "stage5."),
    (r"transposed_conv\.", "classify."),
]


def adopt(state: State) -> Adopted:
    """The network; the kernel of its windows and its activations are read off the keys."""
    overlapping = THIRD in state
    own = renamed(renamed(state, LAYERS if overlapping else [TWO_LAYERS, *LAYERS]), BLOCKS)
    classes = own["classify.weight"].shape[1]
    arguments = {
        **FAMILY.variants["base"],
        "width": rows(own, "initial.norm.weight"),
        "kernel": 3 if overlapping else 2,
        "decoder": "prelu" if "stage5.act.weight" in own else "relu",
        "slopes": rows(own, "initial.act.weight") > 1,
    }
    width, height = (1024, 512) if classes == CITYSCAPES_CLASSES else (480, 360)
    return Adopted(
        variant=text_from_arguments("overlapping" if overlapping else "base", arguments, FAMILY.variants),
        classes=classes,
        state=own,
        input=InputSpec(width, height, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)),
        align_corners=False,
    )


FORMAT = CheckpointFormat(
    name="davidtvs/PyTorch-ENet",
    family="enet",
    signature=(
        "initial_block.main_branch.weight",
        "downsample1_0.ext_conv1.0.weight",
        "upsample4_0.main_conv1.0.weight",
        "transposed_conv.weight",
    ),
    adopt=adopt,
    source="davidtvs/PyTorch-ENet e17d404 and b651fe0: models/enet.py; main.py scales images to 0..1 alone",
    licence="MIT",
)
