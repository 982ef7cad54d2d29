"""An ONNX that says the same as its torch module, and nothing about the machine that made it."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from small_nets import street_frames

import edgeseg
from edgeseg.artifact import Artifact
from edgeseg.errors import AgreementError, FileProblem, FormatError, SizeError, UnknownNameError
from edgeseg.spec import Output

torch = pytest.importorskip("torch")

from edgeseg.export.model import export_model, source_from_model  # noqa: E402
from edgeseg.files import sha256_from_file  # noqa: E402
from edgeseg.weights.file import spec_from_weights  # noqa: E402

EXPORT = """
import sys
from pathlib import Path
import numpy as np
from edgeseg.export.model import export_model
export_model(sys.argv[1], Path(sys.argv[2]), frames=[np.zeros((64, 96, 3), np.uint8)])
"""


@pytest.fixture(scope="module")
def frames(tiny_weights: Path) -> list[np.ndarray]:
    return [rgb for rgb, _ in street_frames(spec_from_weights(tiny_weights))]


def test_two_exports_from_two_folders_are_the_same_bytes(
    tiny_weights: Path, tiny_onnx: Path, frames: list[np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("elsewhere").mkdir()
    shutil.copy(tiny_weights, "elsewhere/tiny.safetensors")
    artifact, parity = export_model(Path("elsewhere/tiny.safetensors"), Path("out/again.onnx"), frames=frames)
    assert artifact.path.read_bytes() == tiny_onnx.read_bytes()
    assert parity.frames == len(frames)
    assert parity.agreement >= 0.999  # float against float: only near-ties may differ
    assert parity.logit_difference < 1e-2  # logits within 5, summed in another order


def test_a_mask_is_compared_as_the_spec_enlarges(tiny_weights: Path, frames: list[np.ndarray], tmp_path: Path) -> None:
    source = source_from_model(tiny_weights)
    corners = dataclasses.replace(source, spec=dataclasses.replace(source.spec, align_corners=True))
    _, parity = export_model(corners, tmp_path / "mask.onnx", frames=frames, output=Output.MASK)
    assert parity.agreement >= 0.999  # float against float: only near-ties may differ


@pytest.mark.slow
def test_another_process_with_another_hash_seed_gives_the_same_bytes(
    tiny_weights: Path, tiny_onnx: Path, tmp_path: Path
) -> None:
    shutil.copy(tiny_weights, tmp_path / "tiny.safetensors")
    words = [sys.executable, "-c", EXPORT, "tiny.safetensors", "other.onnx"]
    subprocess.run(words, cwd=tmp_path, env={**os.environ, "PYTHONHASHSEED": "1"}, check=True, capture_output=True)
    assert (tmp_path / "other.onnx").read_bytes() == tiny_onnx.read_bytes()


def test_the_file_tells_no_path_and_no_stack_trace(tiny_onnx: Path) -> None:
    data = tiny_onnx.read_bytes()
    folders = (Path(edgeseg.__file__).parent, Path.cwd(), Path.home(), tiny_onnx.parent)
    told = [str(folder) for folder in folders if len(folder.parts) > 1 and str(folder).encode() in data]
    told += [text for text in (".py", "site-packages", "File ", "pkg.torch", "stack_trace") if text.encode() in data]
    assert told == []


def test_opset_input_output_and_spec_read_back(tiny_weights: Path, tiny_onnx: Path) -> None:
    model = onnx.load(tiny_onnx)
    assert [each.version for each in model.opset_import if each.domain in ("", "ai.onnx")] >= [18]
    artifact = Artifact.open(tiny_onnx)
    spec = spec_from_weights(tiny_weights)
    assert (artifact.spec, artifact.output, artifact.kind) == (spec, Output.LOGITS, "onnx")
    provenance = {"weights": "tiny.safetensors", "weights_sha256": sha256_from_file(tiny_weights)}
    assert artifact.provenance.to_dict() == provenance
    (image,) = model.graph.input
    assert image.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    shape = [side.dim_value for side in image.type.tensor_type.shape.dim]
    assert shape == [1, spec.input.height, spec.input.width, 3]


def test_nodes_are_named_after_the_modules_they_come_from(tiny_onnx: Path) -> None:
    names = [node.name for node in onnx.load(tiny_onnx).graph.node]
    assert len(set(names)) == len(names)
    for module in ("stem.first", "detail", "stage5", "context", "aggregate", "head"):
        assert any(name.startswith(module) for name in names), f"no node of {module} in {names}"


def test_a_mask_is_the_argmax_of_the_upsampled_logits(
    tiny_weights: Path, tiny_onnx: Path, frames: list[np.ndarray], tmp_path: Path
) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    masked, parity = export_model(tiny_weights, tmp_path / "mask.onnx", frames=frames, output=Output.MASK)
    assert np.isnan(parity.logit_difference)
    assert masked.output is Output.MASK
    sessions = [onnxruntime.InferenceSession(path) for path in (tiny_onnx, masked.path)]
    logits, mask = (session.run(None, {session.get_inputs()[0].name: frames[0][None]})[0] for session in sessions)
    upsampled = torch.nn.functional.interpolate(torch.from_numpy(logits), frames[0].shape[:2], mode="bilinear")
    assert mask.dtype == np.uint8
    assert mask.shape == (1, *frames[0].shape[:2])
    # of 6144 pixels: those whose two best logits tie to the last bit of a float
    assert (mask == upsampled.argmax(1).numpy()).mean() > 0.999


def test_an_export_that_says_something_else_is_refused_and_removed(
    tiny_weights: Path, tiny_onnx: Path, frames: list[np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exported_wrongly(network: torch.nn.Module, spec: object, path: Path, **_: object) -> Artifact:
        shutil.copy(tiny_onnx, path)
        torch.manual_seed(1)
        torch.nn.init.normal_([p for p in network.parameters() if p.ndim == 4][-1].data)
        return Artifact.open(path)

    monkeypatch.setattr("edgeseg.export.onnx.onnx_from_module", exported_wrongly)
    with pytest.raises(AgreementError) as caught:
        export_model(tiny_weights, tmp_path / "wrong.onnx", frames=frames)
    assert caught.value.code == "ES-AGREEMENT"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("size", "hint"), [((100, 100), "use 96x96 or 128x128"), ((16, 16), "use 64x64"), ((64, 33), "use 64x64")]
)
def test_a_size_that_breaks_the_rule_is_refused_with_the_nearest(
    tiny_weights: Path, size: tuple[int, int], hint: str
) -> None:
    with pytest.raises(SizeError) as caught:
        source_from_model(tiny_weights, size)
    takes = "multiples of 32, at least 64"
    assert takes in caught.value.message
    assert caught.value.hint == hint


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("buy milk")
    with pytest.raises(FormatError, match="not a weights file"):
        source_from_model(text)
    with pytest.raises(FormatError, match="not a weights file"):
        source_from_model(text.rename(tmp_path / "notes.safetensors"))
    with pytest.raises(FileProblem, match="no such file"):
        source_from_model(tmp_path / "nothing.safetensors")
    with pytest.raises(UnknownNameError, match="did you mean bisenetv2-street"):
        source_from_model("bisenetv2-stret")
