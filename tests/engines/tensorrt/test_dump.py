"""The layer dump of a build log: what is in it, and what is no dump."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_plan import DUMP, HEAD, STEM, line, small_plan

from edgeseg.engines.tensorrt.build_log import layers_from_log, nodes_from_metadata
from edgeseg.engines.tensorrt.plan_layers import PlanLayer
from edgeseg.errors import FormatError

plain_name = st.text(st.characters(categories=["L", "N"], include_characters="./_^"), min_size=1)
node_name = st.text(st.characters(categories=["L", "N"], include_characters="./_[]{}() ,:+"), min_size=1).filter(
    lambda name: "]" not in (name[-1], name[0]) and "[ONNX" not in name
)


def test_the_layers_come_with_their_tensors_nodes_and_streams() -> None:
    plan = small_plan()
    assert [layer.op for layer in plan] == ["signal", "kgen", "correlation", "kgen", "kgen", "correlation", "kgen"]
    stem = plan[2]
    assert (stem.name, stem.nodes, stem.stream) == ("stem.0/Conv_myl0_2", (STEM, "x/DequantizeLinear"), 0)
    assert [(tensor.shape, tensor.dtype) for tensor in stem.constants] == [
        ((8, 4, 3, 3), "int8"),
        ((1, 8, 1, 1), "fp32"),
    ]
    assert stem.inputs[0].format == "(NHWC) Channel major format"
    assert (plan[0].inputs, plan[0].tactic, plan[2].tactic) == ((), "", "kernel_0x1a2b")
    assert plan[5].nodes == (HEAD,)


@pytest.mark.parametrize("prefix", ["", "4 ", "[11/20/2026-18:30:00] [V] [TRT] "])
def test_a_dump_is_found_in_lines_and_in_messages_of_any_log(prefix: str) -> None:
    text = f"[I] Parsing\n{prefix}{DUMP}\nDone"
    assert layers_from_log(text.split("\n")) == layers_from_log(["[I] Parsing", f"{prefix}{DUMP}", "Done"])
    assert layers_from_log(line + "\r\n" for line in text.split("\n")) == small_plan()


def test_the_last_of_several_dumps_counts() -> None:
    other = "Layers:\n" + line("only", "kgen", [], [], [], [], 0)
    assert [layer.name for layer in layers_from_log([DUMP, "between", other])] == ["only"]


def test_unknown_fields_are_passed_over_and_unknown_sides_are_minus_one() -> None:
    text = (
        "Layers:\nName: a, LayerType: kgen, Cost: [1, { x: 2 }], Inputs: [ { Name: x, Dimensions: [-1,4,E0], "
        "Color: [red, blue], Datatype: Half, Format: (Linear) a, b }], Outputs: [ { Name: s, Dimensions: [], "
        "Datatype: E8M0 }], EventId: 17, StreamId: , Metadata: "
    )
    (layer,) = layers_from_log([text])
    assert [(t.shape, t.dtype, t.format) for t in layer.inputs] == [((-1, 4, -1), "fp16", "(Linear) a, b")]
    assert [(t.shape, t.dtype) for t in layer.outputs] == [((), "e8m0")]
    assert (layer.nodes, layer.stream) == ((), 0)


def test_a_log_without_a_dump_is_refused_with_what_to_do() -> None:
    for log in ([], ["Layers:"], ["Removing Layers:", "something else"]):
        with pytest.raises(FormatError) as caught:
            layers_from_log(log)
        assert "--profilingVerbosity=detailed" in caught.value.hint


@pytest.mark.parametrize(
    "broken",
    [
        "Name: cut off, LayerTy",
        "Name: a, LayerType: kgen, StreamId: many",
        "Name: a, LayerType: kgen, Inputs: [ { Name: x, Dimensi",
    ],
)
def test_a_line_that_is_cut_off_is_named(broken: str) -> None:
    with pytest.raises(FormatError) as caught:
        layers_from_log(["start", "Layers:", broken])
    assert broken[:20] in caught.value.message


def test_a_hostile_line_is_refused_at_once() -> None:
    text = "Name: " + "[" * 200_000 + ", A: " * 200_000
    with pytest.raises(FormatError):
        layers_from_log(["Layers:", text])


@given(st.lists(node_name, unique=True), st.sampled_from(["", "\x1e", "\x1f"]))
def test_node_names_come_back_however_they_are_joined(nodes: list[str], joined: str) -> None:
    assert nodes_from_metadata(joined.join(f"[ONNX Layer: {node}]" for node in nodes)) == tuple(nodes)


@given(plain_name, st.lists(st.integers(-1, 9)), st.sampled_from(["Float", "Half", "BFloat16", "Int64", "Bool"]))
def test_what_a_dump_says_survives_a_sidecar(name: str, shape: list[int], dtype: str) -> None:
    text = line(name, "kgen", [name], [(name, shape, dtype)], [], [], 3)
    (layer,) = layers_from_log(["Layers:", text])
    assert (layer.name, layer.inputs[0].shape, layer.stream) == (name, tuple(shape), 3)
    assert PlanLayer.from_dict(layer.to_dict()) == layer
