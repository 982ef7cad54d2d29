"""A file that says what it is: an ONNX with its spec in metadata_props, or an engine with its sidecar.

An engine file is just what its runtime calls an engine. Its sidecar is `<file>.json`, schema 1: the engine's name,
SHA-256, spec, precision, output, provenance, versions, device, how it was built, layers (requested and obtained
precision), the agreement of its labels with the float model and the decision for it.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from edgeseg.errors import FormatError, MismatchError, SizeError
from edgeseg.files import existing_file, exists, sha256_from_file, whole_file
from edgeseg.provenance import Agreement, BuildInfo, Provenance, Record, check_depth, values_of
from edgeseg.spec import MAX_PIXELS, SCHEMA, ModelSpec, Output, Precision, checked_schema

if TYPE_CHECKING:
    import onnx_ir as ir

METADATA_KEY = "edgeseg"
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
    provenance: where it came from. versions, device, layers, agreement: of the build; empty for an ONNX.
    build: what the engine's own builder was told and said.
    decision: what was tried before this engine was chosen, with a "summary"; empty where a user named the precision.
    """

    path: Path
    spec: ModelSpec
    precision: Precision = Precision.FP32
    output: Output = Output.LOGITS
    engine: str = ""
    provenance: Provenance = field(default_factory=Provenance)
    versions: Mapping[str, str] = field(default_factory=dict)
    device: Record = field(default_factory=dict)
    layers: tuple[Layer, ...] = ()
    agreement: Agreement = field(default_factory=Agreement)
    build: BuildInfo = field(default_factory=BuildInfo)
    decision: Record = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """Either "engine" or "onnx"."""
        return "engine" if self.engine else "onnx"

    @classmethod
    def open(cls, path: str | Path) -> Artifact:
        """What the file at `path` is. An engine is verified against its sidecar first."""
        path = existing_file(path)
        if not exists(sidecar_path(path)):
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
            "provenance": self.provenance.to_dict(),
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
            "agreement": self.agreement.to_dict(),
            "build": self.build.to_dict(),
            "decision": dict(self.decision),
            "layers": [asdict(layer) for layer in self.layers],
        }
        with whole_file(sidecar_path(self.path)) as partial:
            partial.write_text(json.dumps(without_nan(data), indent=1, allow_nan=False) + "\n", encoding="utf-8")
        return sidecar_path(self.path)


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """An ONNX that was parsed and checked once, to be handed on. proto: its `onnx.ModelProto`, which nobody changes."""

    artifact: Artifact
    proto: Any

    @property
    def path(self) -> Path:
        """Where the file lies."""
        return self.artifact.path

    @property
    def spec(self) -> ModelSpec:
        """What the model is."""
        return self.artifact.spec

    @property
    def precision(self) -> Precision:
        """Of its convolutions and matrix products."""
        return self.artifact.precision

    @property
    def output(self) -> Output:
        """What leaves the graph."""
        return self.artifact.output

    @property
    def provenance(self) -> Provenance:
        """Where it comes from."""
        return self.artifact.provenance

    def graph(self) -> ir.Model:
        """The graph as a copy that may be changed."""
        import onnx_ir as ir

        return ir.from_proto(self.proto)

    def at(self, path: Path) -> LoadedModel:
        """The same model, whose file lies at `path` now."""
        return dataclasses.replace(self, artifact=dataclasses.replace(self.artifact, path=path))


Onnx = str | Path | LoadedModel  # what functions take that need an ONNX


def model_stem(name: str, size: tuple[int, int] | None, output: Output = Output.LOGITS) -> str:
    """What the files of a model are called: its name, the (width, height) where that is not its own, "mask" for one."""
    return name + (f"-{size[0]}x{size[1]}" if size else "") + ("-mask" if output is Output.MASK else "")


def engine_filename(name: str, engine: str, precision: str, extension: str) -> str:
    """What the engine file of a model is called. precision: or the name of a mix, such as int8-mixed."""
    return f"{name}.{engine}.{precision}.{extension}"


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
    sidecar = sidecar_path(path)
    try:
        data = plain_json(sidecar.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise FormatError(f"unreadable sidecar: {sidecar}", hint=REBUILD) from problem
    fields = artifact_fields(data, path)
    if data.get("sha256") != sha256_from_file(path):
        raise MismatchError(
            f"{path.name} is not the file that its sidecar describes: its SHA-256 differs",
            hint=f"edgeseg convert {fields['spec'].name} --engine {data.get('engine')} --precision {data['precision']}",
        )
    try:
        layers = tuple(Layer(**values_of(Layer, layer, "layers")) for layer in data.get("layers") or ())
        known = build_fields(data)
    except (TypeError, FormatError) as problem:
        raise FormatError(f"unreadable sidecar: {sidecar}: {problem}", hint=REBUILD) from problem
    return Artifact(path=path, engine=str(data.get("engine", "")), layers=layers, **known, **fields)


def build_fields(data: Record) -> dict[str, Any]:
    """The fields of an engine's sidecar that tell of its build."""
    records = {key: data.get(key) or {} for key in ("versions", "device", "decision", "agreement", "build")}
    for key, record in records.items():
        if not isinstance(record, dict):
            raise FormatError(f"its {key} is no JSON object", hint=REBUILD)
    if not all(isinstance(version, str) for version in records["versions"].values()):
        raise FormatError("its versions are not text", hint=REBUILD)
    agreement, build = Agreement.from_dict(records["agreement"]), BuildInfo.from_dict(records["build"])
    return {**records, "agreement": agreement, "build": build}


def plain_json(text: str) -> Any:
    """JSON data without NaN and infinity, which JSON does not have. ValueError where there are any, or it is no JSON.

    FormatError where it is nested deeper than any file of edgeseg.
    """

    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is no JSON")

    try:
        data = json.loads(text, parse_constant=refuse)
    except RecursionError as problem:
        raise ValueError("it is nested without end") from problem
    check_depth(data)
    return data


def without_nan(data: Any) -> Any:
    """`data` with None for nan and infinities, which JSON does not have."""
    if isinstance(data, Mapping):
        return {str(key): without_nan(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [without_nan(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data


def load_onnx(model: Onnx) -> LoadedModel:
    """The ONNX `model`, parsed and checked; one that is loaded already as it is."""
    if isinstance(model, LoadedModel):
        return model
    path = Path(model)
    proto = read_onnx(path)
    metadata = {entry.key: entry.value for entry in proto.metadata_props}
    if METADATA_KEY not in metadata:
        raise FormatError(
            f"{path.name} is an ONNX without a model spec", hint="export it with edgeseg export, which writes the spec"
        )
    try:
        data = plain_json(metadata[METADATA_KEY])
    except ValueError as problem:
        raise FormatError(f"the metadata of {path.name} is not JSON", hint="export it again") from problem
    return LoadedModel(Artifact(path=path, **artifact_fields(data, path)), proto)


def artifact_from_onnx(path: Path) -> Artifact:
    """The ONNX at `path`, as its metadata says."""
    return load_onnx(path).artifact


def artifact_fields(data: Any, path: Path) -> dict[str, Any]:
    """The fields that ONNX metadata and sidecar have in common."""
    data = checked_schema(data, f"model file ({path.name})")
    try:
        precision, output = Precision(data.get("precision")), Output(data.get("output"))
    except ValueError as problem:
        raise FormatError(f"{path.name}: {problem}", hint="make it again with edgeseg convert") from problem
    spec, provenance = ModelSpec.from_dict(data.get("spec")), Provenance.from_dict(data.get("provenance") or {})
    return {"spec": spec, "precision": precision, "output": output, "provenance": provenance}


def read_onnx(path: Path) -> Any:
    """The `onnx.ModelProto` at `path`, checked. FormatError where it is none, is damaged or is too large."""
    import onnx
    from google.protobuf.message import DecodeError

    path = existing_file(path)
    if path.stat().st_size > MAX_ONNX_BYTES:
        raise FormatError(f"{path} is larger than 2 GiB", hint="edge models are far smaller: is this the right file?")
    try:
        model = onnx.load(path, load_external_data=False)
        check_input_sizes(model.graph, path)
        onnx.checker.check_model(model, full_check=True)  # shapes as well: the passes and the engines rely on them
        check_constants(model.graph)
    except (DecodeError, onnx.checker.ValidationError, onnx.shape_inference.InferenceError, ValueError) as problem:
        reason = str(problem).strip().splitlines()[0] if str(problem).strip() else type(problem).__name__
        raise FormatError(
            f"{path} is not a valid ONNX file: {reason}", hint="name a model, for example: edgeseg models"
        ) from problem
    return model


def check_constants(graph: Any) -> None:
    """ValueError where a constant lies outside the file, or has more or fewer values than are asked for."""
    from onnx.numpy_helper import to_array

    attributes = (attribute for node in graph.node for attribute in node.attribute)
    for tensor in (*graph.initializer, *(attribute.t for attribute in attributes if attribute.HasField("t"))):
        if tensor.external_data:
            raise ValueError(f"the values of {tensor.name} lie outside the file")
        to_array(tensor)
    shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    for node in graph.node:
        bias = node.input[2] if node.op_type == "Conv" and len(node.input) > 2 else ""
        weight = shapes.get(node.input[1]) if bias else None
        # shape inference does not look at it, and a runtime reads as many values as there are channels
        if weight and bias in shapes and shapes[bias] != weight[:1]:
            raise ValueError(f"the bias {bias} has the shape {shapes[bias]}, for {weight[0]} channels")


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


def written_onnx(model: Any, artifact: Artifact) -> LoadedModel:
    """Check the `onnx.ModelProto`, write it with `artifact`'s metadata, and hand it on."""
    import onnx

    onnx.checker.check_model(model)
    write_onnx(model, artifact)
    return LoadedModel(artifact, model)


def count_precisions(layers: Iterable[Layer]) -> dict[str, int]:
    """How many layers obtained which precision, commonest first."""
    counts: dict[str, int] = {}
    for layer in layers:
        if layer.obtained:
            counts[layer.obtained] = counts.get(layer.obtained, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: -item[1]))
