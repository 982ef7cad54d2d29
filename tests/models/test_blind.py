"""A weight that meets padding alone gets no gradient, whatever the image."""

from __future__ import annotations

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from edgeseg.models import open_family  # noqa: E402
from edgeseg.models.blind import blind_layers  # noqa: E402

SIDES = st.integers(1, 12)


@given(
    kernel=st.tuples(st.sampled_from([1, 2, 3, 5]), st.sampled_from([1, 2, 3, 5])),
    dilation=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    padding=st.tuples(st.integers(0, 8), st.integers(0, 8)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    size=st.tuples(SIDES, SIDES),
)
@example(kernel=(1, 1), dilation=(1, 2), padding=(0, 1), stride=(1, 2), size=(1, 1))  # its steps pass over the map
def test_a_layer_is_blind_where_an_outer_weight_gets_no_gradient(
    kernel: tuple[int, int], dilation: tuple[int, int], padding: tuple[int, int], stride: tuple[int, int],
    size: tuple[int, int],
) -> None:  # fmt: skip
    spans = [d * (k - 1) + 1 for d, k in zip(dilation, kernel)]
    assume(all(side + 2 * pad >= span for side, pad, span in zip(size, padding, spans)))
    layer = torch.nn.Conv2d(3, 1, kernel, stride, padding, dilation, bias=False)
    layer(torch.ones(1, 3, *size)).sum().backward()
    met = layer.weight.grad[0, 0] > 0
    outer = (met[0].any(), met[-1].any(), met[:, 0].any(), met[:, -1].any())
    blind = blind_layers(torch.nn.Sequential(layer), size[1], size[0])
    assert blind == (set() if max(dilation) == 1 or all(outer) else {"0"})


def test_the_crop_must_be_larger_than_the_dilations_of_the_net() -> None:
    family = open_family("dabnet")  # its last dilation is 16, on a map of 1/8
    with torch.device("meta"):
        network = family.module(11, **family.variants["base"])
    small, large = blind_layers(network, 256, 128), blind_layers(network, 256, 256)
    assert (len(small), len(large)) == (2, 0)
    assert all(max(network.get_submodule(name).dilation) == 16 for name in small)
