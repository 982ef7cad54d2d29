"""From somebody's file to the ONNX: a transformers SegFormer, and what a user is told and may change."""

from __future__ import annotations

import json
import shutil
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from small_cli import Run, runner

torch = pytest.importorskip("torch")
safetensors = pytest.importorskip("safetensors.torch")

from edgeseg.artifact import Artifact  # noqa: E402
from edgeseg.conversion import float_onnx  # noqa: E402
from edgeseg.datasets.labels import CITYSCAPES_LABELS  # noqa: E402
from edgeseg.errors import EdgeSegError, FormatError, MismatchError, SizeError  # noqa: E402
from edgeseg.export.adoption import adoption_from_file, shown  # noqa: E402
from edgeseg.export.model import source_from_model  # noqa: E402
from edgeseg.export.statistics import Statistics  # noqa: E402
from edgeseg.labels import unnamed_labels  # noqa: E402
from edgeseg.opening import existing_engine  # noqa: E402
from edgeseg.spec import InputSpec, Output  # noqa: E402
from edgeseg.synthetic import StreetCamera  # noqa: E402
from edgeseg.weights import weights_path  # noqa: E402

NAMES = ("road", "pavement", "car", "sky", "tree")
MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.3, 0.25)
SIZE = (96, 64)


@dataclass(frozen=True)
class Theirs:
    """A network of transformers and the folder that it was saved to."""

    network: Any
    folder: Path

    def logits(self, rgb: np.ndarray) -> np.ndarray:
        """(1, 5, H/4, W/4) of one frame, normalised as the folder says."""
        x = (torch.from_numpy(rgb.copy()).float() / 255 - torch.tensor(MEAN)) / torch.tensor(STD)
        with torch.inference_mode():
            return np.asarray(self.network(x.permute(2, 0, 1)[None]).logits)


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory, shared_exports: None) -> Theirs:
    """One block a stage, a narrow decoder, weights and BN statistics random."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    labels = dict(enumerate(NAMES))
    config = transformers.SegformerConfig(depths=[1, 1, 1, 1], decoder_hidden_size=32, id2label=labels)
    network = transformers.SegformerForSemanticSegmentation(config).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
        network.decode_head.batch_norm.running_mean.normal_()
        network.decode_head.batch_norm.running_var.uniform_(0.5, 2)
    folder = tmp_path_factory.mktemp("hub") / "my.segformer"
    network.save_pretrained(folder)
    size = {"width": SIZE[0], "height": SIZE[1]}
    preprocessor = {"image_mean": MEAN, "image_std": STD, "size": size, "do_rescale": True}
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    return Theirs(network, folder)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    return runner(monkeypatch, capfd)


def changed(theirs: Theirs, folder: Path, **config: Any) -> Path:
    """A copy of the folder, whose config says otherwise; the path of its tensors."""
    shutil.copytree(theirs.folder, folder)
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **config}))
    return weights_path(folder)


def test_export_gives_the_logits_of_transformers(theirs: Theirs, run: Run, tmp_path: Path) -> None:
    done = run("export", theirs.folder, "-o", tmp_path, "--json").json()
    assert Path(done["onnx"]) == tmp_path / "my.segformer.onnx"
    session = onnxruntime.InferenceSession(done["onnx"], providers=["CPUExecutionProvider"])
    for seed in range(2):
        rgb = StreetCamera(seed=seed, width=SIZE[0], height=SIZE[1]).render(0)[0]
        (logits,) = session.run(None, {session.get_inputs()[0].name: rgb[None]})
        expected = theirs.logits(rgb)
        assert expected.std() > 0.1  # else the comparison below would say nothing
        # float32 sums in another order, through 4 blocks and a runtime's own kernels.
        assert np.abs(logits - expected).max() <= 1e-4 * np.abs(expected).max()
    adopted = done["adopted"]
    assert adopted["origin"] == "Hugging Face SegFormer"
    assert adopted["network"] == "segformer b0?depths=1,1,1,1&width=32"
    assert (adopted["classes"], adopted["labels"]) == (5, list(NAMES))
    assert (adopted["input"], adopted["resize"], adopted["color"]) == ("96x64", "stretch", "rgb")
    assert adopted["mean"] + adopted["std"] == pytest.approx([*MEAN, *STD])
    assert adopted["align_corners"] is False
    assert adopted["licence"] == "unknown"


def test_a_pickle_of_the_same_tensors_has_the_defaults_of_its_origin(theirs: Theirs, tmp_path: Path) -> None:
    torch.save({"state_dict": safetensors.load_file(weights_path(theirs.folder))}, tmp_path / "street.v2.pth")
    spec = source_from_model(tmp_path / "street.v2.pth").spec
    assert (spec.name, spec.input, spec.labels) == ("street.v2", InputSpec(512, 512), unnamed_labels(5))
    assert source_from_model(tmp_path / "street.v2.pth", (128, 96)).spec.input == InputSpec(128, 96)


def test_what_a_user_states_goes_before_what_was_guessed(theirs: Theirs, run: Run, tmp_path: Path) -> None:
    words = ("--mean", "123.7", "116.3", "103.5", "--std", "58.4", "57.1", "57.4", "--color", "bgr")
    adopted = run("export", theirs.folder, *words, "-o", tmp_path, "--json").json()["adopted"]
    assert adopted["mean"] == pytest.approx([123.7 / 255, 116.3 / 255, 103.5 / 255])
    assert adopted["std"] == pytest.approx([58.4 / 255, 57.1 / 255, 57.4 / 255])
    assert adopted["color"] == "bgr"
    spec = Artifact.open(tmp_path / "my.segformer.onnx").spec
    assert (list(spec.input.mean), spec.input.color) == (adopted["mean"], "bgr")


def test_another_colour_order_alone_turns_the_usual_numbers_round(theirs: Theirs) -> None:
    given = source_from_model(theirs.folder, statistics=Statistics(color="bgr")).spec.input
    assert (given.color, given.mean, given.std) == ("bgr", pytest.approx(MEAN[::-1]), pytest.approx(STD[::-1]))


@pytest.mark.parametrize(
    ("statistics", "code"),
    [
        (Statistics(mean=(0.5,) * 3), "ES-FORMAT"),
        (Statistics(std=(0.5,) * 3), "ES-FORMAT"),
        (Statistics(mean=(0.5,) * 3, std=(58.0,) * 3), "ES-FORMAT-SCALE"),
        (Statistics(mean=(0.5,) * 3, std=(float("nan"),) * 3), "ES-FORMAT-NUMBERS"),
        (Statistics(color="rbg"), "ES-NAME"),
    ],
)
def test_what_a_user_states_of_the_input_is_checked(theirs: Theirs, statistics: Statistics, code: str) -> None:
    with pytest.raises(EdgeSegError) as caught:
        source_from_model(theirs.folder, statistics=statistics)
    assert caught.value.code == code


def test_convert_takes_the_same(theirs: Theirs, run: Run, tmp_path: Path, tiny_onnx: Path) -> None:
    words = ("--mean", "0.1", "0.2", "0.3", "--std", "0.5", "0.5", "0.5", "--color", "BGR", "--size", "64x32")
    target = ("--engine", "onnxruntime", "--precision", "fp32", "-o", tmp_path)
    made = run("convert", theirs.folder, *words, *target, "--json").json()
    given = Artifact.open(made["engine"]).spec.input
    assert (given.mean, given.std, given.color) == ((0.1, 0.2, 0.3), (0.5, 0.5, 0.5), "bgr")
    done = run("convert", tiny_onnx, "--color", "bgr", *target)
    assert (done.code, len(done.lines("hint"))) == (2, 1)


def test_weights_that_state_their_input_take_no_other(tiny_weights: Path) -> None:
    with pytest.raises(MismatchError) as caught:
        source_from_model(tiny_weights, statistics=Statistics(color="bgr"))
    assert caught.value.code == "ES-MISMATCH"


def test_convert_goes_the_way_of_export(theirs: Theirs, tmp_path: Path) -> None:
    onnx, parity = float_onnx(theirs.folder, tmp_path, size=(64, 32), output=Output.MASK, images=None)
    assert parity is not None
    assert onnx.path.name == "my.segformer-64x32-mask.onnx"
    assert onnx.spec.labels.names == NAMES
    assert onnx.provenance.origin == "Hugging Face SegFormer"
    assert existing_engine(theirs.folder, "onnxruntime", None, None, tmp_path) is None


def test_the_table_says_what_a_user_should_check(theirs: Theirs) -> None:
    lines = dict(shown(adoption_from_file(weights_path(theirs.folder))))
    assert lines["labels"] == "road, pavement, car, ..., tree"
    assert (lines["mean"], lines["std"], lines["align corners"]) == ("0.5 0.4 0.3", "0.2 0.3 0.25", "false")
    assert "details" not in lines


def test_labels_of_a_file_go_before_those_of_the_checkpoint(theirs: Theirs, tmp_path: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("a\nb\nc\nd\ne\n")
    assert source_from_model(theirs.folder, labels=labels).spec.labels.names == tuple("abcde")
    labels.write_text("a\nb\n")
    with pytest.raises(MismatchError) as caught:
        source_from_model(theirs.folder, labels=labels)
    assert str(labels) in caught.value.message
    assert "--labels FILE" in caught.value.hint


def test_nineteen_classes_without_names_are_those_of_cityscapes(tmp_path: Path) -> None:
    from golden_weights import golden_state, read_lines

    lines = read_lines(Path(__file__).parents[1] / "golden/origins/nvlabs-segformer.txt")
    torch.save({"state_dict": golden_state(lines)}, tmp_path / "city.pth")
    spec = source_from_model(tmp_path / "city.pth").spec
    assert spec.labels == CITYSCAPES_LABELS
    assert (spec.input.width, spec.input.height) == (2048, 1024)
    assert spec.licence == "LicenseRef-NVIDIA-non-commercial"
    torch.save({"state_dict": golden_state(lines), "meta": {"CLASSES": CITYSCAPES_LABELS.names}}, tmp_path / "city.pth")
    assert source_from_model(tmp_path / "city.pth").spec.labels == CITYSCAPES_LABELS


@pytest.mark.parametrize("classes", [1, 256])
def test_a_number_of_logits_that_tells_nothing_apart_is_refused(theirs: Theirs, tmp_path: Path, classes: int) -> None:
    state = safetensors.load_file(weights_path(theirs.folder))
    state["decode_head.classifier.weight"] = torch.zeros(classes, 32, 1, 1)
    torch.save(state, tmp_path / "net.pth")
    with pytest.raises(MismatchError) as caught:
        adoption_from_file(tmp_path / "net.pth")
    assert f"{classes} logits" in caught.value.message


def test_right_names_with_odd_shapes_are_refused(theirs: Theirs, tmp_path: Path) -> None:
    state = safetensors.load_file(weights_path(theirs.folder))
    torch.save({**state, "decode_head.classifier.weight": torch.tensor(1.0)}, tmp_path / "net.pth")
    with pytest.raises(MismatchError, match="Hugging Face SegFormer"):
        adoption_from_file(tmp_path / "net.pth")


def test_names_of_another_number_are_refused(theirs: Theirs, tmp_path: Path) -> None:
    path = changed(theirs, tmp_path / "fewer", id2label={"0": "road", "1": "car"})
    with pytest.raises(MismatchError, match="5 classes"):
        adoption_from_file(path)


@pytest.mark.parametrize(("key", "value"), [("num_attention_heads", [1, 2, 4, 8]), ("hidden_act", "relu")])
def test_what_shapes_do_not_tell_is_read_in_the_config(theirs: Theirs, tmp_path: Path, key: str, value: Any) -> None:
    with pytest.raises(MismatchError) as caught:
        adoption_from_file(changed(theirs, tmp_path / "other", **{key: value}))
    assert f"{key} {value}" in caught.value.message


def test_a_size_that_the_network_does_not_take_names_the_nearest(theirs: Theirs) -> None:
    with pytest.raises(SizeError) as caught:
        source_from_model(theirs.folder, (100, 64))
    assert caught.value.hint == "use 96x64 or 128x64"


def test_labels_are_not_for_weights_that_name_their_classes(tiny_weights: Path, tmp_path: Path) -> None:
    with pytest.raises(MismatchError):
        source_from_model(tiny_weights, labels=tmp_path / "labels.txt")


def test_a_model_is_named_once(run: Run) -> None:
    done = run("export", "bisenetv2-street", "--weights", "net.pth")
    assert done.code == 2
    assert "bisenetv2-street and net.pth" in done.lines("error")[0]


def test_an_unknown_checkpoint_says_some_of_its_keys(run: Run, tmp_path: Path) -> None:
    torch.save({"stem.weight": torch.ones(1)}, tmp_path / "mine.pth")
    for command in ("export", "convert"):
        done = run(command, tmp_path / "mine.pth", "-o", tmp_path / "out")
        assert done.code == 2
        (error,) = done.lines("error")
        assert done.error_code == "ES-FORMAT-CHECKPOINT"
        assert error.endswith(f"{tmp_path}/mine.pth has 1 tensors such as stem.weight")
        assert not (tmp_path / "out").exists()


def test_weights_that_are_not_finite_leave_no_onnx(theirs: Theirs, run: Run, tmp_path: Path) -> None:
    state = safetensors.load_file(weights_path(theirs.folder))
    state["decode_head.classifier.bias"] *= float("nan")
    torch.save(state, tmp_path / "nan.pth")
    done = run("export", tmp_path / "nan.pth", "--size", "64x32", "-o", tmp_path / "out")
    assert done.code == 2
    assert done.lines("error") == ["the torch module gives values that are not finite"]
    assert list((tmp_path / "out").iterdir()) == []


def test_live_names_of_transformers_are_another_thing(theirs: Theirs, tmp_path: Path) -> None:
    live = theirs.network.state_dict()
    if "segformer.encoder.block.0.0.layer_norm_1.weight" in live:
        pytest.skip("this transformers calls its live modules as its files do")
    torch.save(live, tmp_path / "live.pth")
    with pytest.raises(FormatError):
        source_from_model(tmp_path / "live.pth")


def test_real_checkpoint_of_the_first_enet_is_read_without_the_counters_it_lacks(edgeseg_data: Path) -> None:
    spec = source_from_model(edgeseg_data / "checkpoints" / "enet_camvid.pth").spec
    assert (spec.family, spec.variant, len(spec.labels)) == ("enet", "overlapping", 12)
    assert (spec.input.width, spec.input.height, spec.input.std) == (480, 360, (1.0, 1.0, 1.0))


def test_real_checkpoint_of_another_network_is_refused(edgeseg_data: Path) -> None:
    with pytest.raises(FormatError) as caught:
        source_from_model(edgeseg_data / "checkpoints" / "enet_cityscapes.pth")
    assert "edgeseg adopt model.onnx" in caught.value.hint
