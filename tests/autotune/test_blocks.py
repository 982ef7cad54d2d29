from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edgeseg.autotune.blocks import blocks_from_layers

NAMES = st.lists(
    st.lists(st.sampled_from(["stem", "stage", "0", "1", "head"]), min_size=1, max_size=4).map(".".join),
    unique=True,
    max_size=40,
)


@given(NAMES, st.integers(1, 12))
def test_every_layer_is_in_one_block(names: list[str], most: int) -> None:
    layers = [f"{name}/Conv" for name in names]
    blocks = blocks_from_layers(layers, most)
    assert sorted(layer for block in blocks for layer in block.layers) == sorted(layers)
    assert len(blocks) <= most
    assert len({block.name for block in blocks}) == len(blocks)


def test_modules_are_the_blocks_and_the_largest_is_split_first() -> None:
    layers = [
        "stem.0/Conv",
        "stem.1/Conv",
        *(f"stage.{i}.{j}.conv/Conv" for i in range(3) for j in range(3)),
        "head/Conv",
    ]
    blocks = blocks_from_layers(layers, 5)
    assert [block.name for block in blocks] == ["stem.*", "stage.0.*", "stage.1.*", "stage.2.*", "head"]
    assert blocks[1].layers == ("stage.0.0.conv/Conv", "stage.0.1.conv/Conv", "stage.0.2.conv/Conv")


def test_names_of_another_exporter_tell_the_modules_too() -> None:
    layers = ["/encoder/level1/conv/Conv", "/encoder/level2/a/Conv_1", "/encoder/level2/b/MatMul", "/head/conv/Conv"]
    assert [block.name for block in blocks_from_layers(layers, 3)] == [
        "encoder.level1.conv",
        "encoder.level2.*",
        "head.conv",
    ]


def test_a_network_without_modules_is_cut_into_runs() -> None:
    blocks = blocks_from_layers([f"Conv_{i}" for i in range(7)], 3)
    assert [block.name for block in blocks] == ["Conv_0 to Conv_1", "Conv_2 to Conv_4", "Conv_5 to Conv_6"]


def test_no_layers_make_no_blocks() -> None:
    assert blocks_from_layers([]) == []
