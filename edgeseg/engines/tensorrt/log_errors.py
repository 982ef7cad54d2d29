"""TensorRT's log lines as errors: one line that names the ONNX node and its torch module, and a hint."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from edgeseg.errors import EdgeSegError, FormatError, UnavailableError

MEMORY = re.compile(r"out ?of ?memory|OutOfMemory|insufficient memory|cudaError 2\b|memory allocation", re.IGNORECASE)
DRIVER = re.compile(r"driver version is insufficient|no CUDA-capable device|CUDA init\w* failure|cudaError (35|100)\b")
LOCATION = re.compile(r"^\[?[\w./]*\.(cpp|h)(:+\w+)*:+\d+\]?\s*|^.*?Error Code \d+: |\s*\(In \w+ at .*$")
OUT_OF_MEMORY = "ES-MISSING-MEMORY"
NO_REASON = "TensorRT gives no reason"


def parse_error(errors: Sequence[Any], onnx: Any, name: str) -> FormatError:
    """Why the parser rejected an ONNX. errors: its IParserError objects."""
    place, reason = name, NO_REASON
    if errors:
        error, nodes = errors[0], onnx.graph.node
        place = f"the node {node_label(nodes[error.node()])} of {name}" if 0 <= error.node() < len(nodes) else name
        reason = first_line(error.desc())
    hint = "remove the operator from the network, or use another engine: edgeseg doctor lists them"
    return FormatError(f"TensorRT cannot parse {place}: {reason}", hint=hint, code="ES-OPERATOR")


def build_error(errors: Sequence[str], onnx: Any, name: str, engine: str) -> EdgeSegError:
    """Why the builder made no plan. errors: TensorRT's error messages, oldest first."""
    text = "\n".join(errors)
    if DRIVER.search(text):
        return driver_error(engine)
    if MEMORY.search(text):
        hint = "close other programs that use the GPU, or build with a smaller --workspace, --size or --batch"
        return UnavailableError(f"the device ran out of memory while building {name}", hint=hint, code=OUT_OF_MEMORY)
    nodes = [node for node in onnx.graph.node if node.name and node.name in text]
    place = f" (node {node_label(nodes[0])})" if nodes else ""
    reason = first_line(errors[0]) if errors else NO_REASON
    hint = "try --precision fp32, or another engine"
    return FormatError(f"{engine} cannot build {name}{place}: {reason}", hint=hint, code="ES-FORMAT-BUILD")


def builder_error(errors: Sequence[str], engine: str) -> EdgeSegError:
    """Why TensorRT gave no builder or runtime object."""
    if not errors or DRIVER.search("\n".join(errors)):
        return driver_error(engine)
    return UnavailableError(f"{engine} cannot start: {first_line(errors[0])}", hint="run edgeseg doctor")


def driver_error(engine: str) -> UnavailableError:
    """There is no GPU, or no driver for it."""
    return UnavailableError(
        f"{engine} finds no NVIDIA GPU with a recent enough driver",
        hint="install NVIDIA's driver (check it with nvidia-smi), or use an engine for the CPU: edgeseg doctor",
        code="ES-MISSING-DRIVER",
    )


def node_label(node: Any) -> str:
    """The name of an ONNX node with its operator and, if the name contains it, its torch module."""
    module = node.name.rpartition("/")[0].replace("/", ".")
    name = node.name or next(iter(node.output), "without a name")
    return f"{name} ({node.op_type}{f', torch module {module}' if module else ''})"


def first_line(text: str) -> str:
    """The first line of a TensorRT message, without places in TensorRT's source code."""
    line = next((line for line in text.strip().splitlines() if line.strip()), NO_REASON).strip()
    shorter = LOCATION.sub("", LOCATION.sub("", line)).strip()
    return shorter or line
