"""The inspector's JSON in the shapes that TensorRT 8.6, 10 and 11 give it."""

from __future__ import annotations

import json

import pytest

from edgeseg.engines.tensorrt.inspector import layers_from_inspector, nodes_from_name
from edgeseg.engines.tensorrt.plan_layers import layers_from_plan
from edgeseg.errors import FormatError


def tensor(name: str, form: str, shape: tuple[int, ...] = (1, 8, 4, 4)) -> dict[str, object]:
    return {"Name": name, "Location": "Device", "Dimensions": list(shape), "Format/Datatype": form}


WIDE = "Thirty-two wide channel vectorized row major Int8 format"
CONVOLUTION = {
    "Name": "stem.weight + QuantizeLinear_7 + Conv_9 + PWN(Relu_10)", "LayerType": "CaskConvolution",
    "Inputs": [tensor("x", WIDE), tensor("shortcut", "Two wide channel vectorized row major FP16 format")],
    "Outputs": [tensor("y", "Row major linear FP32")],
    "ParameterType": "Convolution", "Kernel": [3, 3], "Groups": 1,
    "Weights": {"Type": "Int8", "Count": 576}, "Bias": {"Type": "Float", "Count": 8},
    "TacticName": "sm80_xmma_fprop_implicit_gemm", "TacticValue": "0x11", "StreamId": 2,
}  # fmt: skip
REFORMAT = {
    "Name": "Reformatting CopyNode for Input Tensor 0 to Conv_9", "LayerType": "Reformat",
    "Inputs": [tensor("x", "N/A due to dynamic shapes", (-1, 8, 4, 4))],
    "Outputs": [tensor("y", "Channel major INT8 format where channel % 32 == 0")],
    "Origin": "REFORMAT", "TacticValue": "0x00000000000003ea", "Metadata": "",
}  # fmt: skip
MYELIN = {
    "Name": "__myl_FcAdd_myl0_5", "LayerType": "gemm", "Inputs": [tensor("a", "Half")],
    "Outputs": [tensor("b", "BFloat16")], "TacticName": "",
    "Metadata": "[ONNX Layer: /query/MatMul]\x1e[ONNX Layer: /query/Add]",
}  # fmt: skip


def test_types_weights_tactics_and_streams_are_read() -> None:
    convolution, reformat, myelin = layers_from_inspector(json.dumps({"Layers": [CONVOLUTION, REFORMAT, MYELIN]}))
    assert [each.dtype for each in (*convolution.inputs, *convolution.outputs)] == ["int8", "fp16", "fp32"]
    assert [(each.name, each.shape, each.dtype) for each in convolution.constants] == [
        ("weights", (576,), "int8"),
        ("bias", (8,), "fp32"),
    ]
    assert (convolution.tactic, convolution.stream) == ("sm80_xmma_fprop_implicit_gemm", 2)
    assert (reformat.nodes, reformat.tactic) == ((), "0x00000000000003ea")
    assert [each.dtype for each in (*reformat.inputs, *reformat.outputs)] == ["", "int8"]
    assert myelin.nodes == ("/query/MatMul", "/query/Add")
    assert [each.dtype for each in (*myelin.inputs, *myelin.outputs)] == ["fp16", "bf16"]


def test_nodes_in_a_fused_name_obtain_their_precision() -> None:
    plan = layers_from_inspector(json.dumps({"Layers": [REFORMAT, CONVOLUTION]}))
    layers = layers_from_plan(plan, {"Conv_9": ("Conv_9", "int8")})
    assert [(layer.name, layer.obtained) for layer in layers if layer.requested] == [("Conv_9", "int8")]


def test_control_characters_may_stand_unescaped() -> None:
    text = '{"Layers": [{"Name": "a", "LayerType": "kgen", "Metadata": "[ONNX Layer: b]\x1e[ONNX Layer: c]"}]}'
    assert layers_from_inspector(text)[0].nodes == ("b", "c")


def test_an_engine_without_detailed_verbosity_has_names_alone() -> None:
    (layer,) = layers_from_inspector('{"Layers": ["conv.weight + Conv_9"], "Bindings": ["input"]}')
    assert (layer.name, layer.op, layer.inputs) == ("conv.weight + Conv_9", "", ())


@pytest.mark.parametrize(
    ("name", "nodes"),
    [
        ("/a/Conv + PWN(/a/Sigmoid, PWN(/a/Mul))", ("/a/Conv", "/a/Sigmoid", "/a/Mul")),
        ("{ForeignNode[/head/Cast.../head/Softmax]}", ("/head/Cast", "/head/Softmax")),
        ("(Unnamed Layer* 112) [Shuffle] + Conv_1", ("(Unnamed Layer* 112) [Shuffle]", "Conv_1")),
        ("__myl_MulAdd_myl0_3", ()),
    ],
)
def test_nodes_from_fused_names(name: str, nodes: tuple[str, ...]) -> None:
    assert nodes_from_name(name) == nodes


@pytest.mark.parametrize(
    "text",
    ["", "nothing", "[]", "3", '{"Bindings": []}', '{"Layers": 3}', '{"Layers": [3]}',
     '{"Layers": [{"LayerType": "x"}]}',
     '{"Layers": [{"Name": "x", "Inputs": [{"Name": "y"}]}]}', "[" * 100_000],
)  # fmt: skip
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(FormatError) as caught:
        layers_from_inspector(text)
    assert "--exportLayerInfo" in caught.value.hint
    assert "\n" not in caught.value.message
