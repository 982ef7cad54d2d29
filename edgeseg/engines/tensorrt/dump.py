"""The "Layers:" dump that ends a verbose build log of TensorRT and TensorRT-RTX, one layer a line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from edgeseg.engines.tensorrt.layer import PlanLayer, PlanTensor
from edgeseg.errors import FormatError

HINT = "build again with a verbose log and detailed profiling verbosity, as edgeseg build does, and keep the log whole"
DTYPES = {
    "float": "fp32", "fp32": "fp32", "half": "fp16", "fp16": "fp16", "bfloat16": "bf16", "bf16": "bf16",
    "int8": "int8", "uint8": "uint8", "int32": "int32", "int64": "int64", "fp8": "fp8", "bool": "bool",
}  # fmt: skip
TOKEN = re.compile(r"[\[{]|[\]}]|, (?=[A-Z]\w{0,40}: )")  # opens, closes, or stands before the next "Key: "
NODE = "[ONNX Layer: "
METADATA = ", Metadata: "


def layers_from_log(lines: Iterable[str]) -> tuple[PlanLayer, ...]:
    """The layers of the last plan that a build log describes, in the order in which they run.

    lines: the log's lines or its messages, which hold several. signal and wait are layers too, told by their op.
    FormatError where there is no dump, or a line of it cannot be read.
    """
    dump: list[tuple[int, str]] = []
    open_dump = False
    for number, line in enumerate(split_lines(lines), start=1):
        if line.endswith("Layers:"):
            pending, open_dump = [], True
        elif open_dump and line.startswith("Name: "):
            pending.append((number, line))
            dump = pending
        else:
            open_dump = False
    if not dump:
        raise FormatError("the build log holds no dump of the plan's layers", hint=HINT)
    return tuple(layer_from_line(line, number) for number, line in dump)


def split_lines(lines: Iterable[str]) -> Iterator[str]:
    """Single lines, split at line feeds alone: str.splitlines would cut at the \\x1e between node names too."""
    for line in lines:
        for part in line.removesuffix("\n").split("\n"):
            yield part.rstrip("\r")


def layer_from_line(line: str, number: int) -> PlanLayer:
    """One line of the dump."""
    head, _, metadata = line.partition(METADATA)
    found = fields(head)
    try:
        return PlanLayer(
            name=found["Name"],
            op=found["LayerType"],
            nodes=nodes_from_metadata(metadata),
            inputs=tensors(found.get("Inputs", "")),
            outputs=tensors(found.get("Outputs", "")),
            constants=tensors(found.get("Constants", "")),
            tactic=found.get("TacticName", ""),
            stream=int(found.get("StreamId") or 0),
        )
    except (KeyError, ValueError) as problem:
        text = line if len(line) <= 80 else line[:80] + "..."
        raise FormatError(f"line {number} of the build log is not a layer: {text}", hint=HINT) from problem


def fields(text: str) -> dict[str, str]:
    """The fields of "Key: value, Key: value"; what stands in brackets belongs to its value."""
    found: dict[str, str] = {}
    depth = start = 0
    for token in [*TOKEN.finditer(text), None]:
        if token is not None and token.group() in "[]{}":
            depth += 1 if token.group() in "[{" else -1
        elif token is None or depth == 0:
            key, _, value = text[start : token.start() if token else None].partition(":")
            found[key.strip()] = value.strip()
            start = token.end() if token else start
    return found


def tensors(text: str) -> tuple[PlanTensor, ...]:
    """The tensors of "[ { Name: ... }, { ... }]"."""
    parts = text.strip("[] ").removeprefix("{").removesuffix("}").split("}, {")
    return tuple(tensor(fields(part)) for part in parts if part.strip())


def tensor(found: dict[str, str]) -> PlanTensor:
    """One tensor of the dump. A side that is not known yet is -1."""
    sides = found["Dimensions"].strip("[] ")
    shape = tuple(int(side) if side.strip().lstrip("-").isdigit() else -1 for side in sides.split(",")) if sides else ()
    return PlanTensor(found["Name"], shape, plain_dtype(found["Datatype"]), found.get("Format", ""))


def plain_dtype(name: str) -> str:
    """TensorRT's name of a type in our own words: "Half" is fp16."""
    return DTYPES.get(name.lower(), name.lower())


def nodes_from_metadata(text: str) -> tuple[str, ...]:
    """The ONNX nodes of "[ONNX Layer: a][ONNX Layer: b]", each once.

    TensorRT-RTX joins the brackets by \\x1f, TensorRT 10 by \\x1e.
    """
    parts = text[: text.rfind("]") + 1].split(NODE)[1:]
    names = (part.rstrip("\x1e\x1f").removesuffix("]") for part in parts)
    return tuple(dict.fromkeys(name for name in names if name))
