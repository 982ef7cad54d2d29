"""Requested against obtained precision: each computing node once, whatever TensorRT fused it with."""

from __future__ import annotations

import onnx_ir as ir
import pytest
from rtx_plan import rtx_plan
from small_onnx import small_model
from small_plan import HEAD, LAYERS, STEM, small_plan

from edgeseg.artifact import Layer
from edgeseg.engines.layers import requests_from_onnx
from edgeseg.engines.tensorrt.build_log import layers_from_log
from edgeseg.engines.tensorrt.plan_layers import PlanLayer, PlanTensor, is_product, layers_from_plan, product_precision

REQUESTS = {STEM: (STEM, "int8"), "stem.1/Relu": (STEM, "int8"), HEAD: (HEAD, "fp32")}


def tensor(dtype: str, *shape: int) -> PlanTensor:
    return PlanTensor("t", shape or (1, 8, 4, 4), dtype)


def test_the_kernel_after_a_convolution_is_not_taken_for_it() -> None:
    layers = layers_from_plan(small_plan(), REQUESTS)
    assert [layer for layer in layers if layer.requested] == list(LAYERS)
    assert [layer.obtained for layer in layers] == ["", "int8", "", "", "fp32", ""]
    assert not {"signal", "wait"} & {layer.op for layer in layers}


def test_a_node_that_no_layer_computes_is_named() -> None:
    plan = [layer for layer in small_plan() if layer.op != "correlation"]
    assert layers_from_plan(plan, REQUESTS)[-2:] == (Layer(STEM, "", "int8", ""), Layer(HEAD, "", "fp32", ""))


def test_a_layer_of_two_products_gives_both_and_a_second_layer_of_one_gives_none() -> None:
    requests = {name: (name, "fp16") for name in ("key", "value")}
    plan = [PlanLayer(name, "gemm", nodes=("key", "value"), inputs=(tensor("fp16"),)) for name in ("first", "second")]
    assert layers_from_plan(plan, requests) == (
        Layer("key", "gemm", "fp16", "fp16"),
        Layer("value", "gemm", "fp16", "fp16"),
        Layer("second", "gemm", "", ""),
    )


@pytest.mark.parametrize(
    ("name", "op", "tactic", "expected"),
    [
        ("conv1 + Conv_9", "CaskConvolution", "", True),
        ("fc", "CaskGemmMatrixMultiply", "", True),
        ("{ForeignNode[a...b]}", "Myelin", "", True),
        ("__myl_CorrAddRelu_myl0_4", "runtime_fusion", "", True),
        ("__myl_FcAdd_myl0_4", "runtime_fusion", "", True),
        ("__myl_DecoMulAddRelu_myl0_3", "runtime_fusion", "", True),
        ("_gemm_mha_v2_myl0_129", "kgen", "_gemm_mha_v2_0x09", True),
        ("a.value", "fusion", "sm80_xmma_gemm_i8f32_by_fusion_tactic", True),
        ("__myl_Conc_myl0_3", "runtime_function", "__myl_Conc_0x7c", False),
        ("__myl_MulAddReluMulMinMaxRounCast_myl0_7", "kgen", "__myl_MulAdd_0x1", False),
        ("Reformatting CopyNode for Input Tensor 0 to Conv_9", "Reformat", "0x00000000000003ea", False),
        ("pool", "CaskPooling", "sm50_xmma_pooling_fw_4d_FP32NHWC", False),
        ("resize", "Resize", "0x0", False),
    ],
)
def test_what_is_product(name: str, op: str, tactic: str, expected: bool) -> None:
    assert is_product(PlanLayer(name, op, tactic=tactic)) is expected


@pytest.mark.parametrize(
    ("inputs", "constants", "expected"),
    [
        (["int8"], [tensor("int8", 8, 8, 3, 3), tensor("fp32", 8)], "int8"),
        (["int8", "fp16"], [tensor("int8", 576)], "int8"),  # an int8 convolution with the sum of a shortcut
        (["fp16"], [tensor("int8", 8, 8)], "fp16"),  # weights alone are int8: they are unpacked
        (["fp32"], [tensor("fp16", 8, 8), tensor("fp32", 8)], "fp16"),  # a cast is fused in
        (["fp16", "fp16"], [tensor("fp32", 1), tensor("fp32", 1)], "fp16"),  # activations, and alpha and beta
        (["int8", "fp32"], [], "fp32"),
        (["bf16"], [], "bf16"),
        ([], [], ""),
    ],
)
def test_in_which_type_a_layer_multiplies(inputs: list[str], constants: list[PlanTensor], expected: str) -> None:
    layer = PlanLayer("a", "gemm", inputs=tuple(map(tensor, inputs)), constants=tuple(constants))
    assert product_precision(layer) == expected


def test_a_real_build_obtains_what_its_onnx_asks_for() -> None:
    pytest.importorskip("tensorrt_rtx")
    model = small_model()
    layers = layers_from_plan(layers_from_log([rtx_plan(ir.from_proto(model))]), requests_from_onnx(model))
    asked = [layer for layer in layers if layer.requested]
    assert sorted(layer.name for layer in asked) == ["conv0", "conv1", "conv2"]
    assert {layer.obtained for layer in asked} == {"fp32"}
