"""A server of KServe's protocol v2 over gRPC, with Triton's configurations: it runs ONNX models, well or badly."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import onnxruntime
from tritonclient.grpc import model_config_pb2, service_pb2, service_pb2_grpc
from tritonclient.utils import np_to_triton_dtype, triton_to_np_dtype

from edgeseg.artifact import Artifact
from edgeseg.engines.triton.config import config_from_text

DATATYPES = {"tensor(uint8)": "UINT8", "tensor(float)": "FP32"}
Answer = Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]


@dataclass
class Model:
    """A model of a server: its configuration, and what its ONNX computes."""

    config: Any
    session: onnxruntime.InferenceSession

    @classmethod
    def from_repository(cls, folder: Path) -> Model:
        """A model as `edgeseg export --to triton` wrote it."""
        config = config_from_text((folder / "config.pbtxt").read_text(encoding="utf-8"))
        return cls(config, onnxruntime.InferenceSession(folder / "1" / config.default_model_filename))

    @classmethod
    def from_artifact(cls, artifact: Artifact) -> Model:
        """Any ONNX, with the least configuration."""
        spec = model_config_pb2.ModelParameter(string_value=json.dumps(artifact.metadata()))
        config = model_config_pb2.ModelConfig(name=artifact.path.stem, parameters={"edgeseg": spec})
        return cls(config, onnxruntime.InferenceSession(artifact.path))

    def outputs(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """All outputs by name."""
        names = [output.name for output in self.session.get_outputs()]
        return dict(zip(names, self.session.run(names, inputs)))


@dataclass
class ModelServer(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]
    """The protocol. login: "Basic ..." that every request must carry. answer: changes the outputs of every answer.

    gate: while it is not set, no request is computed. batches: how many images each request had.
    """

    models: dict[str, Model]
    login: str = ""
    answer: Answer = lambda outputs: outputs
    gate: threading.Event = field(default_factory=threading.Event)
    batches: list[int] = field(default_factory=list)

    def ModelConfig(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        return service_pb2.ModelConfigResponse(config=self.model(request.name, context).config)

    def ModelMetadata(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        session = self.model(request.name, context).session
        tensor = service_pb2.ModelMetadataResponse.TensorMetadata
        inputs, outputs = (
            [
                tensor(
                    name=value.name,
                    datatype=DATATYPES[value.type],
                    shape=[side if isinstance(side, int) else -1 for side in value.shape],
                )
                for value in values
            ]
            for values in (session.get_inputs(), session.get_outputs())
        )
        return service_pb2.ModelMetadataResponse(name=request.name, inputs=inputs, outputs=outputs)

    def ModelInfer(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        model = self.model(request.model_name, context)
        self.gate.wait()
        inputs = {
            each.name: np.frombuffer(data, triton_to_np_dtype(each.datatype)).reshape(each.shape)
            for each, data in zip(request.inputs, request.raw_input_contents)
        }
        self.batches.append(len(inputs[request.inputs[0].name]))
        outputs = self.answer(model.outputs(inputs))
        tensor = service_pb2.ModelInferResponse.InferOutputTensor
        return service_pb2.ModelInferResponse(
            model_name=request.model_name,
            outputs=[
                tensor(name=name, datatype=np_to_triton_dtype(array.dtype), shape=array.shape)
                for name, array in outputs.items()
            ],
            raw_output_contents=[array.tobytes() for array in outputs.values()],
        )

    def model(self, name: str, context: grpc.ServicerContext) -> Model:
        """The model `name`, for a request that may ask for it."""
        if self.login and self.login not in dict(context.invocation_metadata()).get("authorization", ""):
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "who are you?")
        if name not in self.models:
            context.abort(grpc.StatusCode.NOT_FOUND, f"Request for unknown model: '{name}' is not found")
        return self.models[name]


@contextlib.contextmanager
def serving(server: service_pb2_grpc.GRPCInferenceServiceServicer | None) -> Iterator[str]:
    """HOST:PORT of a running server; None for one without any service."""
    listening = grpc.server(ThreadPoolExecutor(2))
    if server is not None:
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(server, listening)
    port = listening.add_insecure_port("127.0.0.1:0")
    listening.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        listening.stop(None).wait()


def opened(*models: Model, **options: Any) -> ModelServer:
    """A server of these models that answers at once."""
    server = ModelServer({model.config.name: model for model in models}, **options)
    server.gate.set()
    return server
