"""PyTorch: the ONNX node by node, with torch's functions. It is slow, and close to the ONNX standard.

int8 is simulated: Q/DQ round the values, and convolutions multiply in float. This measures the accuracy of int8.
It runs only on the CPU: shapes are tensors, too, which Python reads between the nodes.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgeseg.artifact import Artifact, read_onnx
from edgeseg.engines.backend import Array, Backend
from edgeseg.engines.engine import BuildJob, BuildResult, Engine
from edgeseg.engines.layers import COMPUTING, layer_from_names, requests_from_onnx
from edgeseg.engines.options import RunOptions
from edgeseg.errors import FormatError
from edgeseg.spec import Precision, TensorSpec

MIN_OPSET = 13  # Squeeze, Softmax, Split and ReduceSum have other meanings before


@dataclass(frozen=True)
class Step:
    """One node. unused: values that no later step reads."""

    call: Callable[..., Any]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    unused: tuple[str, ...] = ()

    def run(self, values: dict[str, Any]) -> None:
        """Read the inputs from `values`, and store the outputs there."""
        result = self.call(*(values[name] if name else None for name in self.inputs))
        results = result if isinstance(result, tuple) else (result,)
        values.update(zip(self.outputs, results))
        for name in self.unused:
            del values[name]


def import_torch() -> Any:
    """The runtime."""
    import torch

    return torch


class PyTorchBackend(Backend):
    """The steps of one ONNX graph."""

    def __init__(self, artifact: Artifact, run: RunOptions) -> None:
        self._torch = import_torch()
        if run.threads is not None:
            self._torch.set_num_threads(run.threads)  # of the whole process: torch has no other setting
        graph = read_onnx_of_known_opset(artifact.path).graph
        self._constants = constants_of(graph)
        inputs = [value for value in graph.input if value.name not in self._constants]
        super().__init__(f"{artifact.path.name} (pytorch)", specs_of(inputs), specs_of(graph.output))
        self._steps = steps_from_graph(graph, self._constants)

    def _infer(self, feed: Mapping[str, Array]) -> Mapping[str, Array]:
        torch = self._torch
        with torch.inference_mode():
            values = dict(self._constants)
            values.update({name: torch.from_numpy(writeable(array)) for name, array in feed.items()})
            for step in self._steps:
                step.run(values)
            return {spec.name: values[spec.name].numpy() for spec in self.outputs}

    def _close(self) -> None:
        self._steps, self._constants = [], {}


def writeable(array: Array) -> Array:
    """`array`, or a copy if it is read-only or has negative strides, which torch does not accept."""
    return array if array.flags.writeable and min(array.strides, default=0) >= 0 else array.copy()


def read_onnx_of_known_opset(path: Path) -> Any:
    """The ONNX at `path`. FormatError if its opset is older than that of `pytorch_ops`."""
    return of_known_opset(read_onnx(path), path.name)


def of_known_opset(model: Any, name: str) -> Any:
    """The ONNX `model`, of the file `name`. FormatError as in `read_onnx_of_known_opset`."""
    opset = max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=0)
    if opset < MIN_OPSET:
        message = f"{name} has opset {opset}; the engine pytorch needs {MIN_OPSET} or later"
        hint = "export it with a newer opset, or use --engine onnxruntime"
        raise FormatError(message, hint=hint, code="ES-OPERATOR")
    return model


def constants_of(graph: Any) -> dict[str, Any]:
    """The initialisers as tensors."""
    from onnx import numpy_helper

    torch = import_torch()
    return {each.name: torch.from_numpy(np.array(numpy_helper.to_array(each))) for each in graph.initializer}


def steps_from_graph(graph: Any, constants: dict[str, Any], make: Callable[[Any], Step] | None = None) -> list[Step]:
    """The steps of each call. Nodes that depend only on constants run here, and join `constants`.

    make: makes the step of a node; by default `step_from_node`.
    """
    steps: list[Step] = []
    make = make or step_from_node
    with import_torch().no_grad():  # not inference_mode: a training cannot read its tensors
        for node in graph.node:
            step = make(node)
            if all(not name or name in constants for name in step.inputs):
                step.run(constants)
            else:
                steps.append(step)
    return with_unused_values(steps, {*constants, *(value.name for value in graph.output)})


def step_from_node(node: Any) -> Step:
    """One node of the graph. FormatError if its operator or an option of it is not implemented."""
    from onnx import helper

    from edgeseg.engines.pytorch_ops import OPERATORS

    where = f"{node.op_type} (node {node.name or node.output[0]})"
    hint = "use --engine onnxruntime or openvino for this model"
    if node.domain not in ("", "ai.onnx") or node.op_type not in OPERATORS:
        message = f"the engine pytorch has no operator {where}"
        raise FormatError(message, hint=hint, code="ES-OPERATOR")
    try:
        call = OPERATORS[node.op_type]({each.name: helper.get_attribute_value(each) for each in node.attribute})
    except ValueError as problem:
        message = f"the engine pytorch does not support {problem} of {where}"
        raise FormatError(message, hint=hint, code="ES-OPERATOR") from problem
    return Step(call, tuple(node.input), tuple(node.output))


def with_unused_values(steps: list[Step], needed: set[str]) -> list[Step]:
    """The steps, each with the values to drop after it, since memory would not hold all of a large image's."""
    needed, result = set(needed), []
    for step in reversed(steps):
        unused = tuple(dict.fromkeys(name for name in (*step.inputs, *step.outputs) if name and name not in needed))
        needed.update(unused)
        result.append(replace(step, unused=unused))
    return result[::-1]


def specs_of(values: Any) -> tuple[TensorSpec, ...]:
    """Names, types and shapes of a graph's inputs or outputs."""
    from onnx import helper

    return tuple(
        TensorSpec(
            name=value.name,
            dtype=helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type).name,
            shape=tuple(
                side.dim_value if side.HasField("dim_value") else -1 for side in value.type.tensor_type.shape.dim
            ),
        )
        for value in values
    )


def engine_file_from_onnx(job: BuildJob) -> BuildResult:
    """Copy the ONNX. Every layer obtains fp32, even behind Q/DQ."""
    shutil.copyfile(job.onnx.path, job.path)
    model = of_known_opset(job.onnx.proto, job.path.name)
    steps_from_graph(model.graph, constants_of(model.graph))
    requests = requests_from_onnx(model, Precision.FP32)
    obtained = {op: str(Precision.FP32) for op in COMPUTING}
    return BuildResult(
        tuple(
            layer_from_names([node.name or node.output[0]], node.op_type, obtained.get(node.op_type, ""), requests)
            for node in model.graph.node
        )
    )


ENGINE = Engine(
    name="pytorch",
    extension="onnx",
    precisions=(Precision.FP32, Precision.INT8),
    install="pip install torch",
    packages=("torch",),
    runtime=import_torch,
    write=engine_file_from_onnx,
    load=PyTorchBackend,
    devices=lambda: ("cpu",),
    targets=("pytorch", "canonical", "tensorrt", "openvino", "onnxruntime"),
    simulates=True,
)
