"""Opens mutated files of each kind as the commands do: `python hostile_files.py FOLDER KIND...`.

In a process of its own, so that a parser that crashes, hangs or takes all memory is a failure with a file to look at:
what was opened last lies in FOLDER. Prints one line a kind: how many files were opened, and how many refused.
"""

from __future__ import annotations

import faulthandler
import json
import logging
import struct
import sys
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, reject, settings
from hypothesis import strategies as st
from mutations import altered, as_json, as_toml, damaged

from edgeseg.errors import EdgeSegError
from edgeseg.measure.memory import high_water_mib

SECONDS = 60
EXTRA_MIB = 1024
OPENED = "opened"
Writer = Callable[[Any], bytes]


@dataclass(frozen=True)
class Kind:
    """One kind of file. path: what is mutated; uses: what commands do with it. examples: how many mutations.

    data, write: where its structure is mutated, and not its bytes.
    """

    path: Path
    uses: tuple[Callable[[Path], object], ...]
    examples: int
    data: Any = None
    write: Writer = bytes

    def mutations(self) -> st.SearchStrategy[bytes]:
        """What the file is made to hold."""
        return damaged(self.path.read_bytes()) if self.data is None else altered(self.data, self.write)


def json_bytes(data: Any) -> bytes:
    return as_json(data).encode()


def inspect(path: Path) -> None:
    from edgeseg.artifact import Artifact
    from edgeseg.commands.inspect import described, flat, layers_json
    from edgeseg.inspection.source import inspect_artifact

    artifact = Artifact.open(path)
    flat(described(artifact)), json.dumps(layers_json(inspect_artifact(artifact)))


def calibrate(path: Path) -> None:
    """Up to the first image."""
    from edgeseg.artifact import load_onnx
    from edgeseg.graph.identity import graph_id

    graph_id(load_onnx(path).graph())


def stream(path: Path) -> None:
    """The first image, and its overlay."""
    import numpy as np

    from edgeseg.artifact import Artifact
    from edgeseg.segmenter import open_segmenter

    engine = None if Artifact.open(path).engine else "onnxruntime"
    with open_segmenter(path, engine=engine, threads=1) as segmenter:
        rgb = np.zeros((16, 24, 3), np.uint8)
        prediction = segmenter.predict(rgb)
        json.dumps(prediction.to_dict()), prediction.render(rgb)


def inspect_engine(sidecar: Path) -> None:
    inspect(sidecar.with_suffix(""))


def stream_engine(sidecar: Path) -> None:
    stream(sidecar.with_suffix(""))


def open_weights(path: Path) -> None:
    """As inspect and export do."""
    from edgeseg.export.model import source_from_model
    from edgeseg.weights.checkpoint import is_own
    from edgeseg.weights.file import spec_from_weights

    if is_own(path):
        spec_from_weights(path)
    source_from_model(path)


def open_checkpoint(path: Path) -> None:
    """As export does, before it asks whose it is."""
    from edgeseg.weights.checkpoint import model_name, read_checkpoint

    model_name(path), read_checkpoint(path)


def open_folder(config: Path) -> None:
    """A Hugging Face folder."""
    open_checkpoint(config.with_name("model.safetensors"))


def open_ranges(path: Path) -> None:
    from edgeseg.calib.range import RangeTable

    RangeTable.open(path)


def open_recipe(path: Path) -> None:
    """As convert does, up to the model."""
    from edgeseg.engines import open_engine
    from edgeseg.recipe import recipe_from_file
    from edgeseg.weights import is_model, weights_path

    recipe = recipe_from_file(path)
    open_engine(recipe.engine or "openvino")
    is_model(recipe.model), weights_path(recipe.model)


def open_dataset_toml(path: Path) -> None:
    from edgeseg.datasets import open_dataset

    for sample in open_dataset(f"folder:{path.parent}"):
        sample.labels()


def open_labels(path: Path) -> None:
    from edgeseg.labels import labels_from_file

    labels_from_file(path)


def onnx_bytes(folder: Path) -> Kind:
    return Kind(tiny_onnx(folder), (inspect, calibrate, stream), 70)


def onnx_metadata(folder: Path) -> Kind:
    """The spec and provenance in the metadata of an ONNX."""
    import onnx

    path = tiny_onnx(folder)
    proto = onnx.load(path)

    def write(data: Any) -> bytes:
        proto.metadata_props[0].value = as_json(data)
        return bytes(proto.SerializeToString())

    return Kind(path, (inspect, calibrate, stream), 50, json.loads(proto.metadata_props[0].value), write)


def onnx_graph(folder: Path) -> Kind:
    """The graph of an ONNX: names, shapes, attributes, operators."""
    import onnx
    from google.protobuf import json_format

    path = tiny_onnx(folder)

    def write(data: Any) -> bytes:
        try:
            return bytes(json_format.Parse(as_json(data), onnx.ModelProto()).SerializeToString())
        except (json_format.ParseError, RecursionError):
            reject()

    return Kind(path, (inspect, calibrate, stream), 70, json_format.MessageToDict(onnx.load(path)), write)


def tiny_onnx(folder: Path) -> Path:
    """A model of one convolution, whose file is more graph than weights."""
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper
    from small_onnx import SPEC, onnx_model

    from edgeseg.artifact import Artifact, write_onnx

    nodes = [
        helper.make_node("Cast", ["rgb"], ["float"], "cast", to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["x"], "planes", perm=[0, 3, 1, 2]),
        helper.make_node("Constant", [], ["mean"], "mean", value=numpy_helper.from_array(np.float32([120]))),
        helper.make_node("Sub", ["x", "mean"], ["centred"], "centre"),
        helper.make_node("Conv", ["centred", "w"], ["logits"], "conv", strides=[2, 2]),
    ]
    weights = {"w": np.linspace(-1, 1, 15, dtype=np.float32).reshape(5, 3, 1, 1)}
    inputs, outputs = [("rgb", TensorProto.UINT8, [1, 32, 64, 3])], [("logits", TensorProto.FLOAT, [1, 5, 16, 32])]
    return write_onnx(onnx_model(nodes, inputs, outputs, weights), Artifact(folder / "tiny.onnx", SPEC))


def sidecar_of_engine(folder: Path) -> Path:
    """The sidecar of an engine that has everything in it."""
    from edgeseg.artifact import Artifact, Layer
    from edgeseg.provenance import Agreement, BuildInfo, Provenance, RangeSource

    engine = replace(
        Artifact.open(tiny_onnx(folder)),
        engine="onnxruntime",
        provenance=Provenance(weights="a", weights_sha256="a" * 64, ranges=RangeSource(8, "c" * 64, "mse", ("x",))),
        build=BuildInfo(onnx="a.onnx", version="1", options={"gpus": ["8.6"], "batch": [1, 1, 1]}, plan_bytes=7),
        agreement=Agreement(4, 0.99, 0.1, 1.0, 0.0, "images", "note", "judged"),
        layers=(Layer("conv", "Conv", "fp32", "fp32"),),
        versions={"onnxruntime": "1"},
        device={"cpu": "x", "threads": 2},
        decision={"summary": "int8 kept", "candidates": [{"name": "int8"}]},
    )
    return engine.write_sidecar()


def sidecar_bytes(folder: Path) -> Kind:
    return Kind(sidecar_of_engine(folder), (inspect_engine, stream_engine), 30)


def sidecar(folder: Path) -> Kind:
    path = sidecar_of_engine(folder)
    return Kind(path, (inspect_engine, stream_engine), 90, json.loads(path.read_text()), json_bytes)


def weights_file(folder: Path) -> Path:
    """A weights file of edgeseg, with few tensors."""
    import torch
    from small_nets import small_spec, write_state

    return write_state(folder / "w.safetensors", {"a": torch.ones(2, 3), "b": torch.tensor(5)}, small_spec("bisenetv2"))


def weights_bytes(folder: Path) -> Kind:
    return Kind(weights_file(folder), (open_weights,), 40)


def weights_header(folder: Path) -> Kind:
    """The header of a weights file, and the spec inside."""
    from edgeseg.weights.file import KEY

    path = weights_file(folder)
    whole = path.read_bytes()
    end = 8 + struct.unpack("<Q", whole[:8])[0]
    header = json.loads(whole[8:end])
    header["__metadata__"][KEY] = json.loads(header["__metadata__"][KEY])

    def write(data: Any) -> bytes:
        fields = data.get("__metadata__")
        if isinstance(fields, dict) and KEY in fields:
            data = {**data, "__metadata__": {**fields, KEY: as_json(fields[KEY])}}
        text = json_bytes(data)
        return struct.pack("<Q", len(text)) + text + whole[end:]

    return Kind(path, (open_weights,), 50, header, write)


def checkpoint_bytes(folder: Path) -> Kind:
    import torch

    state = {"a.weight": torch.ones(2, 3), "a.count": torch.tensor(5)}
    meta = {"CLASSES": ["road", "sky"], "PALETTE": [[1, 2, 3], [4, 5, 6]]}
    torch.save({"state_dict": state, "meta": meta, "epoch": 3}, folder / "net.pth")
    return Kind(folder / "net.pth", (open_checkpoint,), 40)


def folder_config(folder: Path) -> Kind:
    """The config.json of a Hugging Face folder."""
    path = huggingface_folder(folder) / "config.json"
    return Kind(path, (open_folder,), 15, json.loads(path.read_text()), json_bytes)


def folder_preprocessor(folder: Path) -> Kind:
    """The preprocessor_config.json of a Hugging Face folder."""
    path = huggingface_folder(folder) / "preprocessor_config.json"
    return Kind(path, (open_folder,), 25, json.loads(path.read_text()), json_bytes)


def huggingface_folder(folder: Path) -> Path:
    import torch
    from safetensors.torch import save_file

    save_file({"a.weight": torch.ones(2, 3)}, folder / "model.safetensors")
    config = {"id2label": {"0": "road", "1": "sky"}, "hidden_act": "gelu"}
    preprocessor = {
        "size": {"height": 64, "width": 96}, "do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True,
        "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225],
    }  # fmt: skip
    for name, data in {"config": config, "preprocessor_config": preprocessor}.items():
        (folder / f"{name}.json").write_text(json.dumps(data))
    return folder


def ranges_file(folder: Path) -> Path:
    import numpy as np

    from edgeseg.calib.histogram import Histogram
    from edgeseg.calib.range import ChannelStats, RangeTable, TensorStats

    histogram = Histogram()
    histogram.add(np.linspace(-1, 2, 50))
    channels = ChannelStats(np.ones(2, np.float32), np.full(2, 2, np.float32))
    row = TensorStats("x", -1.0, 2.0, histogram, -0.5, 1.5, channels)
    return RangeTable("g" * 16, "m", 3, "s" * 64, {"a" * 16: row}).write(folder / "m.ranges.json")


def ranges_bytes(folder: Path) -> Kind:
    return Kind(ranges_file(folder), (open_ranges,), 25)


def ranges(folder: Path) -> Kind:
    path = ranges_file(folder)
    return Kind(path, (open_ranges,), 45, json.loads(path.read_text()), json_bytes)


RECIPE = {"model": "bisenetv2-street", "engine": "openvino", "precision": "int8", "size": "1024x512"}


def recipe_bytes(folder: Path) -> Kind:
    path = folder / "r.toml"
    path.write_bytes(as_toml(RECIPE))
    return Kind(path, (open_recipe,), 20)


def recipe(folder: Path) -> Kind:
    return replace(recipe_bytes(folder), examples=30, data=RECIPE, write=as_toml)


DATASET = {
    "name": "mine", "images": "images/{split}", "labels": "labels/{split}", "splits": ["test"], "kind": "index",
    "image_suffix": "", "label_suffix": "", "ignore": [255],
    "classes": [{"name": "road", "id": 0, "color": [1, 2, 3]}, {"name": "sky", "id": [1, 2], "color": [[4, 5, 6]]}],
}  # fmt: skip


def dataset_bytes(folder: Path) -> Kind:
    from small_datasets import gradient, ids_in_turn, write_png

    write_png(folder / "images/test/a.png", gradient())
    write_png(folder / "labels/test/a.png", ids_in_turn(0, 1, 2, 255))
    path = folder / "dataset.toml"
    path.write_bytes(as_toml(DATASET))
    return Kind(path, (open_dataset_toml,), 20)


def dataset(folder: Path) -> Kind:
    return replace(dataset_bytes(folder), examples=50, data=DATASET, write=as_toml)


def labels_bytes(folder: Path) -> Kind:
    path = folder / "labels.txt"
    path.write_text("# the order of the logits\nroad 128 64 128\nsky 70 130 180\nrider\n")
    return Kind(path, (open_labels,), 20)


KINDS = {
    make.__name__: make
    for make in (
        *(onnx_bytes, onnx_metadata, onnx_graph, sidecar_bytes, sidecar),
        *(weights_bytes, weights_header, checkpoint_bytes, folder_config, folder_preprocessor),
        *(ranges_bytes, ranges, recipe_bytes, recipe, dataset_bytes, dataset, labels_bytes),
    )
}


class NoTraceback(logging.Handler):
    """Lets no library log one."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and record.exc_info[1]:
            raise AssertionError(f"a traceback was logged: {record.getMessage()}") from record.exc_info[1]


def outcomes(kind: Kind) -> list[str]:
    """Of each use "opened", or the code of the error; any other exception, and any warning, is let through."""
    faulthandler.dump_traceback_later(SECONDS, exit=True)
    try:
        return [outcome(use, kind.path) for use in kind.uses]
    finally:
        faulthandler.cancel_dump_traceback_later()


def outcome(use: Callable[[Path], object], path: Path) -> str:
    """What came of one use."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            use(path)
    except EdgeSegError as problem:
        assert problem.code.startswith("ES-")
        assert problem.message
        assert problem.hint
        return problem.code
    return OPENED


def fuzz(kind: Kind, share: float) -> Counter[str]:
    """How often each outcome was seen in a share of the kind's examples."""
    assert set(outcomes(kind)) == {OPENED}  # also imports what it needs
    seen: Counter[str] = Counter()
    before = high_water_mib()

    @settings(
        max_examples=max(10, int(kind.examples * share)), derandomize=True, database=None, deadline=None,
        suppress_health_check=list(HealthCheck), phases=[Phase.generate],
    )  # fmt: skip
    @given(kind.mutations())
    def opens_or_refuses(data: bytes) -> None:
        kind.path.write_bytes(data)
        seen.update(outcomes(kind))
        assert high_water_mib() - before < EXTRA_MIB

    opens_or_refuses()
    return seen


if __name__ == "__main__":
    faulthandler.enable()
    logging.getLogger().addHandler(NoTraceback())
    for name in sys.argv[3:]:
        place = Path(sys.argv[1]) / name
        place.mkdir()
        print(name, json.dumps(fuzz(KINDS[name](place), float(sys.argv[2]))), flush=True)
