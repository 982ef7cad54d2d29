"""`edgeseg train` as it is typed: what it leaves, how it goes on, and each error that a user can cause."""

from __future__ import annotations

import csv
import dataclasses
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from small_cli import Done, Run, runner

torch = pytest.importorskip("torch")

from edgeseg.cli import main  # noqa: E402
from edgeseg.train.config import TrainConfig  # noqa: E402
from edgeseg.train.loop import Trainer  # noqa: E402
from edgeseg.train.run import TrainingRun  # noqa: E402
from edgeseg.weights.file import header_from_weights, spec_from_weights, state_from_weights  # noqa: E402

STREET = "street:?seed=1&scenes=2&frames=2&size=96x64"
VAL = "street:?seed=50&frames=2&size=96x64"
NET = ("train", "bisenetv2", "--variant", "light", "--batch", "2", "--threads", "1", "--name", "tiny")
DRAW = TrainingRun._draw
SHORT = (*NET, "--data", STREET, "--steps", "4", "--every", "2", "--val-every", "4", "-o", "run")
KILLED = """
import os, signal, sys
from edgeseg.train.loop import Trainer
step = Trainer.train_step
def killed_in_step_4(self):
    if self.step == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return step(self)
Trainer.train_step = killed_in_step_4
from edgeseg.cli import main
sys.argv = ["edgeseg", *sys.argv[1:]]
main()
"""


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    return runner(monkeypatch, capfd)


@pytest.fixture(autouse=True)
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder to train in, without the images that a training draws; torch's threads are put back."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(TrainingRun, "_draw", lambda run: None)
    threads = torch.get_num_threads()
    yield tmp_path
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def short_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the training SHORT."""
    folder = tmp_path_factory.mktemp("short")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["edgeseg", *SHORT])
        with pytest.raises(SystemExit) as ended:
            main()
    assert ended.value.code == 0
    return folder / "run"


@pytest.fixture
def finished(short_folder: Path, desk: Path) -> Path:
    """A folder "run" in which SHORT is finished."""
    return Path(shutil.copytree(short_folder, desk / "run"))


def log_of(folder: str) -> list[dict[str, str]]:
    with Path(folder, "log.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def check_refusal(done: Done, message: str, hint: str) -> None:
    assert (done.code, done.out) == (2, "")
    assert message in "\n".join(done.lines("error")), done.err
    assert hint in "\n".join(done.lines("hint")), done.err
    assert len(done.lines("error")) == len(done.lines("hint")) == 1


def pairs(folder: Path, count: int = 2, size: tuple[int, int] = (64, 96), label: int = 3) -> str:
    """A small CamVid of noise."""
    for part in ("images", "labels"):
        (folder / "train" / part).mkdir(parents=True)
    for index in range(count):
        rgb = np.random.default_rng(index).integers(0, 255, (*size, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / "train" / "images" / f"{index}.png"), rgb)
        cv2.imwrite(str(folder / "train" / "labels" / f"{index}.png"), np.full(size, label, np.uint8))
    return f"camvid:{folder}?split=train"


def test_a_training_leaves_weights_a_log_and_images(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TrainingRun, "_draw", DRAW)
    done = run(*SHORT, "--val", VAL, "--val-every", "3", "--json")
    result = done.json()
    assert (result["steps"], result["images"], result["resumed_from"]) == (4, 8, 0)
    assert 0 <= result["val_miou"] <= 1
    assert result["best"]["val_miou"] >= result["val_miou"]
    files = ["checkpoint.pt", "curves.png", "log.csv", "samples.png", "tiny.md", "tiny.safetensors"]
    assert sorted(path.name for path in Path("run").iterdir()) == files
    rows = log_of("run")
    assert [row["step"] for row in rows] == ["2", "3", "4"]
    assert [bool(row["val_miou"]) for row in rows] == [False, True, True]
    assert float(rows[-1]["val_miou"]) == result["val_miou"]
    assert all(cv2.imread(f"run/{name}.png").shape[1] >= 900 for name in ("curves", "samples"))
    assert "next: edgeseg convert run/tiny.safetensors" in done.err
    assert f"next: edgeseg eval run/tiny.safetensors --data '{VAL}'" in done.err


@pytest.mark.parametrize(("crop", "said"), [("96x64", False), ("64x64", True)])
def test_a_crop_that_is_too_small_for_the_dilations_is_named(run: Run, crop: str, said: bool) -> None:
    data = "street:?seed=1&scenes=2&frames=1&size=192x160"
    net = ("train", "dabnet", "--variant", "tiny", "--batch", "2", "--threads", "1", "--name", "tiny")
    size = "192x160" if said else "96x64"  # at 96x64 the whole image is too small, and nothing else is ever seen
    done = run(*net, "--data", data, "--size", size, "--crop", crop, "--steps", "1", "-o", "run")
    assert done.code == 0
    warned = [line for line in done.lines("note") if "only meet padding" in line]
    assert len(warned) == said
    assert all("--crop 192x160" in line for line in warned)


def test_the_weights_are_for_deployment_and_hold_no_path(run: Run, desk: Path) -> None:
    uri = pairs(desk / "secret")
    assert run(*NET, "--data", uri, "--val", uri, "--steps", "1", "-o", "run").code == 0
    path = Path("run/tiny.safetensors")
    spec, header = spec_from_weights(path), header_from_weights(path)
    assert (spec.name, spec.family, spec.variant) == ("tiny", "bisenetv2", "light")
    assert (spec.input.width, spec.input.height) == (96, 64)
    assert not any(key.startswith("boosters") for key in state_from_weights(path))
    assert "secret" not in json.dumps(header)
    assert header["config"]["data"] == [["camvid:?split=train", 1.0]]
    assert header["config"]["balance"] == 0.4
    state = torch.load("run/checkpoint.pt", weights_only=True)
    assert set(state["metadata"]) >= {"data_sha256", "versions"}
    assert "torch" in state["metadata"]["versions"]
    assert state["config"]["data"] == ((uri, 1.0),)


@pytest.mark.slow
def test_the_val_miou_is_that_of_eval(run: Run) -> None:
    trained = run(*SHORT, "--val", VAL, "--json").json()
    words = ("eval", "run/tiny.safetensors", "--engine", "onnxruntime", "--precision", "fp32", "--data", VAL, "--json")
    # the weights are rounded to fp16, which moves single pixels of 2 x 96 x 64
    assert run(*words).json()["miou"] == pytest.approx(trained["val_miou"], abs=2e-3)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
def test_a_killed_training_resumes_and_ends_with_the_weights_of_an_unkilled_one(run: Run) -> None:
    words = (*NET, "--data", STREET, "--steps", "4", "--every", "2", "--val-every", "2", "--val", VAL, "--seed", "7")
    assert run(*words, "-o", "whole").code == 0
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, *words, "-o", "killed"], capture_output=True, text=True, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    assert torch.load("killed/checkpoint.pt", weights_only=True)["step"] == 2
    assert not Path("killed/tiny.safetensors").exists()
    again = run(*words, "-o", "killed")
    assert again.code == 0
    assert "resuming at step 2" in again.err
    assert Path("killed/tiny.safetensors").read_bytes() == Path("whole/tiny.safetensors").read_bytes()
    whole, resumed = (torch.load(f"{name}/checkpoint.pt", weights_only=True) for name in ("whole", "killed"))
    for part in ("network", "average"):
        assert all(torch.equal(value, resumed[part][key]) for key, value in whole[part].items())
    for column in ("step", "loss", "learning_rate", "val_miou"):
        assert [row[column] for row in log_of("killed")] == [row[column] for row in log_of("whole")]


def test_ctrl_c_saves_and_the_same_command_goes_on(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    step = Trainer.train_step

    def interrupted(trainer: Trainer) -> float:
        if trainer.step == 2:
            signal.raise_signal(signal.SIGINT)
        return step(trainer)

    monkeypatch.setattr(Trainer, "train_step", interrupted)
    words = (*NET, "--data", STREET, "--steps", "4", "--val-every", "4", "--seed", "3", "-o")
    done = run(*words, "run")
    assert done.code == 130
    assert "the same command resumes from run/checkpoint.pt" in done.err
    monkeypatch.setattr(Trainer, "train_step", step)
    again = run(*words, "run", "--json")
    assert again.json()["resumed_from"] == 3
    assert run(*words, "whole").code == 0
    assert Path("run/tiny.safetensors").read_bytes() == Path("whole/tiny.safetensors").read_bytes()
    assert [row["loss"] for row in log_of("run")] == [row["loss"] for row in log_of("whole")]


def test_ctrl_c_in_a_training_that_began_anew(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: Trainer) -> float:
        raise KeyboardInterrupt

    monkeypatch.setattr(Trainer, "train_step", interrupted)
    assert "the same command without --restart resumes from run/checkpoint.pt" in run(*SHORT, "--restart").err


def test_a_validation_that_ctrl_c_cut_short_is_made_good(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    import edgeseg.train.run as running

    validate = running.validate

    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    words = (*SHORT, "--val", VAL, "--val-every", "4")
    monkeypatch.setattr(running, "validate", interrupted)
    assert run(*words).code == 130
    assert [row["step"] for row in log_of("run")] == ["2"]
    monkeypatch.setattr(running, "validate", validate)
    result = run(*words, "--json").json()
    assert result["resumed_from"] == 4
    assert result["val_miou"] >= 0
    assert [row["step"] for row in log_of("run")] == ["2", "4"]
    assert all(row["loss"] for row in log_of("run"))


def test_a_finished_training_is_not_done_again(run: Run, finished: Path) -> None:
    before = Path("run/tiny.safetensors").read_bytes()
    Path("run/tiny.safetensors").unlink()
    assert run(*SHORT, "--json").json()["resumed_from"] == 4
    assert Path("run/tiny.safetensors").read_bytes() == before


def test_another_recipe_in_the_folder_is_refused_unless_it_begins_anew(run: Run, finished: Path) -> None:
    other = (*SHORT, "--ohem", "0.7", "--batch", "3")
    refusal = "run was begun with --batch 2, --loss cross_entropy; now --batch 3, --loss ohem"
    check_refusal(run(*other), refusal, "--restart")
    assert run(*other, "--restart", "--json").json()["resumed_from"] == 0


def test_the_losses_of_a_training_are_in_its_recipe(run: Run) -> None:
    first = (*SHORT, "--loss", "dice=0.5", "--loss", "ohem", "--class-weights", "median")
    assert run(*first).code == 0
    config = header_from_weights(Path("run/tiny.safetensors"))["config"]
    assert (config["loss"], config["class_weights"]) == (["ohem", "dice=0.5"], "median")
    same = (*SHORT, "--dice", "0.5", "--ohem", "0.7", "--class-weights", "median")  # shorter, and the same numbers
    assert run(*same, "--json").json()["resumed_from"] == 4
    check_refusal(run(*first, "--loss", "lovasz"), "--loss ohem --loss dice=0.5; now --loss ohem", "--restart")


@pytest.mark.parametrize(
    ("options", "message", "hint"),
    [
        (("--loss", "focall"), "unknown loss: focall", "focal"),
        (("--loss", "dice", "--dice", "2"), "the loss dice is given twice", "--loss dice=WEIGHT"),
        (("--loss", "focal?gamma=-1"), "gamma=-1 is not a number above 0", "gamma="),
        (("--class-weights", "mode"), "--class-weights: mode", "median"),
    ],
)
def test_mistakes_in_losses(run: Run, options: tuple[str, ...], message: str, hint: str) -> None:
    check_refusal(run(*SHORT, *options), message, hint)
    assert not Path("run").exists()


def test_a_teacher_is_part_of_the_recipe(run: Run) -> None:
    taught = (*SHORT, "--teacher", "bisenetv2-street")
    assert run(*taught).code == 0
    assert header_from_weights(Path("run/tiny.safetensors"))["config"]["teacher"] == "bisenetv2-street.safetensors"
    check_refusal(run(*SHORT), "; now no --teacher", "--restart")


def test_what_the_request_leaves_open_comes_from_the_checkpoint(run: Run) -> None:
    words = (*NET, "--data", STREET, "--minutes", "0.001", "-o", "run")
    first = run(*words, "--json").json()
    again = run(*words, "--json").json()
    assert first["steps"] == again["steps"] == again["resumed_from"] == 1
    check_refusal(
        run(*NET, "--data", STREET, "--minutes", "2", "-o", "run"),
        "with --minutes 0.001; now --minutes 2.0",
        "--restart",
    )


def test_a_warm_up_that_was_typed_is_not_passed_over(run: Run, finished: Path) -> None:
    state = torch.load("run/checkpoint.pt", weights_only=True)
    state["config"] |= {"minutes": 1.0, "steps": 100, "warm_up": 50}
    torch.save(state, "run/checkpoint.pt")
    words = (*NET, "--data", STREET, "--minutes", "1", "-o", "run")
    check_refusal(run(*words, "--warm-up", "5"), "with --warm-up 50; now --warm-up 5", "--restart")


def test_a_training_in_fp16_does_not_go_on_on_a_cpu(run: Run, finished: Path) -> None:
    state = torch.load("run/checkpoint.pt", weights_only=True)
    state["config"]["precision"] = "fp16"
    torch.save(state, "run/checkpoint.pt")
    check_refusal(run(*SHORT, "--device", "cpu"), "fp16 training", "--device cuda:0")


def test_what_is_followed_may_change_where_it_chooses_nothing(run: Run) -> None:
    words = (*NET, "--data", STREET, "--steps", "2", "-o")
    assert run(*words, "last", "--val", VAL, "--json").json()["best"]["val_miou"] >= 0
    assert run(*words, "last", "--json").json()["best"] is None
    best = (*words, "best", "--keep", "best", "--val")
    assert run(*best, VAL).code == 0
    assert run(*best, VAL).code == 0
    check_refusal(run(*best, STREET), "best was begun with --val street:?seed=50", "--restart")


def test_a_checkpoint_of_the_first_release_goes_on(run: Run, finished: Path) -> None:
    state = torch.load("run/checkpoint.pt", weights_only=True)
    new = {"gamma", "hue", "gain", "blur", "noise", "precision", "minutes", "val", "keep", "loss", "class_weights"}
    state["config"] = {key: value for key, value in state["config"].items() if key not in new}
    state["config"] |= {"ohem": 0.7, "dice": 0.5}
    state["step"] = 3
    torch.save({key: state[key] for key in ("network", "average", "optimizer", "step", "config")}, "run/checkpoint.pt")
    Path("run/log.csv").write_text("step,loss,learning_rate\n2,1.5,0.001\n4,1.25,0.001\n", encoding="utf-8")
    result = run(*SHORT, "--precision", "bf16", "--ohem", "0.7", "--loss", "dice=0.5", "--json").json()
    assert result["resumed_from"] == 3
    assert [row["step"] for row in log_of("run")] == ["2", "4"]
    assert log_of("run")[0] == {
        "step": "2", "loss": "1.5", "learning_rate": "0.001", "images_per_second": "", "val_miou": "",
    }  # fmt: skip


def test_the_data_may_move_and_may_not_change(run: Run, desk: Path) -> None:
    uri = pairs(desk / "here")
    words = (*NET, "--steps", "1", "-o", "run")
    assert run(*words, "--data", uri).code == 0
    (desk / "here").rename(desk / "there")
    moved = uri.replace("here", "there")
    assert run(*words, "--data", moved).code == 0
    cv2.imwrite(str(desk / "there/train/labels/0.png"), np.full((64, 96), 4, np.uint8))
    check_refusal(run(*words, "--data", moved), "in run was begun", "--restart")


def test_the_best_weights_are_kept_where_that_is_asked_for(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    import edgeseg.train.run as running

    class Judged:
        mious = iter([0.2, 0.6, 0.3, 0.4])

        def miou(self) -> float:
            return next(self.mious)

    monkeypatch.setattr(running, "validate", lambda *_, **__: Judged())
    words = (*SHORT, "--val", VAL, "--val-every", "1", "--keep", "best")
    done = run(*words, "--json")
    assert done.json()["best"] == {"step": 2, "val_miou": 0.6}
    assert done.json()["val_miou"] == 0.4
    assert "note: --keep best" in done.err
    kept = state_from_weights("run/tiny.safetensors")
    last = torch.load("run/checkpoint.pt", weights_only=True)["average"]
    assert not torch.equal(kept["head.2.weight"], last["head.2.weight"].half().float())
    Path("run/tiny.safetensors").unlink()
    gone = run(*words)
    assert (gone.code, gone.lines("error")) == (2, ["run/tiny.safetensors with the weights of step 2 is missing"])


def test_best_weights_that_ctrl_c_kept_from_being_written_are_written_later(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    import edgeseg.train.run as running

    write = running.write_weights

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    words = (*SHORT, "--val", VAL, "--keep", "best")
    monkeypatch.setattr(running, "write_weights", interrupted)
    assert run(*words).code == 130
    monkeypatch.setattr(running, "write_weights", write)
    assert run(*words, "--json").json()["best"]["step"] == 4
    assert Path("run/tiny.safetensors").exists()


def test_a_torn_row_of_the_log_is_passed_over(run: Run, finished: Path) -> None:
    rows = log_of("run")
    with Path("run/log.csv").open("ab") as file:
        file.write(b"1\xff\n1")  # of "12,..."
    assert run(*SHORT).code == 0
    assert log_of("run") == rows
    Path("run/log.csv").unlink()
    Path("run/log.csv").mkdir()
    check_refusal(run(*SHORT), "this is a folder, not a file: run/log.csv", "name a file in it")


def test_a_training_goes_on_from_weights_with_other_classes(run: Run, tiny_weights: Path, desk: Path) -> None:
    done = run("train", tiny_weights, "--data", STREET, "--steps", "1", "--batch", "2", "-o", "run", "--json")
    result = done.json()
    assert (result["name"], result["family"], result["licence"]) == (
        "bisenetv2-street-trained",
        "bisenetv2",
        "Apache-2.0",
    )
    config = header_from_weights(result["weights"])["config"]
    assert config["start"] == "tiny.safetensors"
    assert len(config["start_sha256"]) == 64


def test_a_loss_that_is_not_finite_stops_and_keeps_the_checkpoint(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = Trainer._batch

    def poisoned(trainer: Trainer, step: int) -> Any:
        images, labels = batch(trainer, step)
        return (images * float("nan") if step == 3 else images), labels

    monkeypatch.setattr(Trainer, "_batch", poisoned)
    done = run(*SHORT)
    assert done.code == 2
    assert done.lines("error") == ["the loss is nan at step 4, learning rate 0.000804"]
    assert "lower --learning-rate" in done.lines("hint")[0]
    state = torch.load("run/checkpoint.pt", weights_only=True)
    assert state["step"] == 2
    assert all(value.isfinite().all() for value in state["average"].values())


def test_a_checkpoint_that_is_none(run: Run) -> None:
    Path("run").mkdir()
    Path("run/checkpoint.pt").write_text("buy milk")
    check_refusal(run(*SHORT), "run/checkpoint.pt", "--restart")
    for config in ({}, 3):
        torch.save({"network": {}, "average": {}, "optimizer": {}, "step": 0, "config": config}, "run/checkpoint.pt")
        check_refusal(run(*SHORT), "run/checkpoint.pt", "--restart")
    config = {**dataclasses.asdict(TrainConfig("x", "bisenetv2", "light", (), (1, 1), (1, 1), 1)), "colours": 3}
    torch.save({"network": {}, "average": {}, "optimizer": {}, "step": 0, "config": config}, "run/checkpoint.pt")
    check_refusal(run(*SHORT), "colours", "pip install --upgrade edgeseg")


DATA = ("--data", STREET)
# what is typed behind the network; what the error says; what the hint says
WRONG: dict[str, tuple[tuple[str, ...], str, str]] = {
    "no data": (("--steps", "1"), "--data", "edgeseg train --help"),
    "no such data": (("--data", "camvid:nothing", "--steps", "1"), "no such folder: nothing", "check the path"),
    "no length": (DATA, "no duration", "--epochs 60, --steps 2000 and --minutes 30"),
    "two lengths": ((*DATA, "--steps", "2", "--epochs", "1"), "--steps and --epochs", "give one of"),
    "shares that do not match": (
        (*DATA, "--steps", "1", "--share", "1", "--share", "2"), "1 --data and 2 --share", "one --share for each",
    ),
    "no share at all": ((*DATA, "--steps", "1", "--share", "0"), "--share 0", "--share above 0"),
    "a share of all": ((*DATA, "--steps", "1", "--share", "inf"), "--share inf", "--share above 0"),
    "a scale without end": ((*DATA, "--steps", "1", "--scale", "1", "inf"), "--scale 1 inf", "--scale 0.5 2"),
    "minutes without end": ((*DATA, "--minutes", "inf"), "'--minutes'", "edgeseg train --help"),
    "epochs without end": ((*DATA, "--epochs", "inf"), "'--epochs'", "edgeseg train --help"),
    "a noise without end": ((*DATA, "--steps", "1", "--noise", "inf"), "'--noise'", "edgeseg train --help"),
    "a seed that torch does not take": ((*DATA, "--steps", "1", "--seed", f"{2**32}"), "'--seed'", "train --help"),
    "ranges that nothing is tuned in": (
        (*DATA, "--steps", "1", "--ranges", "a.json"), "--ranges", "add --qat",
    ),
    "a teacher's weight without a teacher": (
        (*DATA, "--steps", "1", "--distill", "2"), "--distill", "--teacher bisenet",
    ),
    "a teacher that is none": (
        (*DATA, "--steps", "1", "--teacher", "bisenetv2-stret"), "bisenetv2-stret", "bisenetv2-street",
    ),
    "a size that breaks the rule": (
        (*DATA, "--steps", "1", "--size", "100x64"), "bisenetv2 light does not take 100x64", "use 96x64 or 128x64",
    ),
    "a crop that breaks the rule": ((*DATA, "--steps", "1", "--crop", "70x64"), "does not take 70x64", "use 64x64"),
    "a crop that is too large": (
        (*DATA, "--steps", "1", "--crop", "256x64", "--scale", "0.5", "1.5"),
        "the crop 256x64 is larger than every image: 96x64 is scaled to at most 144x96", "--crop 96x64",
    ),
    "a scale from large to small": ((*DATA, "--steps", "1", "--scale", "2", "1"), "--scale 2 1", "0.5 2"),
    "a folder that cannot be made": ((*DATA, "--steps", "1", "-o", "notes.txt/run"), "cannot write to", "with -o"),
    "unknown keep": ((*DATA, "--steps", "1", "--keep", "bst"), "bst", "mean best?"),
    "best of nothing": ((*DATA, "--steps", "1", "--keep", "best"), "--keep best", "--val"),
    "unknown device": ((*DATA, "--steps", "1", "--device", "gpu"), "unknown device: gpu", "cuda:N"),
    "fp16 on a CPU": (
        (*DATA, "--steps", "1", "--device", "cpu", "--precision", "fp16"), "fp16 training", "bf16",
    ),
    "a name that is a path": ((*DATA, "--steps", "1", "--name", "a/b"), "'a/b'", "--name mine"),
    "nothing to see": (("--data", "camvid:void?split=train", "--steps", "1"), "no pixel has a class", "ignored"),
    "data with other classes": (
        (*DATA, "--data", "folder:mine", "--steps", "1"),
        "folder:? has 2 classes (grass, ...), and street:?", "the same classes",
    ),
    "val with other classes": (
        (*DATA, "--val", "folder:mine", "--steps", "1"), "2 classes (grass, ...), and street:?", "the same classes",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_each_error_says_what_is_wrong_and_what_to_type(
    run: Run, desk: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    Path("notes.txt").write_text("buy milk")
    words, message, hint = WRONG[case]
    if "folder:mine" in words:
        monkeypatch.setattr("edgeseg.train.recipe.open_dataset", with_grass)
        monkeypatch.setattr("edgeseg.train.prepare.open_dataset", with_grass)
    pairs(desk / "void", label=11)
    check_refusal(run(*NET, *words), message, hint)
    assert not Path("runs").exists() or [*Path("runs").rglob("*.*")] == []


def with_grass(uri: str) -> Any:
    """The data set of `uri`; one of two classes for "folder:mine"."""
    from edgeseg.datasets import open_dataset
    from edgeseg.labels import labels_from_names

    if uri != "folder:mine":
        return open_dataset(uri)
    return dataclasses.replace(open_dataset(STREET), name="folder:?", labels=labels_from_names(["grass", "sky"]))


def test_training_without_torch(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)  # makes its import fail
    check_refusal(run(*SHORT), "torch", "edgeseg[export]")
