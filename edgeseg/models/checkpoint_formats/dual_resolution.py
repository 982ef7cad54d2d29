"""Names of the parts that DDRNet and PIDNet share, in the authors' codes and in mmsegmentation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from torch import Tensor

from edgeseg.models.checkpoint_formats.checkpoint_format import Adopted, Rule, State, renamed, rows
from edgeseg.models.family import Family
from edgeseg.models.variant import text_from_arguments
from edgeseg.spec import InputSpec

MAX_BLOCKS = 99
SCALES = range(1, 5)
AUTHORS: list[Rule] = [
    (r"conv1\.([01])\.", r"stem.0.\1."),
    (r"conv1\.3\.", "stem.1.0."),
    (r"conv1\.4\.", "stem.1.1."),
    (r"layer1\.", "stem.2."),
    (r"layer2\.", "stem.4."),
    *((rf"compression{n + 3}\.", f"compress.{n}.") for n in range(2)),
    (r"spp\.scale0\.", "pyramid.scales.0."),
    *((rf"spp\.scale{n}\.1\.", f"pyramid.scales.{n}.0.") for n in SCALES),
    *((rf"spp\.scale{n}\.3\.", f"pyramid.scales.{n}.2.") for n in SCALES),
    (r"spp\.scale_process\.", "pyramid.process.0."),
    *((rf"spp\.process{n}\.", f"pyramid.process.{n - 1}.") for n in SCALES),
    (r"spp\.compression\.", "pyramid.compress."),
    (r"spp\.shortcut\.", "pyramid.shortcut."),
    (r"final_layer\.bn1\.", "head.0.0."),
    (r"final_layer\.conv1\.", "head.0.2."),
    (r"final_layer\.bn2\.", "head.1."),
    (r"final_layer\.conv2\.", "head.3."),
]
AUTHORS_BLOCKS: list[Rule] = [
    *((rf"(.+\.)conv{n + 1}\.", rf"\g<1>body.{n}.0.") for n in range(3)),
    *((rf"(.+\.)bn{n + 1}\.", rf"\g<1>body.{n}.1.") for n in range(3)),
    (r"(.+\.)downsample\.", r"\g<1>shortcut."),
    ("", ""),
]
MMSEG: list[Rule] = [
    (r"backbone\.stem\.", "stem."),
    *((rf"backbone\.compression_{n + 1}\.", f"compress.{n}.") for n in range(2)),
    (r"backbone\.spp\.scales\.(\d)\.(?:1\.)?bn\.", r"pyramid.scales.\1.0."),
    (r"backbone\.spp\.scales\.(\d)\.(?:1\.)?conv\.", r"pyramid.scales.\1.2."),
    (r"backbone\.spp\.processes\.bn\.", "pyramid.process.0.0."),
    (r"backbone\.spp\.processes\.conv\.", "pyramid.process.0.2."),
    (r"backbone\.spp\.processes\.(\d)\.bn\.", r"pyramid.process.\1.0."),
    (r"backbone\.spp\.processes\.(\d)\.conv\.", r"pyramid.process.\1.2."),
    (r"backbone\.spp\.compression\.bn\.", "pyramid.compress.0."),
    (r"backbone\.spp\.compression\.conv\.", "pyramid.compress.2."),
    (r"backbone\.spp\.shortcut\.bn\.", "pyramid.shortcut.0."),
    (r"backbone\.spp\.shortcut\.conv\.", "pyramid.shortcut.2."),
    (r"decode_head\.conv_seg\.", "head.3."),
]
MMSEG_BLOCKS: list[Rule] = [
    *((rf"(.+\.)conv{n + 1}\.conv\.", rf"\g<1>body.{n}.0.") for n in range(3)),
    *((rf"(.+\.)conv{n + 1}\.bn\.", rf"\g<1>body.{n}.1.") for n in range(3)),
    (r"(.+\.)downsample\.conv\.", r"\g<1>shortcut.0."),
    (r"(.+\.)downsample\.bn\.", r"\g<1>shortcut.1."),
    (r"(.+\.)downsample\.", r"\g<1>shortcut."),
    (r"(.+\.)conv\.", r"\g<1>0."),
    (r"(.+\.)bn\.", r"\g<1>1."),
    ("", ""),
]


def state_from_authors(state: State, rules: Sequence[Rule]) -> dict[str, Tensor]:
    """`state` of a code of the authors, with the family's names. rules: for the parts that are not shared.

    A stem's convolution has a bias there: the batch norm behind it subtracts that from its mean instead.
    """
    auxiliary = r"seghead_(extra|p|d)\."
    own = renamed(renamed(state, [*AUTHORS, *rules], drop=[auxiliary]), AUTHORS_BLOCKS)
    for n in range(2):
        bias, mean = f"stem.{n}.0.bias", f"stem.{n}.1.running_mean"
        if bias in own and mean in own:
            own[mean] = own[mean] - own.pop(bias)
    return own


def state_from_mmseg(state: State, rules: Sequence[Rule], *, drop: Sequence[str]) -> dict[str, Tensor]:
    """`state` of mmsegmentation, with the family's names. rules: for the parts that are not shared."""
    return renamed(renamed(state, [*MMSEG, *rules], drop=drop), MMSEG_BLOCKS)


def dual_resolution_adopted(
    own: dict[str, Tensor], family: Family, input: Callable[[int], InputSpec], *, align_corners: bool, **others: object
) -> Adopted:
    """The network of either family. own: with its names. input: for so many classes. others: arguments of its own."""
    classes = rows(own, "head.3.weight")
    variant = text_from_nearest({**widths_from_state(own), **others}, family)
    return Adopted(variant, classes, own, input(classes), align_corners)


def widths_from_state(state: State) -> dict[str, int]:
    """The arguments that both families have, read off the shapes."""
    return {
        "width": rows(state, "stem.0.0.weight"),
        "depth": blocks_of(state, "stem.2"),
        "pyramid": rows(state, "pyramid.scales.0.2.weight"),
        "head_width": rows(state, "head.0.2.weight"),
    }


def blocks_of(state: State, name: str) -> int:
    """The number of blocks in the layer `name`."""
    return sum(f"{name}.{n}.body.0.0.weight" in state for n in range(MAX_BLOCKS))


def text_from_nearest(arguments: Mapping[str, object], family: Family) -> str:
    """The variant as text, by the published one that differs least."""

    def differing(name: str) -> int:
        return sum(value != arguments[key] for key, value in family.variants[name].items())

    return text_from_arguments(min(family.published_variants, key=differing), arguments, family.variants)
