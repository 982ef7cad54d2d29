"""`edgeseg adopt` as it is typed, and the real files that it is for."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from foreign_onnx import CLASSES, HEIGHT, UINT8, WIDTH, Net, plain
from small_cli import Run, runner
from small_onnx import frames

from edgeseg.datasets.labels import CAMVID_LABELS

IMAGENET = ("--mean", "0.485", "0.456", "0.406", "--std", "0.229", "0.224", "0.225")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Runs commands in a folder with a foreign ONNX, its labels and a few pictures."""
    monkeypatch.chdir(tmp_path)
    plain().save(Path("net.onnx"))
    Path("labels.txt").write_text("\n".join(f"thing {i}" for i in range(CLASSES)))
    Path("images").mkdir()
    for index, rgb in enumerate(frames(3)):
        cv2.imwrite(f"images/{index}.png", rgb)
    return runner(monkeypatch, capfd)


def test_a_foreign_onnx_becomes_an_engine(run: Run) -> None:
    done = run("adopt", "net.onnx", "--labels", "labels.txt", *IMAGENET, "--input", "rgb", "--licence", "MIT")
    assert done.code == 0, done.err
    assert done.lines("next") == ["edgeseg convert engines/net.onnx --images DIR"]
    for words in (
        ("colour order", "RGB", "--input"),
        ("classes", "5", "--labels"),
        ("agreement", "100.00 %"),
    ):
        assert any(all(word in line for word in words) for line in done.out.splitlines()), (words, done.out)
    words = ("--images", "images", "--precision", "int8", "--engine", "onnxruntime", "-o", "made")
    made = run("convert", "engines/net.onnx", *words, "--json").json()
    assert made["precision"] == "int8"
    assert made["licence"] == "MIT"
    assert made["agreement"]["labels"] >= 0.95  # the build's own gate


def test_its_json_has_the_spec_the_reasons_and_the_agreement(run: Run) -> None:
    words = ("--normalize", "MINUS1TO1", "--input", "BGR", "--name", "mine", "-o", "here", "--images", "images")
    made = run("adopt", "net.onnx", *words, "--json").json()
    assert made["onnx"] == str(Path("here/mine.onnx"))
    assert made["spec"]["input"]["color"] == "bgr"
    assert made["spec"]["input"]["std"] == [0.5, 0.5, 0.5]
    assert made["provenance"]["source"] == "net.onnx"
    assert made["agreement"]["frames"] == 3  # as many as there are images
    assert made["agreement"]["labels"] == 1.0
    assert made["warning"] is None
    assert ("colour order", "BGR") in [(fact["what"], fact["value"]) for fact in made["facts"]]


def test_classes_without_names_are_pointed_out(run: Run) -> None:
    words = ("adopt", "net.onnx", *IMAGENET, "--input", "rgb")
    (said,) = run(*words).lines("note")
    assert "--labels FILE" in said
    assert run(*words, "--labels", "labels.txt").lines("note") == []


def test_what_is_missing_is_asked_for_in_one_line(run: Run) -> None:
    done = run("adopt", "net.onnx")
    assert done.code == 2
    assert "net.onnx" in done.lines("error")[0]
    assert "--input rgb or --input bgr; add --mean R G B --std R G B, or --normalize" in done.lines("hint")[0]
    done = run("adopt", "net.onnx", "--input", "rgb", "--mean", "1", "2", "x", "--std", "1", "1", "1")
    assert done.lines("error") == ["--mean 1 2 x are not three numbers"]
    assert done.lines("hint") == ["for example: --mean 0.485 0.456 0.406"]
    assert run("adopt", "nothing.onnx").lines("error") == ["no such file: nothing.onnx"]
    assert not Path("engines").exists()


def blind(path: str, classes: int = CLASSES) -> None:
    """Write a network that sees class 1 everywhere."""
    net = Net(dtype=UINT8).body(classes).out((1, classes, HEIGHT // 4, WIDTH // 4))
    bias = max(name for name, values in net.constants.items() if values.shape == (classes,))
    net.constants[bias][1] += 1e6
    net.save(Path(path))


def test_one_class_alone_is_warned_about(run: Run) -> None:
    blind("blind.onnx")
    done = run("adopt", "blind.onnx", "--input", "rgb", "--images", "images")
    assert done.code == 0, done.err
    (warning,) = done.lines("warning")
    assert "class 1" in warning


def test_noise_says_nothing_of_the_normalisation(run: Run) -> None:
    blind("blind.onnx")
    done = run("adopt", "blind.onnx", "--input", "rgb")
    (warning,) = done.lines("warning")
    assert "normalisation" not in warning
    assert "noise" in warning
    assert "--images" in warning
    assert run("adopt", "blind.onnx", "--input", "rgb", "--json").json()["warning"] == warning


def test_a_network_of_the_streets_classes_is_checked_on_streets(run: Run) -> None:
    blind("blind.onnx", len(CAMVID_LABELS))
    Path("camvid.txt").write_text("\n".join(CAMVID_LABELS.names))
    done = run("adopt", "blind.onnx", "--input", "rgb", "--labels", "camvid.txt")
    (warning,) = done.lines("warning")
    assert warning.startswith("every pixel of 4 frames is ")


REAL = {
    "twinlitenet": ("--normalize", "unit", "--output", "drivable_area", "--output", "lanes", "--licence", "MIT"),
    "portrait_deeplab_nchw": ("--normalize", "minus1to1"),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "engine"),
    [
        ("twinlitenet", "onnxruntime"),
        ("portrait_deeplab_nchw", "openvino"),
        pytest.param("twinlitenet", "openvino", marks=pytest.mark.nightly),
        pytest.param("portrait_deeplab_nchw", "onnxruntime", marks=pytest.mark.nightly),
    ],
)
def test_a_real_file_goes_to_int8_and_video(run: Run, edgeseg_data: Path, name: str, engine: str) -> None:
    pytest.importorskip(engine)
    images = ("--images", edgeseg_data / "camvid/train/images")
    made = run("adopt", edgeseg_data / f"onnx/{name}.onnx", "--input", "rgb", *REAL[name], *images, "--json").json()
    assert made["agreement"]["labels"] >= 0.999  # float against float: only near-ties may differ
    assert made["agreement"]["logit_difference"] <= 1e-4
    assert len(made["agreement"]["classes"]) > 1
    words = ("--images", edgeseg_data / "camvid/train/images", "--limit", "16", "--precision", "int8")
    built = run("convert", made["onnx"], *map(str, words), "--engine", engine, "--json").json()
    assert built["layers"]["int8"] >= 50
    assert built["agreement"]["labels"] >= 0.9  # 0.94 to 0.99 were seen
    clip = edgeseg_data / "video/first_pts_1s.mp4"
    streamed = run("stream", clip, built["engine"], "-o", "overlay.mp4", "--json").json()
    assert streamed["frames"] > 0
    assert Path("overlay.mp4").stat().st_size > 0


@pytest.mark.slow
def test_the_road_is_found_on_a_highway(run: Run, edgeseg_data: Path) -> None:
    import av

    from edgeseg.segmenter import open_segmenter

    words = ("--input", "rgb", *REAL["twinlitenet"])
    made = run("adopt", edgeseg_data / "onnx/twinlitenet.onnx", *words, "--json").json()
    with av.open(str(edgeseg_data / "video/highway_960x540_25fps_h264.mp4")) as clip:
        rgb = next(clip.decode(video=0)).to_ndarray(format="rgb24")
    with open_segmenter(Path(made["onnx"])) as segmenter:
        mask = segmenter.segment(np.ascontiguousarray(rgb))
    assert mask.classes.names == ("background", "drivable_area", "lanes")
    top, bottom = mask.labels[: rgb.shape[0] // 3], mask.labels[rgb.shape[0] // 2 :]
    assert (top == 1).mean() < 0.01  # the sky is no road
    assert 0.3 < (bottom == 1).mean() < 0.9
    assert 0.001 < (bottom == 2).mean() < 0.1  # lane markings are thin
