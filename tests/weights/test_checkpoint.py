"""Reading other people's checkpoints: wrappers, prefixes, what lies beside them, and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
safetensors = pytest.importorskip("safetensors.torch")

from edgeseg.errors import FormatError  # noqa: E402
from edgeseg.spec import InputSpec  # noqa: E402
from edgeseg.weights import checkpoint, is_model, weights_path  # noqa: E402
from edgeseg.weights.checkpoint import is_own, model_name, read_checkpoint  # noqa: E402
from edgeseg.weights.folder import input_from_folder  # noqa: E402

STATE = {"a.weight": torch.ones(2, 3), "a.count": torch.tensor(5)}
Saved = Callable[[Any], Path]


class Custom:
    """A class that no checkpoint reader should make."""


@pytest.fixture
def saved(tmp_path: Path) -> Saved:
    """Write with torch.save, and say where."""

    def save(content: Any, **options: Any) -> Path:
        torch.save(content, tmp_path / "net.pth", **options)
        return tmp_path / "net.pth"

    return save


def folder_with(folder: Path, **files: Any) -> Path:
    """A Hugging Face folder with STATE and these JSON files."""
    folder.mkdir(exist_ok=True)
    safetensors.save_file(STATE, folder / "model.safetensors")
    for name, content in files.items():
        (folder / f"{name}.json").write_text(content if isinstance(content, str) else json.dumps(content))
    return folder


@pytest.mark.parametrize(
    "content",
    [
        STATE,
        {"state_dict": STATE, "optimizer": {"state": {}}, "epoch": 3},
        {"model": {"state_dict": STATE}},
        {"ema": STATE, "epoch": 1},
        {"model_state": {f"module.{key}": value for key, value in STATE.items()}},
        {f"_orig_mod.module.{key}": value for key, value in STATE.items()},
        {f"module._orig_mod.{key}": value for key, value in STATE.items()},
        {f"module.model.{key}": value for key, value in STATE.items()},
        {"sem_loss.criterion.weight": torch.ones(2), **{f"model.{key}": value for key, value in STATE.items()}},
    ],
)
def test_wrappers_and_prefixes_are_taken_off(saved: Saved, content: Any) -> None:
    read = read_checkpoint(saved(content))
    assert read.state.keys() == STATE.keys()
    assert all(torch.equal(read.state[key], value) for key, value in STATE.items())
    assert (read.names, read.palette, read.input) == ((), (), None)


def test_floats_become_float32_and_counters_stay(saved: Saved) -> None:
    read = read_checkpoint(saved({"half": torch.ones(1).half(), "count": torch.tensor(1)}))
    assert {key: value.dtype for key, value in read.state.items()} == {"half": torch.float32, "count": torch.int64}


def test_the_running_weights_go_before_their_average(saved: Saved) -> None:
    read = read_checkpoint(saved({"ema_state_dict": {"a": torch.zeros(1)}, "state_dict": {"a": torch.ones(1)}}))
    assert read.state["a"].item() == 1


@pytest.mark.parametrize(
    "meta",
    [
        {"CLASSES": ("road", "car"), "PALETTE": [[1, 2, 3], [4, 5, 6]]},
        {"dataset_meta": {"classes": ["road", "car"], "palette": [[1, 2, 3], [4, 5, 6]]}},
    ],
)
def test_mmsegmentation_says_what_the_classes_are(saved: Saved, meta: Any) -> None:
    read = read_checkpoint(saved({"state_dict": STATE, "meta": meta}))
    assert (read.names, read.palette) == (("road", "car"), ((1, 2, 3), (4, 5, 6)))


@pytest.mark.parametrize("names", [5, "road", torch.ones(2), {"road": 0}])
def test_names_that_are_no_list_are_none(saved: Saved, names: Any) -> None:
    assert read_checkpoint(saved({"state_dict": STATE, "meta": {"CLASSES": names}})).names == ()


@pytest.mark.parametrize(
    "palette", [None, "random", [[1, 2, 3]], torch.ones(2, 3), [[float("inf")] * 3] * 2, [[300, 0, 0]] * 2]
)
def test_colours_that_do_not_fit_the_names_are_left_out(saved: Saved, palette: Any) -> None:
    read = read_checkpoint(saved({"state_dict": STATE, "meta": {"CLASSES": ("road", "car"), "PALETTE": palette}}))
    assert (read.names, read.palette) == (("road", "car"), ())


def test_a_folder_is_its_tensors_and_what_lies_beside_them(tmp_path: Path) -> None:
    config = {"id2label": {"1": "car", "0": "road", "10": "sky"}}
    folder = folder_with(tmp_path / "mine", config=config, preprocessor_config={"size": 512})
    path = weights_path(folder)
    read = read_checkpoint(path)
    assert path == folder / "model.safetensors"
    assert model_name(path) == "mine"
    assert (read.names, read.input, read.config) == (("road", "car", "sky"), InputSpec(512, 512), config)
    assert read_checkpoint(folder_with(tmp_path / "bare") / "model.safetensors").input is None


def test_a_folder_may_hold_a_pickle(tmp_path: Path) -> None:
    torch.save(STATE, tmp_path / "pytorch_model.bin")
    assert read_checkpoint(weights_path(tmp_path)).state.keys() == STATE.keys()


def test_names_that_nobody_chose_are_none(tmp_path: Path) -> None:
    folder = folder_with(tmp_path / "mine", config={"id2label": {"0": "LABEL_0", "1": "LABEL_1"}})
    assert read_checkpoint(weights_path(folder)).names == ()


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({"size": {"height": 384, "width": 480}}, InputSpec(480, 384)),
        ({"size": {"shortest_edge": 384}}, InputSpec(384, 384)),
        ({"size": [384, 480]}, InputSpec(480, 384)),
        (
            {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.3, 0.4]},
            InputSpec(512, 512, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)),
        ),
        (
            {"do_rescale": False, "image_mean": [127.5] * 3, "image_std": [51] * 3},
            InputSpec(512, 512, (0.5,) * 3, (0.2,) * 3),
        ),
        ({"do_normalize": False}, InputSpec(512, 512, (0.0,) * 3, (1.0,) * 3)),
        ({"do_normalize": False, "rescale_factor": 1 / 127.5}, InputSpec(512, 512, (0.0,) * 3, (0.5,) * 3)),
    ],
)
def test_the_preprocessor_decides_the_input(tmp_path: Path, found: dict[str, Any], expected: InputSpec) -> None:
    read = input_from_folder(folder_with(tmp_path / "mine", preprocessor_config={"do_resize": True, **found}))
    assert read is not None
    assert (read.width, read.height) == (expected.width, expected.height)
    assert read.mean + read.std == pytest.approx(expected.mean + expected.std)  # divisions round


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"config": "{"}, "config.json is not JSON"),
        ({"config": "[]"}, "config.json is not a JSON object"),
        ({"config": {"id2label": {"first": "road"}}}, "id2label of config.json has ids"),
        ({"preprocessor_config": {"size": "large"}}, "preprocessor_config.json has the size"),
        ({"preprocessor_config": {"image_mean": ["a"]}}, "preprocessor_config.json has"),
        ({"preprocessor_config": {"image_std": [0, 0, 0]}}, "mean and std need three values each, std above 0"),
    ],
)
def test_a_damaged_folder_is_refused(tmp_path: Path, files: dict[str, Any], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        read_checkpoint(weights_path(folder_with(tmp_path / "mine", **files)))


def test_a_whole_pickled_module_is_refused_with_what_it_would_run(saved: Saved) -> None:
    with pytest.raises(FormatError) as caught:
        read_checkpoint(saved(torch.nn.Linear(2, 2)))
    assert "torch.nn.modules" in caught.value.message
    assert "state_dict" in caught.value.hint


@pytest.mark.parametrize("zipped", [True, False])
def test_a_class_beside_the_tensors_is_refused_by_name(saved: Saved, zipped: bool) -> None:
    path = saved({"state_dict": STATE, "hub": Custom()}, _use_new_zipfile_serialization=zipped)
    with pytest.raises(FormatError, match=r"Custom"):
        read_checkpoint(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "it is a dict of nothing"),
        ({"epoch": 3, "lr": 0.1}, "it is a dict of epoch, lr"),
        ([torch.ones(1)], "it is a list"),
        (torch.ones(1), "it is a Tensor"),
        ({"state_dict": {}}, "it is a dict of nothing"),
    ],
)
def test_what_holds_no_tensors_is_refused(saved: Saved, content: Any, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        read_checkpoint(saved(content))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (torch.eye(2).to_sparse(), r"the tensor a is torch.float32, torch.sparse_coo"),
        (torch.ones(2, dtype=torch.complex64), r"the tensor a is torch.complex64"),
        (torch.ones(2, device="meta"), r"the tensor a has no values"),
        (torch.ones(1).half().expand(1 << 20, 1 << 20), r"is larger than 2 GiB as float32"),
    ],
)
def test_tensors_that_are_no_plain_numbers_are_refused(saved: Saved, value: Any, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        read_checkpoint(saved({"a": value}))


def test_a_dict_that_holds_itself_is_refused(saved: Saved) -> None:
    content: dict[str, Any] = {}
    content["model"] = content
    with pytest.raises(FormatError, match="it is a dict of model"):
        read_checkpoint(saved(content))


def test_parameters_are_read_without_their_gradients(saved: Saved) -> None:
    assert not read_checkpoint(saved({"a": torch.nn.Parameter(torch.ones(1))})).state["a"].requires_grad


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 cut off"])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_file_that_is_none_is_refused(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"net{suffix}"
    path.write_bytes(content)
    with pytest.raises(FormatError, match="net"):
        read_checkpoint(path)


def test_a_torchscript_file_is_refused(tmp_path: Path) -> None:
    with pytest.warns(DeprecationWarning):
        torch.jit.save(torch.jit.script(torch.nn.ReLU()), tmp_path / "net.pt")
    with pytest.raises(FormatError, match=r"net\.pt"):
        read_checkpoint(tmp_path / "net.pt")


def test_a_file_that_is_too_large_is_refused(saved: Saved, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "MAX_BYTES", 10)
    with pytest.raises(FormatError, match="is larger than 2 GiB"):
        read_checkpoint(saved(STATE))


def test_whose_a_file_is_needs_no_torch(tmp_path: Path, tiny_weights: Path) -> None:
    foreign = folder_with(tmp_path / "mine") / "model.safetensors"
    program = (
        "import sys; from pathlib import Path; from edgeseg.weights.checkpoint import is_own, model_name\n"
        "print([(is_own(Path(p)), model_name(Path(p))) for p in sys.argv[1:]], 'torch' in sys.modules)"
    )
    arguments = [sys.executable, "-c", program, str(tiny_weights), str(foreign)]
    printed = subprocess.run(arguments, capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[(True, 'tiny-bisenetv2'), (False, 'mine')] False"


def test_a_file_of_another_kind_is_no_weights_file(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"net\.tar"):
        is_own(tmp_path / "net.tar")


def test_what_may_be_meant_as_a_model(tmp_path: Path) -> None:
    (tmp_path / "net.v2").mkdir()
    assert all(map(is_model, ["bisenetv2-street", "a.pth", "a.pt", "a.bin", "a.safetensors", tmp_path / "net.v2"]))
    assert not any(map(is_model, ["a.onnx", "a.engine", tmp_path / "nothing.v2"]))
