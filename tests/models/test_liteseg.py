"""LiteSeg: each decoder of the table, in place of the default one."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from small_nets import small_spec  # noqa: E402

from edgeseg.errors import UnknownNameError  # noqa: E402
from edgeseg.models import open_family  # noqa: E402
from edgeseg.models.lite_decoder import DECODERS  # noqa: E402

FAMILY = open_family("liteseg")


@pytest.mark.parametrize("decoder", DECODERS)
def test_a_variant_names_its_decoder(decoder: str) -> None:
    spec = small_spec("liteseg", f"tiny?decoder={decoder}")
    network = FAMILY.build(spec, training=True)
    heads = network(torch.randn(2, 3, spec.input.height, spec.input.width))
    stride = DECODERS[decoder].finest
    assert heads[0].shape == (2, len(spec.labels), spec.input.height // stride, spec.input.width // stride)
    assert heads[1].shape[:2] == heads[0].shape[:2]
    sum(head.mean() for head in heads).backward()
    assert [name for name, weight in network.named_parameters() if weight.grad is None] == []
    deployed = FAMILY.load(spec, FAMILY.deployed(network.state_dict()))
    with torch.inference_mode():
        logits = deployed(torch.randn(1, 3, spec.input.height, spec.input.width))
    assert logits.isfinite().all()
    assert logits.std() > 0


def test_an_unknown_decoder_names_its_neighbour() -> None:
    with pytest.raises(UnknownNameError, match="uafn") as caught:
        FAMILY.build(small_spec("liteseg", "tiny?decoder=uafn"))
    assert "uafm" in caught.value.hint
