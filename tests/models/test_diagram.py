"""Diagrams of networks: which parts there are, what each takes, and the picture."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

torch = pytest.importorskip("torch")
import torch.nn.functional as F  # noqa: E402

from edgeseg.models import FAMILIES, open_family  # noqa: E402
from edgeseg.models.diagram import IMAGE, MOST_PARTS, Part, parts_of, placed, svg_from_parts  # noqa: E402


def conv(channels: int, out: int, stride: int = 1) -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.Conv2d(channels, out, 3, stride, 1), torch.nn.ReLU())


class TwoBranches(torch.nn.Module):
    """A branch at half size, one at a quarter that is used twice, and a head on both."""

    def __init__(self) -> None:
        super().__init__()
        self.shallow, self.deep = conv(3, 4, 2), torch.nn.Sequential(conv(3, 8, 2), conv(8, 16, 2))
        self.refine, self.head = conv(16, 16), conv(20, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        deep = self.refine(self.refine(self.deep(x)))
        up = F.interpolate(deep, scale_factor=2.0, mode="nearest")
        logits: torch.Tensor = self.head(torch.cat([self.shallow(x), up], 1)) * 2
        return logits


def test_parts_say_what_flows_where() -> None:
    with torch.device("meta"):
        network = TwoBranches()
    assert parts_of(network, 32, 16, most=5) == [
        Part("deep", (16, 4, 8), (IMAGE,)),
        Part("refine", (16, 4, 8), (0,)),
        Part("refine", (16, 4, 8), (1,)),
        Part("shallow", (4, 8, 16), (IMAGE,)),
        Part("head", (5, 8, 16), (2, 3)),
        Part("logits", (5, 8, 16), (4,)),
    ]


def test_the_largest_part_is_opened_first() -> None:
    with torch.device("meta"):
        network = TwoBranches()
    assert [part.name for part in parts_of(network, 32, 16)][:2] == ["deep.0", "deep.1"]


def test_boxes_lie_apart_and_behind_what_they_take() -> None:
    with torch.device("meta"):
        parts = parts_of(TwoBranches(), 32, 16)
    places = placed(parts, 16)
    assert len(set(places.values())) == len(places)
    assert all(places[source][0] < places[n][0] for n, part in enumerate(parts) for source in part.sources)
    halvings = {part.name: places[n][1] for n, part in enumerate(parts)}
    assert halvings["shallow"] < halvings["deep.1"]
    assert places[IMAGE][1] == 0


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_drawn_from_image_to_logits(family: str) -> None:
    kin = open_family(family)
    with torch.device("meta"):
        network = kin.module(19, **kin.variants[kin.published_variants[0]])
    parts = parts_of(network, 1024, 512)
    assert 3 <= len(parts) <= 2 * MOST_PARTS + 1  # a network may have more modules of its own
    reached = {len(parts) - 1}
    for n in range(len(parts) - 1, -1, -1):
        if n in reached:
            reached |= set(parts[n].sources)
    assert reached == {IMAGE, *range(len(parts))}
    drawing = ET.fromstring(svg_from_parts(parts, 1024, 512, family))
    names = [text.text for text in drawing.iter("{http://www.w3.org/2000/svg}text")]
    assert names.count("logits") == names.count("image") == 1
