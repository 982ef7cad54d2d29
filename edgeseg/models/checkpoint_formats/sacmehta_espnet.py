"""sacmehta/ESPNet, its author's code: the whole network, not its encoder alone."""

from __future__ import annotations

from edgeseg.models.checkpoint_formats.checkpoint_format import Adopted, CheckpointFormat, Rule, State, renamed, rows
from edgeseg.models.checkpoint_formats.light import LAYERS, blocks
from edgeseg.models.espnet import FAMILY
from edgeseg.models.variant import text_from_arguments
from edgeseg.spec import InputSpec

MEAN, STD = (72.3923111, 82.90893555, 73.15840149), (45.3192215, 46.15289307, 44.91483307)  # of B, G, R
BLOCK = r"(encoder\.level[23](?:_0|\.\d+)\.|combine_l2_l3\.1\.)"
INSIDE: list[Rule] = [
    (rf"{BLOCK}c1\.0\.", r"\g<1>first."),
    *((rf"{BLOCK}d{2**n}\.0\.", rf"\g<1>dilated.{n}.") for n in range(5)),
    *((rf"{BLOCK}(?:bn\.)?{layer}\.", rf"\g<1>norm.{layer - 1}.") for layer in (1, 2)),
    ("", ""),
]
RULES: list[Rule] = [
    (r"encoder\.level1\.", "stem."),
    *((rf"encoder\.b{n + 1}\.{layer}\.", f"norms.{n}.{layer - 1}.") for n in range(3) for layer in (1, 2)),
    *((rf"encoder\.level{n + 2}_0\.", f"downs.{n}.") for n in (0, 1)),
    *((rf"encoder\.level{n + 2}\.", f"stages.{n}.") for n in (0, 1)),
    (r"encoder\.classifier\.0\.", "deep.0."),
    (r"br\.", "deep.1."),
    (r"up_l3\.0\.", "deep.2."),
    (r"level3_C\.0\.", "middle."),
    *((rf"combine_l2_l3\.0\.{layer}\.", f"merge.0.{layer - 1}.") for layer in (1, 2)),
    (r"combine_l2_l3\.1\.", "merge.1."),
    (r"up_l2\.0\.", "merge.2."),
    *((rf"up_l2\.1\.{layer}\.", f"merge.3.{layer - 1}.") for layer in (1, 2)),
    (r"conv\.", "last."),
    (r"classifier\.", "classify."),
]


def adopt(state: State) -> Adopted:
    """The network. Pixels less the mean are divided by the deviation, and then by 255 once more."""
    own = renamed(renamed(renamed(state, LAYERS), INSIDE), RULES)
    arguments = {
        "width": rows(own, "stem.0.weight"),
        "blocks": tuple(blocks(own, f"stages.{stage}.") for stage in (0, 1)),
    }
    name = "p2q3" if arguments["blocks"] == FAMILY.variants["p2q3"]["blocks"] else "p2q8"
    mean = tuple(value / 255 for value in MEAN)
    return Adopted(
        variant=text_from_arguments(name, arguments, FAMILY.variants),
        classes=rows(own, "classify.weight"),
        state=own,
        input=InputSpec(1024, 512, mean=mean, std=STD, color="bgr"),
        align_corners=False,
    )


FORMAT = CheckpointFormat(
    name="sacmehta/ESPNet",
    family="espnet",
    signature=(
        "encoder.level1.conv.weight",
        "encoder.level2_0.d16.conv.weight",
        "level3_C.conv.weight",
        "combine_l2_l3.1.c1.conv.weight",
        "classifier.weight",
    ),
    adopt=adopt,
    source="sacmehta/ESPNet afe71c3: train/Model.py, train/Transforms.py, test/VisualizeResults.py",
    licence="MIT",
)
