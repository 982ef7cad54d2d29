"""A small plan as a build log tells it: two convolutions, the kernels around them, a copy and a lone Q/DQ."""

from __future__ import annotations

from edgeseg.artifact import Layer
from edgeseg.engines.tensorrt.build_log import layers_from_log
from edgeseg.engines.tensorrt.plan_layers import PlanLayer

Tensors = list[tuple[str, list[int], str]]  # name, shape, type as TensorRT calls it


def line(
    name: str, op: str, nodes: list[str], inputs: Tensors, outputs: Tensors, constants: Tensors, stream: int
) -> str:
    """One line of the dump."""
    metadata = "\x1f".join(f"[ONNX Layer: {node}]" for node in nodes)
    return (
        f"Name: {name}, LayerType: {op}, Inputs: {tensors(inputs)}, Constants: {tensors(constants)}, "
        f"Outputs: {tensors(outputs)}, TacticName: {'' if op == 'signal' else 'kernel_0x1a2b'}, StreamId: {stream}, "
        f"Metadata: {metadata}"
    )


def tensors(found: Tensors) -> str:
    """A list of tensors as the dump writes it."""
    texts = (
        f"{{ Name: {name}, Dimensions: [{','.join(map(str, shape))}], Strides: [1], StrideOrder: [3,0,2,1], "
        f"Datatype: {dtype}, Format: (NHWC) Channel major format }}"
        for name, shape, dtype in found
    )
    return f"[ {', '.join(texts)}]" if found else "[]"


FRAME: Tensors = [("rgb", [1, 8, 16, 3], "UInt8")]
X0: Tensors = [("x0", [1, 4, 8, 16], "Int8")]
Y0: Tensors = [("y0", [1, 8, 8, 16], "Float")]
X1: Tensors = [("x1", [1, 8, 8, 16], "Int8")]
X2: Tensors = [("x2", [1, 8, 8, 16], "Float")]
LOGITS: Tensors = [("logits", [1, 5, 8, 16], "Float")]
W0: Tensors = [("w0", [8, 4, 3, 3], "Int8"), ("s0", [1, 8, 1, 1], "Float")]
W1: Tensors = [("w1", [5, 8, 1, 1], "Float")]
STEM, HEAD = "stem.0/Conv", "head.classify/Conv"

DUMP = "\n".join([
    "Layers:",
    line("start_myl0_0", "signal", [], [], [], [], 0),
    line("__myl_CastTranSubMulMinMaxRounCast_myl0_1", "kgen", ["frame/Cast", "x/QuantizeLinear"], FRAME, X0, [], 0),
    line("stem.0/Conv_myl0_2", "correlation", [STEM, "x/DequantizeLinear"], X0, Y0, W0, 0),
    line("__myl_MulAddReluMulMinMaxRounCast_myl0_3", "kgen", [STEM, "y/QuantizeLinear", "stem.1/Relu"], Y0, X1, [], 1),
    line("__myl_CastMul_myl0_4", "kgen", ["y/DequantizeLinear"], X1, X2, [], 1),
    line("head.classify/Conv_myl0_5", "correlation", [HEAD], X2, [("z", [1, 5, 8, 16], "Float")], W1, 1),
    line("__myl_Tran_myl0_6", "kgen", [], [("z", [1, 5, 8, 16], "Float")], LOGITS, [], 0),
    "",
    "I/O Tensors:",
    " Name: rgb, IOMode: Input, DataType: UInt8, Dimensions: [1,8,16,3]",
])  # fmt: skip

LAYERS = (
    Layer(STEM, "correlation", "int8", "int8"),
    Layer(HEAD, "correlation", "fp32", "fp32"),
)


def small_plan() -> tuple[PlanLayer, ...]:
    """The layers of `DUMP`."""
    return layers_from_log([DUMP])
