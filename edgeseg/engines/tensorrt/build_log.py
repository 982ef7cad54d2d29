"""The "Layers:" dump at the end of a verbose build log of TensorRT and TensorRT-RTX: one layer per line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from edgeseg.engines.tensorrt.plan_layers import PlanLayer, PlanTensor
from edgeseg.errors import FormatError

HINT = "give the whole log of a build with --verbose and --profilingVerbosity=detailed"
DTYPES = {
    "float": "fp32", "fp32": "fp32", "half": "fp16", "fp16": "fp16", "bfloat16": "bf16", "bf16": "bf16",
    "int8": "int8", "uint8": "uint8", "int32": "int32", "int64": "int64", "fp8": "fp8", "bool": "bool",
}  # fmt: skip
TOKEN = re.compile(
    r"[\[{]|[\]}]|, (?=[A-Z]\w{0,40}: )"
)  # an opening or closing bracket, or the comma before the next "Key: "
NODE = "[ONNX Layer: "
METADATA = ", Metadata: "


def layers_from_log(lines: Iterable[str]) -> tuple[PlanLayer, ...]:
    """The layers of the last plan that a build log describes, in the order in which they run.

    lines: the log's lines, or its messages of several lines. signal and wait are layers too, with that op.
    FormatError if there is no dump or a line of it cannot be read.
    """
    dump: list[tuple[int, str]] = []
    in_dump = False
    for number, line in enumerate(split_lines(lines), start=1):
        if line.endswith("Layers:"):
            layers, in_dump = [], True
        elif in_dump and line.startswith("Name: "):
            layers.append((number, line))
            dump = layers
        else:
            in_dump = False
    if not dump:
        raise FormatError("the build log contains no layers", hint=HINT, code="ES-FORMAT-LAYERS")
    return tuple(layer_from_line(line, number) for number, line in dump)


def split_lines(lines: Iterable[str]) -> Iterator[str]:
    """Single lines, split only at line feeds: str.splitlines also splits at the \\x1e between node names."""
    for line in lines:
        for part in line.removesuffix("\n").split("\n"):
            yield part.rstrip("\r")


def layer_from_line(line: str, number: int) -> PlanLayer:
    """One line of the dump."""
    head, _, metadata = line.partition(METADATA)
    values = fields(head)
    try:
        return PlanLayer(
            name=values["Name"],
            op=values["LayerType"],
            nodes=nodes_from_metadata(metadata),
            inputs=tensors(values.get("Inputs", "")),
            outputs=tensors(values.get("Outputs", "")),
            constants=tensors(values.get("Constants", "")),
            tactic=values.get("TacticName", ""),
            stream=int(values.get("StreamId") or 0),
        )
    except (KeyError, ValueError) as problem:
        text = line if len(line) <= 80 else line[:80] + "..."
        message = f"line {number} of the build log is not a layer: {text}"
        raise FormatError(message, hint=HINT, code="ES-FORMAT-LAYERS") from problem


def fields(text: str) -> dict[str, str]:
    """The fields of "Key: value, Key: value"; brackets and their content belong to a value."""
    values: dict[str, str] = {}
    depth = start = 0
    for token in [*TOKEN.finditer(text), None]:
        if token is not None and token.group() in "[]{}":
            depth += 1 if token.group() in "[{" else -1
        elif token is None or depth == 0:
            key, _, value = text[start : token.start() if token else None].partition(":")
            values[key.strip()] = value.strip()
            start = token.end() if token else start
    return values


def tensors(text: str) -> tuple[PlanTensor, ...]:
    """The tensors of "[ { Name: ... }, { ... }]"."""
    parts = text.strip("[] ").removeprefix("{").removesuffix("}").split("}, {")
    return tuple(tensor(fields(part)) for part in parts if part.strip())


def tensor(values: dict[str, str]) -> PlanTensor:
    """One tensor of the dump. An unknown side is -1."""
    sides = values["Dimensions"].strip("[] ")
    shape = tuple(int(side) if side.strip().lstrip("-").isdigit() else -1 for side in sides.split(",")) if sides else ()
    return PlanTensor(values["Name"], shape, dtype_name(values["Datatype"]), values.get("Format", ""))


def dtype_name(name: str) -> str:
    """Our name of TensorRT's type `name`: "Half" is fp16."""
    return DTYPES.get(name.lower(), name.lower())


def nodes_from_metadata(text: str) -> tuple[str, ...]:
    """The ONNX nodes of "[ONNX Layer: a][ONNX Layer: b]", each once.

    TensorRT-RTX joins the brackets by \\x1f, TensorRT 10 by \\x1e.
    """
    parts = text[: text.rfind("]") + 1].split(NODE)[1:]
    names = (part.rstrip("\x1e\x1f").removesuffix("]") for part in parts)
    return tuple(dict.fromkeys(name for name in names if name))
