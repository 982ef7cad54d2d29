"""The JSON of TensorRT's engine inspector, 8.6 to 11, which `trtexec --exportLayerInfo` writes, too."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from edgeseg.engines.tensorrt.build_log import dtype_name, nodes_from_metadata
from edgeseg.engines.tensorrt.plan_layers import PlanLayer, PlanTensor
from edgeseg.errors import FormatError

# "Row major linear FP32", "Thirty-two wide channel vectorized row major Int8 format", or just "Half".
DTYPE = re.compile(r"\b(fp32|fp16|bf16|fp8|u?int8|int32|int64|bool|float|half|bfloat16)\b", re.IGNORECASE)
FOREIGN = re.compile(r"\{ForeignNode\[(.*)\]\}")
HINT = "give the whole JSON of the engine inspector, or the file of trtexec --exportLayerInfo"


def layers_from_inspector(text: str) -> tuple[PlanLayer, ...]:
    """The layers of an engine; only their names if it was built without detailed profiling verbosity."""
    try:
        # Node names are joined by control characters, which some releases write into the JSON unescaped.
        layers = json.loads(text, strict=False)["Layers"]
        return tuple(layer_from_data(data) for data in layers)
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as problem:
        start = " ".join(text[:60].split())
        message = f"not the JSON of an engine inspector: {start}"
        raise FormatError(message, hint=HINT, code="ES-FORMAT-LAYERS") from problem


def layer_from_data(data: str | Mapping[str, Any]) -> PlanLayer:
    """One layer, from a mapping or only its name."""
    if isinstance(data, str):
        return PlanLayer(name=data, op="", nodes=nodes_from_name(data))
    name = str(data["Name"])
    return PlanLayer(
        name=name,
        op=str(data.get("LayerType", "")),
        nodes=nodes_from_metadata(str(data.get("Metadata", ""))) or nodes_from_name(name),
        inputs=tuple(map(tensor_from_data, data.get("Inputs", ()))),
        outputs=tuple(map(tensor_from_data, data.get("Outputs", ()))),
        constants=(*map(tensor_from_data, data.get("Constants", ())), *weights(data)),
        tactic=str(data.get("TacticName") or data.get("TacticValue") or ""),
        stream=int(data.get("StreamId", 0)),
    )


def tensor_from_data(data: Mapping[str, Any]) -> PlanTensor:
    """One tensor. Its dtype is "" if the engine does not know it: "N/A due to dynamic shapes"."""
    form = str(data.get("Format/Datatype") or data.get("Format", ""))
    dtype = DTYPE.search(str(data.get("Datatype", form)))
    shape = tuple(int(side) for side in data["Dimensions"])
    return PlanTensor(str(data["Name"]), shape, dtype_name(dtype.group()) if dtype else "", form)


def weights(data: Mapping[str, Any]) -> Iterator[PlanTensor]:
    """The weights and bias of {"Weights": {"Type": "Int8", "Count": 9408}}, as one axis: their shape is not given."""
    for key in ("Weights", "Bias"):
        if isinstance(value := data.get(key), Mapping) and value.get("Count"):
            yield PlanTensor(key.lower(), (int(value["Count"]),), dtype_name(str(value["Type"])))


def nodes_from_name(name: str) -> tuple[str, ...]:
    """The ONNX nodes in a fused name such as "conv1.weight + Conv_9 + PWN(Relu_10)", names of weights included.

    "{ForeignNode[first...last]}" gives the first and the last. A reformat copy and a generated kernel give none.
    """
    if name.startswith(("Reformatting ", "__my")):
        return ()
    foreign = FOREIGN.fullmatch(name)
    parts = foreign.group(1).split("...") if foreign else re.split(r" \+ |, ", name.replace("PWN(", ""))
    return tuple(dict.fromkeys(balanced(part) for part in parts))


def balanced(part: str) -> str:
    """`part` without the closing brackets at its end that have no opening one."""
    surplus = max(0, part.count(")") - part.count("("))
    return part[: -surplus or None].strip() if part.endswith(")" * surplus) else part.strip()
