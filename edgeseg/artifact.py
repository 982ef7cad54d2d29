"""A file that says what it is: an ONNX with its spec in metadata_props, or an engine with its sidecar.

An engine file is just what its runtime calls an engine. Its sidecar is `<file>.json`, schema 1: the engine's name,
SHA-256, spec, precision, output, provenance, versions, device, how it was built, layers (requested and obtained
precision), the agreement of its labels with the float model and the decision for it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from edgeseg.errors import FormatError, MismatchError, SizeError
from edgeseg.files import existing_file, sha256_from_file, whole_file
from edgeseg.spec import MAX_PIXELS, SCHEMA, ModelSpec, Output, Precision, checked_schema

METADATA_KEY = "edgeseg"
OF_BUILD = ("versions", "device", "agreement", "build", "decision")
REBUILD = "delete it, and build the engine again with edgeseg build"
MAX_ONNX_BYTES = 1 << 31  # protobuf's own limit
MAX_INPUT_VALUES = 4 * MAX_PIXELS


@dataclass(frozen=True)
class Layer:
    """One layer of a built engine. requested, obtained: a precision, or "" where it has none (a reshape)."""

    name: str
    op: str
    requested: str
    obtained: str


@dataclass(frozen=True)
class Artifact:
    """A model file and what is known about it.

    engine: the runtime it is built for; "" for an ONNX that any of them takes.
    provenance: where it came from: weights, SHA-256 of the ONNX, of the range table and of its images, agreement of
        the export; plain JSON data without times or paths.
    versions, device, layers, agreement: of the build; empty for an ONNX.
    build: what the engine's own builder was told and said: options, profile, its plan's layers; plain JSON data.
    decision: what was tried before this engine was chosen, and why it was; empty where a user named the precision.
    """

    path: Path
    spec: ModelSpec
    precision: Precision = Precision.FP32
    output: Output = Output.LOGITS
    engine: str = ""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    device: Mapping[str, Any] = field(default_factory=dict)
    layers: tuple[Layer, ...] = ()
    agreement: Mapping[str, Any] = field(default_factory=dict)
    build: Mapping[str, Any] = field(default_factory=dict)
    decision: Mapping[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """Either "engine" or "onnx"."""
        return "engine" if self.engine else "onnx"

    @classmethod
    def open(cls, path: str | Path) -> Artifact:
        """What the file at `path` is. An engine is verified against its sidecar first."""
        path = existing_file(path)
        if not sidecar_path(path).exists():
            check_no_plan(path)
            return artifact_from_onnx(path)
        return artifact_from_sidecar(path)

    def metadata(self) -> dict[str, Any]:
        """What an ONNX carries in metadata_props."""
        return {
            "schema": SCHEMA,
            "spec": self.spec.to_dict(),
            "precision": str(self.precision),
            "output": str(self.output),
            "provenance": dict(self.provenance),
        }

    def write_sidecar(self) -> Path:
        """Write `<path>.json` beside the engine, whole or not at all."""
        data = {
            **self.metadata(),
            "file": self.path.name,
            "sha256": sha256_from_file(self.path),
            "engine": self.engine,
            "versions": dict(self.versions),
            "device": dict(self.device),
            "agreement": dict(self.agreement),
            "build": dict(self.build),
            "decision": dict(self.decision),
            "layers": [asdict(layer) for layer in self.layers],
        }
        with whole_file(sidecar_path(self.path)) as partial:
            partial.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
        return sidecar_path(self.path)


def model_stem(name: str, size: tuple[int, int] | None, output: Output = Output.LOGITS) -> str:
    """What the files of a model are called: its name, the (width, height) where that is not its own, "mask" for one."""
    return name + (f"-{size[0]}x{size[1]}" if size else "") + ("-mask" if output is Output.MASK else "")


def sidecar_path(path: Path) -> Path:
    """Where the sidecar of the engine at `path` lies."""
    return path.with_name(path.name + ".json")


def check_no_plan(path: Path) -> None:
    """FormatError where `path` is a TensorRT plan: alone it does not say which classes or what input it has."""
    with path.open("rb") as file:
        start = file.read(4)
    if path.suffix == ".plan" or start[1:] == b"trt":
        raise FormatError(
            f"{path.name} is a TensorRT plan without its sidecar {sidecar_path(path).name}",
            hint="keep both files together, or make them again with edgeseg convert",
        )


def artifact_from_sidecar(path: Path) -> Artifact:
    """The engine at `path`, as its sidecar says. MismatchError where the file is not the one that was built."""
    try:
        data = json.loads(sidecar_path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise FormatError(f"unreadable sidecar: {sidecar_path(path)}", hint=REBUILD) from problem
    fields = artifact_fields(data, path)
    if data.get("sha256") != sha256_from_file(path):
        raise MismatchError(
            f"{path.name} is not the file that its sidecar describes: its SHA-256 differs",
            hint=f"edgeseg convert {fields['spec'].name} --engine {data.get('engine')} --precision {data['precision']}",
        )
    try:
        layers = tuple(Layer(**layer) for layer in data.get("layers", ()))
    except TypeError as problem:
        raise FormatError(f"unreadable sidecar: {sidecar_path(path)}", hint=REBUILD) from problem
    known: dict[str, Any] = {key: data.get(key) or {} for key in OF_BUILD}
    return Artifact(path=path, engine=str(data.get("engine", "")), layers=layers, **known, **fields)


def artifact_from_onnx(path: Path) -> Artifact:
    """The ONNX at `path`, as its metadata says."""
    metadata = {entry.key: entry.value for entry in read_onnx(path).metadata_props}
    if METADATA_KEY not in metadata:
        raise FormatError(
            f"{path.name} is an ONNX without a model spec", hint="export it with edgeseg export, which writes the spec"
        )
    try:
        data = json.loads(metadata[METADATA_KEY])
    except ValueError as problem:
        raise FormatError(f"the metadata of {path.name} is not JSON", hint="export it again") from problem
    return Artifact(path=path, **artifact_fields(data, path))


def artifact_fields(data: Any, path: Path) -> dict[str, Any]:
    """The fields that ONNX metadata and sidecar have in common."""
    data = checked_schema(data, f"model file ({path.name})")
    try:
        precision, output = Precision(data.get("precision")), Output(data.get("output"))
    except ValueError as problem:
        raise FormatError(f"{path.name}: {problem}", hint="make it again with edgeseg convert") from problem
    spec = ModelSpec.from_dict(data.get("spec"))
    return {"spec": spec, "precision": precision, "output": output, "provenance": data.get("provenance") or {}}


def read_onnx(path: Path) -> Any:
    """The `onnx.ModelProto` at `path`, checked. FormatError where it is none, is damaged or is too large."""
    import onnx
    from google.protobuf.message import DecodeError

    path = existing_file(path)
    if path.stat().st_size > MAX_ONNX_BYTES:
        raise FormatError(f"{path} is larger than 2 GiB", hint="edge models are far smaller: is this the right file?")
    try:
        model = onnx.load(path, load_external_data=False)
        onnx.checker.check_model(model)
    except (DecodeError, onnx.checker.ValidationError, ValueError) as problem:
        reason = str(problem).strip().splitlines()[0] if str(problem).strip() else type(problem).__name__
        raise FormatError(
            f"{path} is not a valid ONNX file: {reason}", hint="name a model, for example: edgeseg models"
        ) from problem
    check_input_sizes(model.graph, path)
    return model


def check_input_sizes(graph: Any, path: Path) -> None:
    """SizeError where an input of the graph has a side below 1, or holds more than any frame."""
    constants = {tensor.name for tensor in graph.initializer}
    for value in graph.input:
        sides = [side.dim_value for side in value.type.tensor_type.shape.dim if side.HasField("dim_value")]
        if value.name not in constants and (min(sides, default=1) < 1 or math.prod(sides) > MAX_INPUT_VALUES):
            message = f"{path.name}: its input {value.name} has the sides {sides}, which is no frame"
            raise SizeError(message, hint="export it at the size of its frames, for example 1024x512")


def write_onnx(model: Any, artifact: Artifact) -> Path:
    """Write the `onnx.ModelProto` with `artifact`'s metadata to its path; equal input gives equal bytes."""
    del model.metadata_props[:]
    model.metadata_props.add(key=METADATA_KEY, value=json.dumps(artifact.metadata(), sort_keys=True))
    with whole_file(artifact.path) as partial:
        partial.write_bytes(model.SerializeToString(deterministic=True))
    return artifact.path


def count_precisions(layers: Iterable[Layer]) -> dict[str, int]:
    """How many layers obtained which precision, commonest first."""
    counts: dict[str, int] = {}
    for layer in layers:
        if layer.obtained:
            counts[layer.obtained] = counts.get(layer.obtained, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: -item[1]))
