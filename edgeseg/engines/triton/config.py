"""The configuration of a served model, config.pbtxt, as Triton's own protobuf."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from edgeseg.artifact import METADATA_KEY, Artifact
from edgeseg.errors import UnavailableError
from edgeseg.spec import TensorSpec

LABELS_FILE = "labels.txt"
JPEG = "jpeg"  # the input of the ensemble: the bytes of a file


@dataclass(frozen=True)
class ServerBackend:
    """A back end of Triton.

    engine: the one of edgeseg whose models it runs. file: of the model. fields: of the configuration, which select it.
    kind: where its instances run. batch: the most images at once, unless the user says. parameters: its own, for a
    batch and a number of instances.
    """

    engine: str
    file: str
    fields: Mapping[str, str]
    kind: str
    batch: int
    parameters: Callable[[int, int], Mapping[str, str]] = lambda batch, instances: {}


def openvino_parameters(batch: int, instances: int) -> dict[str, str]:
    """One stream for each instance; and fewer images than a whole batch are padded, not refused."""
    hint = "LATENCY" if instances == 1 else "THROUGHPUT"
    padding = {"ENABLE_BATCH_PADDING": "YES"} if batch > 1 else {}
    return {"PERFORMANCE_HINT": hint, "NUM_STREAMS": str(instances), **padding}


BACKENDS = {
    "onnxruntime": ServerBackend("onnxruntime", "model.onnx", {"backend": "onnxruntime"}, "KIND_AUTO", 8),
    # Padding to a whole batch costs as much as the images: its default is one.
    "openvino": ServerBackend("openvino", "model.onnx", {"backend": "openvino"}, "KIND_CPU", 1, openvino_parameters),
    "tensorrt_plan": ServerBackend("tensorrt", "model.plan", {"platform": "tensorrt_plan"}, "KIND_GPU", 8),
}


@dataclass(frozen=True)
class ServedModel:
    """A model as it is served. frame, mask: its tensors, of one image. batch: the most images at once."""

    name: str
    artifact: Artifact
    backend: ServerBackend
    frame: TensorSpec
    mask: TensorSpec
    batch: int
    instances: int

    def dims(self, spec: TensorSpec) -> tuple[int, ...]:
        """The shape as Triton wants it: without the batch, unless the graph takes one image only."""
        return spec.shape[1:] if self.batch > 1 else spec.shape


def protobuf() -> Any:
    """The module with Triton's messages. UnavailableError without tritonclient."""
    try:
        from tritonclient.grpc import model_config_pb2
    except ImportError as problem:
        message = "a Triton repository needs the package tritonclient"
        raise UnavailableError(message, hint='pip install "edgeseg[triton]"', code="ES-MISSING-TRITON") from problem
    return model_config_pb2


def config_of_model(model: ServedModel) -> Any:
    """The `ModelConfig` of a model. Its parameter "edgeseg" holds the model spec."""
    proto, frame = protobuf(), model.dims(model.frame)
    parameters = {
        **model.backend.parameters(model.batch, model.instances),
        METADATA_KEY: json.dumps(model.artifact.metadata(), sort_keys=True),
    }
    mask = proto.ModelOutput(
        name=model.mask.name, data_type=proto.TYPE_UINT8, dims=model.dims(model.mask), label_filename=LABELS_FILE
    )
    return proto.ModelConfig(
        name=model.name,
        default_model_filename=model.backend.file,
        max_batch_size=model.batch if model.batch > 1 else 0,
        input=[proto.ModelInput(name=model.frame.name, data_type=proto.TYPE_UINT8, dims=frame)],
        output=[mask],
        instance_group=[proto.ModelInstanceGroup(count=model.instances, kind=model.backend.kind)],
        dynamic_batching=batching(model.batch),
        model_warmup=[warm_up(model.frame.name, frame, batch) for batch in sorted({1, model.batch})],
        parameters={key: proto.ModelParameter(string_value=value) for key, value in parameters.items()},
        **model.backend.fields,
    )


def batching(batch: int) -> Any:
    """What joins the requests that are waiting, and waits for no further ones; None for a batch of one image."""
    return protobuf().ModelDynamicBatching() if batch > 1 else None


def warm_up(name: str, dims: tuple[int, ...], batch: int) -> Any:
    """A batch of noise that the server computes before it takes requests."""
    proto = protobuf()
    noise = proto.ModelWarmup.Input(data_type=proto.TYPE_UINT8, dims=dims, random_data=True)
    return proto.ModelWarmup(name=f"batch of {batch}", batch_size=batch, inputs={name: noise})


def config_of_decoder(name: str, model: ServedModel) -> Any:
    """The `ModelConfig` of the DALI pipeline that makes a frame of a JPEG file."""
    proto = protobuf()
    return proto.ModelConfig(
        name=name,
        backend="dali",
        max_batch_size=model.batch,
        input=[proto.ModelInput(name=JPEG, data_type=proto.TYPE_UINT8, dims=[-1])],
        output=[proto.ModelOutput(name=model.frame.name, data_type=proto.TYPE_UINT8, dims=model.frame.shape[1:])],
        dynamic_batching=batching(model.batch),
    )


def config_of_ensemble(name: str, decoder: str, model: ServedModel) -> Any:
    """The `ModelConfig` of decoder and model in one: a JPEG file in, a mask out."""
    proto, frame, mask = protobuf(), model.frame.name, model.mask.name
    step = proto.ModelEnsembling.Step
    steps = [
        step(model_name=decoder, model_version=-1, input_map={JPEG: JPEG}, output_map={frame: "frame"}),
        step(model_name=model.name, model_version=-1, input_map={frame: "frame"}, output_map={mask: mask}),
    ]
    return proto.ModelConfig(
        name=name,
        platform="ensemble",
        max_batch_size=model.batch,
        input=[proto.ModelInput(name=JPEG, data_type=proto.TYPE_UINT8, dims=[-1])],
        output=[proto.ModelOutput(name=mask, data_type=proto.TYPE_UINT8, dims=model.mask.shape[1:])],
        ensemble_scheduling=proto.ModelEnsembling(step=steps),
    )


def text_from_config(config: Any) -> str:
    """The text of a config.pbtxt."""
    from google.protobuf import text_format

    return str(text_format.MessageToString(config, as_utf8=True))


def config_from_text(text: str) -> Any:
    """The `ModelConfig` of a config.pbtxt. ValueError where it is none."""
    from google.protobuf import text_format

    try:
        return text_format.Parse(text, protobuf().ModelConfig())
    except text_format.ParseError as problem:
        raise ValueError(str(problem)) from problem
