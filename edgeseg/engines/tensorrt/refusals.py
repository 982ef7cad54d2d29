"""TensorRT's complaints as errors of ours: one line that names the node and its torch module, and what to type."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from edgeseg.errors import EdgeSegError, FormatError, UnavailableError

MEMORY = re.compile(r"out ?of ?memory|OutOfMemory|insufficient memory|cudaError 2\b|memory allocation", re.IGNORECASE)
DRIVER = re.compile(r"driver version is insufficient|no CUDA-capable device|CUDA init\w* failure|cudaError (35|100)\b")
LOCATION = re.compile(r"^\[?[\w./]*\.(cpp|h)(:+\w+)*:+\d+\]?\s*|^.*?Error Code \d+: |\s*\(In \w+ at .*$")


def parse_error(errors: Sequence[Any], onnx: Any, name: str) -> FormatError:
    """Why the parser did not take an ONNX. errors: its IParserError objects."""
    if not errors:
        return FormatError(f"{name} cannot be parsed, and TensorRT does not say why", hint="polygraphy inspect model")
    error = errors[0]
    node = onnx.graph.node[error.node()] if 0 <= error.node() < len(onnx.graph.node) else None
    what = f"the node {described(node)}" if node is not None else "the file"
    return FormatError(
        f"TensorRT does not take {what} of {name}: {first_line(error.desc())}",
        hint="keep the operator out of the network, or build for another engine: edgeseg doctor",
    )


def build_error(errors: Sequence[str], onnx: Any, name: str, engine: str) -> EdgeSegError:
    """Why nothing was compiled. errors: TensorRT's own lines, oldest first."""
    text = "\n".join(errors)
    if DRIVER.search(text):
        return no_driver(engine)
    if MEMORY.search(text):
        hint = "close what else uses the GPU, or build with a smaller --workspace, --size or --batch"
        return UnavailableError(f"the device ran out of memory while {name} was built", hint=hint)
    nodes = [node for node in onnx.graph.node if node.name and node.name in text]
    what = f" (node {described(nodes[0])})" if nodes else ""
    reason = first_line(errors[0]) if errors else "it does not say why"
    return FormatError(f"{engine} cannot build {name}{what}: {reason}", hint="try --precision fp32, or another engine")


def builder_error(errors: Sequence[str], engine: str) -> EdgeSegError:
    """Why there is no builder, or no runtime."""
    if not errors or DRIVER.search("\n".join(errors)):
        return no_driver(engine)
    return UnavailableError(f"{engine} cannot start: {first_line(errors[0])}", hint="edgeseg doctor")


def no_driver(engine: str) -> UnavailableError:
    """There is no GPU here, or no driver for it."""
    hint = "install NVIDIA's driver (nvidia-smi shows it), or use an engine for the CPU: edgeseg doctor"
    return UnavailableError(f"{engine} finds no NVIDIA GPU with a driver that is new enough", hint=hint)


def described(node: Any) -> str:
    """An ONNX node with its operator, and the torch module that it came from where its name tells."""
    module = node.name.rpartition("/")[0].replace("/", ".")
    name = node.name or next(iter(node.output), "without a name")
    return f"{name} ({node.op_type}{f', torch module {module}' if module else ''})"


def first_line(text: str) -> str:
    """A message of TensorRT's without the places in its own source."""
    line = next((line for line in text.strip().splitlines() if line.strip()), "no reason given").strip()
    shorter = LOCATION.sub("", LOCATION.sub("", line)).strip()
    return shorter or line
