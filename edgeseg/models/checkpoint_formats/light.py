"""What the formats of CGNet, DABNet and ESPNet share: a layer, its batch norm and its PReLU are one sequence here."""

from __future__ import annotations

from collections.abc import Iterable

from edgeseg.models.checkpoint_formats.checkpoint_format import Rule
from edgeseg.spec import InputSpec

LAYERS: list[Rule] = [
    (r"(.+\.)conv\.", r"\g<1>0."),
    (r"(.+\.)bn_prelu\.bn\.", r"\g<1>1."),
    (r"(.+\.)bn_prelu\.acti?\.", r"\g<1>2."),
    (r"(.+\.)(?:acti?|activate)\.", r"\g<1>2."),
    (r"(.+\.)bn\.", r"\g<1>1."),
    ("", ""),
]


def blocks(keys: Iterable[str], prefix: str) -> int:
    """How many blocks there are under `prefix`, which a number follows."""
    return len({key.removeprefix(prefix).split(".")[0] for key in keys if key.startswith(prefix)})


def undivided_input(mean: tuple[float, float, float], classes: int, cityscapes: int = 19) -> InputSpec:
    """Pixels of 0..255 less `mean`, in RGB: 2048x1024 for so many classes, else 480x360, as these codes use CamVid."""
    width, height = (2048, 1024) if classes == cityscapes else (480, 360)
    return InputSpec(width, height, mean=tuple(value / 255 for value in mean), std=(1 / 255,) * 3)
