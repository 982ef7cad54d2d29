"""One model on one server, through tritonclient and the protocol KServe v2 over gRPC."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgeseg.artifact import METADATA_KEY, Artifact, artifact_fields, strict_json
from edgeseg.engines.triton.address import ModelAddress
from edgeseg.errors import EdgeSegError, FormatError, MismatchError, UnavailableError
from edgeseg.provenance import BuildInfo
from edgeseg.spec import TensorSpec

EXPORT = "export the model with edgeseg export MODEL --to triton, and let the server load that"


def import_tritonclient() -> Any:
    """The client over gRPC, whose calls any thread may make; that over HTTP is bound to one thread."""
    import tritonclient.grpc

    return tritonclient.grpc


class ModelClient:
    """Asks a server for one model. UnavailableError with a code ES-SERVER-... where it does not answer as it should."""

    def __init__(self, address: ModelAddress) -> None:
        self.address = address
        self._grpc = import_tritonclient()
        self._client = self._grpc.InferenceServerClient(address.server, ssl=address.tls)

    def artifact(self) -> Artifact:
        """The model's description, which `edgeseg export` wrote into its configuration. `Artifact.path` is its name."""
        config = self._call("get_model_config").config
        return artifact_from_config(config, self.address)

    def tensors(self) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
        """The inputs and outputs as the server names them; a dimension that is not fixed is -1."""
        metadata = self._call("get_model_metadata")
        return tuple(map(tensor_spec, metadata.inputs)), tuple(map(tensor_spec, metadata.outputs))

    def infer(self, inputs: Sequence[Any], outputs: Sequence[TensorSpec]) -> Any:
        """The server's answer, an `InferResult`. inputs: `InferInput`s."""
        requested = [self._grpc.InferRequestedOutput(each.name) for each in outputs]
        return self._call("infer", inputs, outputs=requested)

    def input(self, spec: TensorSpec, array: Any) -> Any:
        """An `InferInput` with a copy of `array`."""
        value = self._grpc.InferInput(spec.name, array.shape, datatype_of(spec.dtype))
        value.set_data_from_numpy(array)
        return value

    def close(self) -> None:
        """End the connection."""
        self._client.close()

    def _call(self, method: str, *arguments: Any, **options: Any) -> Any:
        from tritonclient.utils import InferenceServerException

        try:
            return getattr(self._client, method)(
                self.address.model, *arguments, model_version=self.address.version, headers=self.address.headers,
                client_timeout=self.address.timeout_seconds, **options,
            )  # fmt: skip
        except InferenceServerException as problem:
            status, _, name = str(problem.status()).partition(".")
            raise server_error(self.address, name or status, str(problem.message())) from problem


def server_error(address: ModelAddress, status: str, text: str) -> EdgeSegError:
    """The error for gRPC's status and text. The login is in neither."""
    server, name = address.server, address.name
    line = (text.strip().splitlines() or [status])[0][:200]
    if "unknown model" in line.lower() or status == "NOT_FOUND":
        version = f" in version {address.version}" if address.version else ""
        message = f"the server {server} has no model {address.model}{version}"
        hint, code = EXPORT, "ES-SERVER-MODEL"
    elif status == "UNAVAILABLE":
        message = f"no server answers at {server}"
        hint = "check that it runs, its host, and its port, which for gRPC is 8001 as a rule; for TLS add ?tls=1"
        code = "ES-SERVER-UNREACHABLE"
    elif status == "DEADLINE_EXCEEDED":
        message = f"{name} did not answer within {address.timeout_seconds:g} s"
        hint, code = "give it more time: add ?timeout=30s to the address", "ES-SERVER-TIMEOUT"
    elif status in ("UNAUTHENTICATED", "PERMISSION_DENIED"):
        message = f"the server {server} rejected the user name or the password"
        hint, code = "write triton://USER:PASSWORD@HOST:8001/MODEL", "ES-SERVER-AUTH"
    elif status == "UNIMPLEMENTED":
        message = f"the server {server} does not know this request: {line}"
        hint, code = "name a server that hands out configurations of models, as Triton does", "ES-SERVER-KIND"
    else:
        message, hint, code = f"{name} answered with an error: {line}", "see the log of the server", "ES-SERVER"
    return UnavailableError(message, hint=hint, code=code)


def artifact_from_config(config: Any, address: ModelAddress) -> Artifact:
    """The artifact in the parameter "edgeseg" of a `ModelConfig`. FormatError where there is none."""
    text = config.parameters[METADATA_KEY].string_value if METADATA_KEY in config.parameters else ""
    try:
        data = strict_json(text)
    except ValueError as problem:
        message = f"the configuration of {address.name} has no model spec"
        raise FormatError(message, hint=EXPORT, code="ES-FORMAT-SPEC") from problem
    batch = max(1, config.max_batch_size)
    return Artifact(
        path=Path(address.model),
        engine="triton",
        address=address.name,
        build=BuildInfo(options={"batch": (1, 1, batch)}),
        **artifact_fields(data, Path(address.model)),
    )


def tensor_spec(tensor: Any) -> TensorSpec:
    """A tensor of a model's metadata. MismatchError for a type that numpy lacks."""
    from tritonclient.utils import triton_to_np_dtype

    dtype = triton_to_np_dtype(tensor.datatype)
    if dtype is None:
        message = f"the server's model has a tensor {tensor.name} of the type {tensor.datatype}"
        raise MismatchError(message, hint=EXPORT, code="ES-SERVER-ANSWER")
    return TensorSpec(tensor.name, np.dtype(dtype).name, tuple(map(int, tensor.shape)))


def datatype_of(dtype: str) -> str:
    """The protocol's name of a numpy type: "UINT8" for "uint8"."""
    from tritonclient.utils import np_to_triton_dtype

    return str(np_to_triton_dtype(np.dtype(dtype)))
