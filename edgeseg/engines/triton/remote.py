"""The engine `triton`: a model that a server runs. It is opened by its address, and not built here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

import numpy as np

from edgeseg.artifact import Artifact
from edgeseg.engines.backend import Array, Backend, fits
from edgeseg.engines.engine import Engine
from edgeseg.engines.options import RunOptions
from edgeseg.engines.triton.address import address_from_uri
from edgeseg.engines.triton.client import EXPORT, ModelClient, import_tritonclient
from edgeseg.errors import MismatchError, UnavailableError
from edgeseg.spec import Output, Precision, TensorSpec

DEVICE = "server"


class RemoteBackend(Backend):
    """A model on a server. Each call sends the frames as they are, uint8, and waits for the answer."""

    def __init__(self, client: ModelClient, artifact: Artifact) -> None:
        inputs, outputs = client.tensors()
        check_tensors(artifact, inputs, outputs)
        super().__init__(f"{artifact.path.name} (triton, {client.address.server})", inputs, outputs)
        self._client, self._artifact = client, artifact

    def _infer(self, feed: Mapping[str, Array]) -> Mapping[str, Array]:
        answer = self._client.infer([self._client.input(each, feed[each.name]) for each in self.inputs], self.outputs)
        count = len(feed[self.inputs[0].name])
        return {each.name: self._checked(each, answer, count) for each in self.outputs}

    def _checked(self, spec: TensorSpec, answer: Any, count: int) -> Array:
        """The tensor `spec` of an answer, for `count` images. MismatchError where the server sent another one."""
        try:
            array = answer.as_numpy(spec.name)
        except ValueError:  # another number of bytes than the shape has
            array = None
        fitting = array is not None and array.dtype == np.dtype(spec.dtype) and fits(array.shape, spec.shape)
        if array is None or not fitting or len(array) != count:
            raise self._answer_error(f"{spec.name} is not of the shape and type that it states")
        if self._artifact.output is Output.MASK and array.size and array.max() >= len(self._artifact.spec.labels):
            raise self._answer_error(f"{spec.name} has a class {array.max()}, which the model spec lacks")
        return np.asarray(array)

    def _answer_error(self, reason: str) -> MismatchError:
        message = f"{self._artifact.address} sent an unusable answer: {reason}"
        return MismatchError(message, hint=EXPORT, code="ES-SERVER-ANSWER")

    def _close(self) -> None:
        self._client.close()


def open_remote(uri: str, run: RunOptions = RunOptions()) -> tuple[Artifact, Backend]:  # noqa: B008 - frozen
    """The model at `uri`, as the server describes it, and its backend.

    FormatError where `uri` is no address or the model was not exported by edgeseg; UnavailableError where the server
    does not answer; MismatchError where its tensors are not those of the model spec.
    """
    ENGINE.available()
    ENGINE.device_from_name(run.device)
    client = ModelClient(address_from_uri(uri))
    try:
        artifact = client.artifact()
        return artifact, RemoteBackend(client, artifact)
    except BaseException:
        client.close()
        raise


def check_tensors(artifact: Artifact, inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...]) -> None:
    """MismatchError unless the model takes frames of its spec's size, and gives a mask or logits of its classes."""
    size, classes = artifact.spec.input, len(artifact.spec.labels)
    frame = (size.height, size.width, 3)
    takes_frames = len(inputs) == 1 and inputs[0].dtype == "uint8" and inputs[0].shape[1:] == frame
    results = [each for each in outputs if gives(each, artifact.output, classes)]
    if not takes_frames or len(results) != len(outputs) or not outputs:
        stated = "; ".join(f"{each.name} {each.dtype} {list(each.shape)}" for each in (*inputs, *outputs))
        message = f"{artifact.address} has other tensors than its model spec: {stated}"
        raise MismatchError(message, hint=EXPORT, code="ES-SERVER-ANSWER")


def gives(spec: TensorSpec, kind: Output, classes: int) -> bool:
    """Whether a tensor is a mask (N, H, W) or logits (N, C, h, w)."""
    if kind is Output.MASK:
        return spec.dtype == "uint8" and len(spec.shape) == 3
    return spec.dtype.startswith("float") and len(spec.shape) == 4 and spec.shape[1] == classes


def refuse(*_: object) -> NoReturn:
    """UnavailableError: a server's model is made by `edgeseg export`."""
    raise UnavailableError("the engine triton is a server, for which nothing is built here", hint=EXPORT)


ENGINE = Engine(
    name="triton",
    extension="",
    precisions=tuple(Precision),
    install='pip install "edgeseg[triton]"',
    packages=("tritonclient",),
    runtime=import_tritonclient,
    write=refuse,
    load=refuse,
    devices=lambda: (DEVICE,),
    targets=(),
)
