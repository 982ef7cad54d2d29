"""Read and check the ONNX file, and refuse it if it cannot become a deploy graph."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeseg.artifact import MAX_ONNX_BYTES, METADATA_KEY
from edgeseg.errors import FormatError
from edgeseg.files import existing_file, sha256_from_file

OLDEST_OPSET = 7
SMALLER = "edge models are far smaller: is this the right file?"
STANDARD = ("", "ai.onnx")
QUANTISED = {
    *("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "QLinearConv", "QLinearMatMul"),
    *("ConvInteger", "MatMulInteger"),
}
CONTROL_FLOW = {"If", "Loop", "Scan"}
OTHER_FLOATS = {"FLOAT16": "float16", "BFLOAT16": "bfloat16", "DOUBLE": "float64"}


@dataclass(frozen=True)
class Source:
    """A float ONNX with standard operators and all weights in memory. proto: an `onnx.ModelProto`."""

    path: Path
    proto: Any
    sha256: str

    @property
    def opset(self) -> int:
        """The version of the standard operators."""
        return standard_opset(self.proto)


def open_source(path: str | Path) -> Source:
    """Read the ONNX at `path`. FormatError, with the node, if it cannot be adopted."""
    path = existing_file(path)
    proto = proto_from_file(path)
    if any(entry.key == METADATA_KEY for entry in proto.metadata_props):
        raise FormatError(f"{path.name} has a model spec already", hint=f"edgeseg convert {path}")
    if proto.functions:
        import onnx.inliner

        proto = onnx.inliner.inline_local_functions(proto)
    check_opset(proto, path)
    check_operators(proto, path)
    check_weights(proto, path)
    return Source(path, proto, sha256_from_file(path))


def proto_from_file(path: Path) -> Any:
    """The `onnx.ModelProto` at `path`, with its external data."""
    import onnx
    from google.protobuf.message import DecodeError

    if path.stat().st_size > MAX_ONNX_BYTES:
        raise FormatError(f"{path} is larger than 2 GiB", hint=SMALLER, code="ES-TOO-LARGE")
    try:
        proto = onnx.load(path, load_external_data=False)
        load_external_data(proto, path)
        onnx.checker.check_model(proto)
    except (DecodeError, onnx.checker.ValidationError, ValueError) as problem:
        raise FormatError(
            f"{path} is not a valid ONNX file: {first_line(problem)}", hint="export it again", code="ES-FORMAT-ONNX"
        ) from problem
    return proto


def load_external_data(proto: Any, path: Path) -> None:
    """Load the weights in external files next to `path` into `proto`. FormatError if a file is missing."""
    from onnx.external_data_helper import ExternalDataInfo, load_external_data_for_model, uses_external_data

    names = {ExternalDataInfo(tensor).location for tensor in proto.graph.initializer if uses_external_data(tensor)}
    size = path.stat().st_size
    for name in sorted(names):
        data = path.parent / name
        if not data.resolve().is_relative_to(path.parent.resolve()):
            raise FormatError(f"{path.name} keeps its weights outside its folder: {name}", hint="export it as one file")
        if not data.is_file():
            message = f"{path.name} keeps its weights in {name}, which is missing"
            raise FormatError(message, hint=f"copy it to {data}", code="ES-FILE-MISSING")
        size += data.stat().st_size
    if size > MAX_ONNX_BYTES:
        raise FormatError(f"{path.name} and its weights are larger than 2 GiB", hint=SMALLER, code="ES-TOO-LARGE")
    load_external_data_for_model(proto, str(path.parent))


def check_opset(proto: Any, path: Path) -> None:
    """FormatError if the opset is older than ONNX Runtime supports."""
    opset = standard_opset(proto)
    if opset < OLDEST_OPSET:
        message = f"{path.name} has opset {opset}; the oldest that runs is {OLDEST_OPSET}"
        raise FormatError(message, hint="export it again, with opset 17 or newer", code="ES-OPSET")


def check_operators(proto: Any, path: Path) -> None:
    """FormatError, with the node, unless all operators are standard float operators without control flow."""
    for node in every_node(proto.graph):
        name = f"{path.name}: node {node.name or node.output[0]} is {node.op_type}"
        if node.domain not in STANDARD:
            raise FormatError(f"{name} of {node.domain}", hint="export it with standard operators", code="ES-OPERATOR")
        if node.op_type in QUANTISED:
            message = f"{name}: this graph is quantised already, and edgeseg places Q/DQ itself"
            hint = "adopt the float ONNX that it was made from"
            raise FormatError(message, hint=hint, code="ES-QUANTISED")
        if node.op_type in CONTROL_FLOW:
            message = f"{name}, and control flow cannot be quantised"
            hint = "fix the input size and simplify the model (python -m onnxsim), then adopt the result"
            raise FormatError(message, hint=hint, code="ES-OPERATOR")


def check_weights(proto: Any, path: Path) -> None:
    """FormatError if the weights are not float32, which quantisation starts from."""
    from onnx import TensorProto

    for tensor in proto.graph.initializer:
        kind = OTHER_FLOATS.get(TensorProto.DataType.Name(tensor.data_type))
        if kind:
            raise FormatError(f"{path.name} has {kind} weights ({tensor.name})", hint="export it again as float32")


def every_node(graph: Any) -> Iterator[Any]:
    """Yield the nodes of a graph and of all its subgraphs."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                yield from every_node(inner)


def standard_opset(proto: Any) -> int:
    """The version of the standard operators in an `onnx.ModelProto`."""
    return next((int(entry.version) for entry in proto.opset_import if entry.domain in STANDARD), 1)


def first_line(problem: BaseException) -> str:
    """The first line of the message of another library's error."""
    return (str(problem).strip().splitlines() or [type(problem).__name__])[0]
