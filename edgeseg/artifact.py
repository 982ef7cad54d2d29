"""Model files with their description: an ONNX with its spec in metadata_props, or an engine with its sidecar.

An engine file is the plain file of its runtime. Its sidecar `<file>.json` holds the engine's name, SHA-256, spec,
precision, output, provenance, versions, device, build, layers (requested and obtained precision), the agreement of its
labels with the float model, and the decision of the precision search.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from edgeseg.errors import FormatError, MismatchError, SizeError
from edgeseg.files import existing_file, exists, sha256_from_file, whole_file, write_text
from edgeseg.provenance import Agreement, BuildInfo, Provenance, Record, check_depth, values_of
from edgeseg.spec import MAX_PIXELS, SCHEMA, ModelSpec, Output, Precision, checked_schema

if TYPE_CHECKING:
    import onnx_ir as ir

METADATA_KEY = "edgeseg"
REBUILD = "delete it, and build the engine again with edgeseg build"
MAX_ONNX_BYTES = 1 << 31  # the limit of protobuf
MAX_INPUT_VALUES = 4 * MAX_PIXELS


@dataclass(frozen=True)
class Layer:
    """One layer of a built engine. requested, obtained: a precision, or "" if it has none (a reshape)."""

    name: str
    op: str
    requested: str
    obtained: str


@dataclass(frozen=True)
class Artifact:
    """A model file with its description.

    engine: the runtime that it is built for; "" for an ONNX.
    versions, device, layers, agreement: of the build; empty for an ONNX.
    build: options and results of the engine's builder.
    decision: the record of the precision search, with a "summary"; empty if the user chose the precision.
    address: of a model on a server, without user and password; `path` is then its name there. Else "".
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
    address: str = ""

    @property
    def location(self) -> str:
        """Its path, or its address on a server."""
        return self.address or str(self.path)

    def sha256(self) -> str:
        """The SHA-256 of the file, or of what a server says of its model."""
        if not self.address:
            return sha256_from_file(self.path)
        return hashlib.sha256(json.dumps(self.metadata(), sort_keys=True).encode()).hexdigest()

    @property
    def kind(self) -> str:
        """Either "engine" or "onnx"."""
        return "engine" if self.engine else "onnx"

    @classmethod
    def open(cls, path: str | Path) -> Artifact:
        """Open the ONNX or engine at `path`. An engine is verified against its sidecar."""
        path = existing_file(path)
        if not exists(sidecar_path(path)):
            check_no_plan(path)
            return artifact_from_onnx(path)
        return artifact_from_sidecar(path)

    def metadata(self) -> dict[str, Any]:
        """The data that an ONNX carries in metadata_props."""
        return {
            "schema": SCHEMA,
            "spec": self.spec.to_dict(),
            "precision": str(self.precision),
            "output": str(self.output),
            "provenance": self.provenance.to_dict(),
        }

    def write_sidecar(self) -> Path:
        """Write the sidecar `<path>.json` atomically."""
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
        write_text(sidecar_path(self.path), json.dumps(without_nan(data), indent=1, allow_nan=False) + "\n")
        return sidecar_path(self.path)


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A parsed and checked ONNX. proto: its `onnx.ModelProto`, which must not be changed."""

    artifact: Artifact
    proto: Any

    @property
    def path(self) -> Path:
        """The path of the file."""
        return self.artifact.path

    @property
    def spec(self) -> ModelSpec:
        """The model spec."""
        return self.artifact.spec

    @property
    def precision(self) -> Precision:
        """The precision of its convolutions and matrix products."""
        return self.artifact.precision

    @property
    def output(self) -> Output:
        """The kind of its output."""
        return self.artifact.output

    @property
    def provenance(self) -> Provenance:
        """Its provenance."""
        return self.artifact.provenance

    def graph(self) -> ir.Model:
        """A copy of the graph that may be changed."""
        import onnx_ir as ir

        return ir.from_proto(self.proto)

    def at(self, path: Path) -> LoadedModel:
        """The same model with its file at `path`."""
        return dataclasses.replace(self, artifact=dataclasses.replace(self.artifact, path=path))


Onnx = str | Path | LoadedModel  # argument type of functions that need an ONNX


def model_stem(
    name: str, size: tuple[int, int] | None, output: Output = Output.LOGITS, *, is_tiled: bool = False
) -> str:
    """The file name of a model without suffix: name, (width, height) unless it is the default, its kind if special."""
    kinds = ("-tiles" if is_tiled else "") + ("-mask" if output is Output.MASK else "")
    return name + (f"-{size[0]}x{size[1]}" if size else "") + kinds


def engine_filename(name: str, engine: str, precision: str, extension: str) -> str:
    """The file name of an engine. precision: may be the name of a mix, such as int8-mixed."""
    return f"{name}.{engine}.{precision}.{extension}"


def sidecar_path(path: Path) -> Path:
    """The path of the sidecar of the engine at `path`."""
    return path.with_name(path.name + ".json")


def check_no_plan(path: Path) -> None:
    """FormatError if `path` is a TensorRT plan, which without a sidecar has no classes and no input spec."""
    with path.open("rb") as file:
        start = file.read(4)
    if path.suffix == ".plan" or start[1:] == b"trt":
        raise FormatError(
            f"{path.name} is a TensorRT plan without its sidecar {sidecar_path(path).name}",
            hint="keep both files together, or make them again with edgeseg convert",
            code="ES-FORMAT-SIDECAR",
        )


def artifact_from_sidecar(path: Path) -> Artifact:
    """Read the sidecar of the engine at `path`. MismatchError if the engine file has changed since it was built."""
    sidecar = sidecar_path(path)
    try:
        data = strict_json(sidecar.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise FormatError(f"cannot read the sidecar {sidecar}", hint=REBUILD, code="ES-FORMAT-SIDECAR") from problem
    fields = artifact_fields(data, path)
    if data.get("sha256") != sha256_from_file(path):
        raise MismatchError(
            f"{path.name} is not the file that its sidecar describes: the SHA-256 differs",
            hint=f"edgeseg convert {fields['spec'].name} --engine {data.get('engine')} --precision {data['precision']}",
        )
    try:
        layers = tuple(Layer(**values_of(Layer, layer, "layers")) for layer in data.get("layers") or ())
        build = build_fields(data)
    except (TypeError, FormatError) as problem:
        message = f"cannot read the sidecar {sidecar}: {problem}"
        raise FormatError(message, hint=REBUILD, code="ES-FORMAT-SIDECAR") from problem
    return Artifact(path=path, engine=str(data.get("engine", "")), layers=layers, **build, **fields)


def build_fields(data: Record) -> dict[str, Any]:
    """The fields of an engine's sidecar that describe its build."""
    records = {key: data.get(key) or {} for key in ("versions", "device", "decision", "agreement", "build")}
    for key, record in records.items():
        if not isinstance(record, dict):
            raise FormatError(f"{key} is not a JSON object", hint=REBUILD)
    if not all(isinstance(version, str) for version in records["versions"].values()):
        raise FormatError("versions has values that are not text", hint=REBUILD)
    agreement, build = Agreement.from_dict(records["agreement"]), BuildInfo.from_dict(records["build"])
    return {**records, "agreement": agreement, "build": build}


def strict_json(text: str) -> Any:
    """Parse strict JSON. ValueError if it is invalid or has NaN or infinity; FormatError if it is nested too deeply."""

    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is not JSON")

    try:
        data = json.loads(text, parse_constant=refuse)
    except RecursionError as problem:
        raise ValueError("it is nested too deeply") from problem
    check_depth(data)
    return data


def without_nan(data: Any) -> Any:
    """`data` with None instead of NaN and infinities, which JSON cannot express."""
    if isinstance(data, Mapping):
        return {str(key): without_nan(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [without_nan(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data


def load_onnx(model: Onnx) -> LoadedModel:
    """Parse and check the ONNX `model`; a LoadedModel is returned unchanged."""
    if isinstance(model, LoadedModel):
        return model
    path = Path(model)
    proto = read_onnx(path)
    metadata = {entry.key: entry.value for entry in proto.metadata_props}
    if METADATA_KEY not in metadata:
        raise FormatError(
            f"{path.name} is an ONNX without a model spec",
            hint="export it with edgeseg export, or add a spec with edgeseg adopt",
            code="ES-FORMAT-SPEC",
        )
    try:
        data = strict_json(metadata[METADATA_KEY])
    except ValueError as problem:
        message = f"the model spec of {path.name} is not JSON"
        raise FormatError(message, hint="export it again", code="ES-FORMAT-SPEC") from problem
    return LoadedModel(Artifact(path=path, **artifact_fields(data, path)), proto)


def artifact_from_onnx(path: Path) -> Artifact:
    """The artifact of the ONNX at `path`, from its metadata."""
    return load_onnx(path).artifact


def artifact_fields(data: Any, path: Path) -> dict[str, Any]:
    """The fields that ONNX metadata and sidecars have in common."""
    data = checked_schema(data, f"model file ({path.name})")
    try:
        precision, output = Precision(data.get("precision")), Output(data.get("output"))
    except ValueError as problem:
        raise FormatError(f"{path.name}: {problem}", hint="make it again with edgeseg convert") from problem
    spec, provenance = ModelSpec.from_dict(data.get("spec")), Provenance.from_dict(data.get("provenance") or {})
    return {"spec": spec, "precision": precision, "output": output, "provenance": provenance}


def read_onnx(path: Path) -> Any:
    """Read and check the `onnx.ModelProto` at `path`. FormatError if it is invalid or too large."""
    import onnx
    from google.protobuf.message import DecodeError

    path = existing_file(path)
    if path.stat().st_size > MAX_ONNX_BYTES:
        hint = "edge models are far smaller: is this the right file?"
        raise FormatError(f"{path} is larger than 2 GiB", hint=hint, code="ES-TOO-LARGE")
    try:
        model = onnx.load(path, load_external_data=False)
        check_input_sizes(model.graph, path)
        onnx.checker.check_model(model, full_check=True)  # with shapes, which the passes and engines rely on
        check_constants(model.graph)
    except (DecodeError, onnx.checker.ValidationError, onnx.shape_inference.InferenceError, ValueError) as problem:
        reason = str(problem).strip().splitlines()[0] if str(problem).strip() else type(problem).__name__
        raise FormatError(
            f"{path} is not a valid ONNX file: {reason}",
            hint="name a model, for example one that edgeseg models lists",
            code="ES-FORMAT-ONNX",
        ) from problem
    return model


def check_constants(graph: Any) -> None:
    """ValueError if a constant is stored outside the file or has a wrong number of values."""
    from onnx.numpy_helper import to_array

    attributes = (attribute for node in graph.node for attribute in node.attribute)
    for tensor in (*graph.initializer, *(attribute.t for attribute in attributes if attribute.HasField("t"))):
        if tensor.external_data:
            raise ValueError(f"the values of {tensor.name} are stored outside the file")
        to_array(tensor)
    shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    for node in graph.node:
        bias = node.input[2] if node.op_type == "Conv" and len(node.input) > 2 else ""
        weight = shapes.get(node.input[1]) if bias else None
        # shape inference does not check it, and a runtime would read past its end
        if weight and bias in shapes and shapes[bias] != weight[:1]:
            raise ValueError(f"the bias {bias} has the shape {shapes[bias]}, but there are {weight[0]} channels")


def check_input_sizes(graph: Any, path: Path) -> None:
    """SizeError if an input of the graph has a side below 1 or is larger than any frame."""
    constants = {tensor.name for tensor in graph.initializer}
    for value in graph.input:
        sides = [side.dim_value for side in value.type.tensor_type.shape.dim if side.HasField("dim_value")]
        if value.name not in constants and (min(sides, default=1) < 1 or math.prod(sides) > MAX_INPUT_VALUES):
            message = f"{path.name}: the input {value.name} has the shape {sides}, which is not that of a frame"
            raise SizeError(message, hint="export it at the size of the frames, for example 1024x512")


def write_onnx(model: Any, artifact: Artifact) -> Path:
    """Write the `onnx.ModelProto` with the metadata of `artifact`; equal input gives equal bytes."""
    del model.metadata_props[:]
    model.metadata_props.add(key=METADATA_KEY, value=json.dumps(artifact.metadata(), sort_keys=True))
    with whole_file(artifact.path) as partial:
        partial.write_bytes(model.SerializeToString(deterministic=True))
    return artifact.path


def written_onnx(model: Any, artifact: Artifact) -> LoadedModel:
    """Check and write the `onnx.ModelProto` with the metadata of `artifact`."""
    import onnx

    onnx.checker.check_model(model)
    write_onnx(model, artifact)
    return LoadedModel(artifact, model)


def count_precisions(layers: Iterable[Layer]) -> dict[str, int]:
    """The number of layers per obtained precision, most frequent first."""
    return dict(Counter(layer.obtained for layer in layers if layer.obtained).most_common())
