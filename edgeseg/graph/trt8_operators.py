"""The operators that the ONNX parsers of TensorRT 8 take, in opset 17, their last.

Source: docs/operators.md of onnx/onnx-tensorrt at 8.5-GA, the rows marked Y, and for 8.6 what its Changelog adds.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

NAMES = """
    Abs Acos Acosh Add And ArgMax ArgMin Asin Asinh Atan Atanh AveragePool BatchNormalization Cast Ceil Celu Clip Concat
    Constant ConstantOfShape Conv ConvTranspose Cos Cosh CumSum DepthToSpace DequantizeLinear Div Dropout Einsum Elu
    Equal Erf Exp Expand EyeLike Flatten Floor GRU Gather GatherElements GatherND Gemm GlobalAveragePool GlobalLpPool
    GlobalMaxPool Greater GreaterOrEqual GridSample HardSigmoid HardSwish Identity If ImageScaler InstanceNormalization
    IsNaN LRN LSTM LeakyRelu Less LessOrEqual Log LogSoftmax Loop LpNormalization LpPool MatMul Max MaxPool Mean
    MeanVarianceNormalization Min Mod Mul Neg NonMaxSuppression NonZero Not OneHot Or PRelu Pad ParametricSoftplus Pow
    QuantizeLinear RNN RandomNormal RandomNormalLike RandomUniform RandomUniformLike Range Reciprocal ReduceL1 ReduceL2
    ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Reshape Resize
    ReverseSequence RoiAlign Round ScaledTanh Scan Scatter ScatterElements ScatterND Selu Shape Shrink Sigmoid Sign Sin
    Sinh Size Slice Softmax Softplus Softsign SpaceToDepth Split Sqrt Squeeze Sub Sum Tan Tanh ThresholdedRelu Tile TopK
    Transpose Trilu Unsqueeze Upsample Where Xor
"""
OPERATORS_8_5 = frozenset(NAMES.split())
OPERATORS_8_6 = OPERATORS_8_5 | {"GroupNormalization", "IsInf", "LayerNormalization"}


def unread_nodes(model: ir.Model, operators: frozenset[str] = OPERATORS_8_6) -> Iterator[ir.Node]:
    """The nodes of `model` that a parser which takes `operators` refuses, in the graph's order."""
    return (node for node in model.graph if node.domain or node.op_type not in operators)
