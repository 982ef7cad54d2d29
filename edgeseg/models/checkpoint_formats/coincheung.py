"""How CoinCheung/BiSeNet normalises, by data set: its own statistics (lib/data/*.py), told by the number of classes.

Its TensorRT demos have ImageNet's, which its networks were not trained with.
"""

from __future__ import annotations

from edgeseg.spec import InputSpec

CITYSCAPES = InputSpec(2048, 1024, mean=(0.3257, 0.3690, 0.3223), std=(0.2112, 0.2148, 0.2115))
COCO_STUFF = InputSpec(640, 640, mean=(0.46962251, 0.4464104, 0.40718787), std=(0.27469736, 0.27012361, 0.28515933))
ADE20K = InputSpec(640, 640, mean=(0.49343230, 0.46819794, 0.43106043), std=(0.25680755, 0.25506608, 0.27422913))
INPUTS = {19: CITYSCAPES, 171: COCO_STUFF, 150: ADE20K}
CUSTOM = InputSpec(1024, 512, mean=(0.4, 0.4, 0.4), std=(0.2, 0.2, 0.2))


def input_of(classes: int) -> tuple[InputSpec, str]:
    """The input of a network for so many classes, and a remark for its dialect where that was a guess."""
    if classes in INPUTS:
        return INPUTS[classes], ""
    return CUSTOM, "; normalised as its users' own data, by 0.4 and 0.2"
