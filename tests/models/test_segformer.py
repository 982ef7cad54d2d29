"""SegFormer against the reference implementation in transformers, and against the counts of the paper."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
safetensors = pytest.importorskip("safetensors.torch")

from edgeseg.models.count import count  # noqa: E402
from edgeseg.models.segformer import FAMILY, Attention, DropPath  # noqa: E402

# The names in a file that transformers writes (its live modules are called otherwise since 5.0) -> ours.
NAMES = [
    (r"segformer\.encoder\.patch_embeddings\.(\d)\.proj", r"stages.\1.embed"),
    (r"segformer\.encoder\.patch_embeddings\.(\d)\.layer_norm", r"stages.\1.embed_norm"),
    (r"segformer\.encoder\.layer_norm\.(\d)", r"stages.\1.norm"),
    (r"segformer\.encoder\.block\.(\d)\.(\d+)", r"stages.\1.blocks.\2"),
    (r"attention\.self\.(query|key|value)", r"attention.\1"),
    (r"attention\.self\.sr", r"attention.reduce"),
    (r"attention\.self\.layer_norm", r"attention.norm"),
    (r"attention\.output\.dense", r"attention.project"),
    (r"layer_norm_(\d)", r"norm\1"),
    (r"mlp\.dense1", r"feed.0"),
    (r"mlp\.dwconv\.dwconv", r"feed.1"),
    (r"mlp\.dense2", r"feed.3"),
    (r"decode_head\.linear_c\.(\d)\.proj", r"decoder.levels.\1"),
    (r"decode_head\.linear_fuse", r"decoder.fuse.0"),
    (r"decode_head\.batch_norm", r"decoder.fuse.1"),
    (r"decode_head\.classifier", r"decoder.classify"),
]


def reference(variant: str) -> Any:
    """transformers' network of this variant, every weight and every BN statistic random."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        transformers = pytest.importorskip("transformers")
        config = transformers.SegformerConfig(
            num_labels=19,
            hidden_sizes=list(FAMILY.variants[variant]["channels"]),
            depths=list(FAMILY.variants[variant]["depths"]),
            decoder_hidden_size=FAMILY.variants[variant]["width"],
        )
        network = transformers.SegformerForSemanticSegmentation(config).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
        network.decode_head.batch_norm.running_mean.normal_()
        network.decode_head.batch_norm.running_var.uniform_(0.5, 2)
    return network


def renamed(state: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    for pattern, ours in NAMES:
        state = {re.sub(pattern, ours, key): value for key, value in state.items()}
    return {key: value.reshape(own[key].shape) if key in own else value for key, value in state.items()}


def shape_of(classes: int, variant: str) -> Any:
    """The network without values: enough to count."""
    with torch.device("meta"):
        return FAMILY.module(classes, **FAMILY.variants[variant])


@pytest.mark.parametrize("variant", ["b0", "b1"])
def test_logits_are_those_of_the_reference_implementation(variant: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    theirs = reference(variant)
    theirs.save_pretrained(tmp_path)
    ours = FAMILY.module(19, **FAMILY.variants[variant]).eval()
    ours.load_state_dict(renamed(safetensors.load_file(tmp_path / "model.safetensors"), ours.state_dict()))
    for height, width in [(64, 64), (64, 160)]:
        picture = torch.randn(2, 3, height, width)
        with torch.no_grad():
            expected, logits = theirs(picture).logits, ours(picture)
        assert logits.shape == expected.shape == (2, 19, height // 4, width // 4)
        assert expected.std() > 0.1  # else the comparison below would say nothing
        # Sums in another order: float32 rounding through 8 blocks measures 1e-6 to 3e-6 of the largest logit.
        assert (logits - expected).abs().max() <= 1e-5 * expected.abs().max()


@pytest.mark.parametrize(("variant", "parameters", "macs"), [("b0", 3.719e6, 17.8e9), ("b1", 13.682e6, 34.8e9)])
def test_counts_are_those_of_the_reference_implementation(variant: str, parameters: float, macs: float) -> None:
    counts = count(shape_of(19, variant), 1024, 512)
    # The reference counts are rounded to three digits and five.
    assert counts.parameters == pytest.approx(parameters, rel=2e-4)
    assert counts.macs == pytest.approx(macs, rel=5e-3)


@pytest.mark.parametrize(("variant", "small", "large"), [("b0", 8.4e9, 125.5e9), ("b1", 15.9e9, 243.7e9)])
def test_the_papers_flops_are_multiply_adds_with_150_classes(variant: str, small: float, large: float) -> None:
    network = shape_of(150, variant)
    # The paper rounds to 0.1 G, which alone is 0.6% of 8.4: within 1%.
    assert count(network, 512, 512).macs == pytest.approx(small, rel=0.01)
    assert count(network, 2048, 1024).macs == pytest.approx(large, rel=0.01)


def test_the_small_attention_is_the_one_of_pytorch() -> None:
    torch.manual_seed(0)
    attention = Attention(32, heads=4, reduction=1)
    tokens = torch.randn(2, 24, 32)
    query, key, value = (attention._split(part(tokens)) for part in (attention.query, attention.key, attention.value))
    mixed = torch.nn.functional.scaled_dot_product_attention(query, key, value)
    expected = attention.project(mixed.transpose(1, 2).flatten(2))
    # float32 rounding of sums of 24 and 32 terms.
    torch.testing.assert_close(attention(tokens, (4, 6)), expected, atol=1e-5, rtol=1e-5)


def test_drop_path_drops_whole_branches_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    drop = DropPath(0.25).train()
    dropped = drop(torch.ones(4000, 3, 2))
    by_picture = dropped.flatten(1)
    assert (by_picture == by_picture[:, :1]).all()
    assert dropped.mean() == pytest.approx(1, abs=0.05)  # the mean's own standard deviation is 0.009
    assert torch.equal(drop.eval()(by_picture), by_picture)


def test_stochastic_depth_grows_from_nothing_to_a_tenth() -> None:
    network = FAMILY.module(19, **FAMILY.variants["b0"])
    drops = [block.drop.probability for stage in network.stages for block in stage.blocks]
    assert drops[0] == 0
    assert drops == sorted(drops)
    assert drops[-1] == pytest.approx(0.1)
