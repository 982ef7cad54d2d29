"""`edgeseg stream` as a user types it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from small_cli import Run, runner
from small_clips import make_clip
from small_onnx import float_onnx, street_onnx

from edgeseg.commands import stream as stream_command
from edgeseg.commands.terminal import ProgressLines
from edgeseg.errors import UnavailableError
from edgeseg.video.sink import open_sink
from edgeseg.video.sink_jsonl import JsonLinesSink
from edgeseg.video.source import open_source
from edgeseg.video.synthetic_source import SyntheticSource


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Runs commands in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return runner(monkeypatch, capfd)


@pytest.fixture
def model(run: Run, tmp_path: Path) -> str:
    """The name of a small float ONNX in the folder."""
    return street_onnx(tmp_path).path.name


def test_stream_writes_masks_json_lines_and_a_video_at_once(run: Run, model: str) -> None:
    outputs = ("-o", "masks/", "-o", "out.jsonl", "-o", "out.mp4")
    done = run("stream", "test://street?size=96x64&frames=3", model, *outputs)
    assert [line.removeprefix("wrote ") for line in done.err.splitlines() if line.startswith("wrote ")] == [
        "masks",
        "out.jsonl",
        "out.mp4",
    ]
    lines = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    assert [line["index"] for line in lines] == [0, 1, 2]
    for line in lines:
        assert line["size"] == [64, 96]
        assert sum(line["shares"].values()) == pytest.approx(1)
        counts = {name: sum(rle["counts"][1::2]) / (64 * 96) for name, rle in line["rle"].items()}
        assert counts == {name: share for name, share in line["shares"].items() if share}
    masks = sorted(path.name for path in Path("masks").iterdir())
    assert masks == ["000000.png", "000001.png", "000002.png"]
    assert len(list(open_source("out.mp4"))) == 3


def test_stream_says_percent_as_eval_does(run: Run, model: str) -> None:
    words = ("stream", "test://street?size=96x64&frames=2", model, "-o", "null")
    miou = run(*words, "--json").json()["miou"]
    assert f" {100 * miou:.2f}" in run(*words).out


def test_nothing_is_said_to_be_written_where_no_frame_came(
    run: Run, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SyntheticSource, "_frames", lambda self: (frame for frame in ()))
    done = run("stream", "test://street?size=96x64", model, "-o", "out.mp4")
    assert "wrote" not in done.err
    assert not Path("out.mp4").exists()


def images(folder: str, count: int = 3) -> dict[str, bytes]:
    """Images with names of their own, and their bytes."""
    Path(folder).mkdir()
    for index in range(count):
        cv2.imwrite(f"{folder}/photo-{index}.png", np.full((64, 96, 3), 50 * index, np.uint8))
    return bytes_of(folder)


def bytes_of(folder: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


@pytest.mark.parametrize("extra", [(), ("--overwrite",)])
@pytest.mark.parametrize("output", ["in/", "images:in/", "in/photo-%d.png", "./in"])
def test_the_images_that_are_read_are_never_overwritten(run: Run, model: str, output: str, extra: tuple[str]) -> None:
    before = images("in")
    assert run("stream", "in", model, "-o", output, *extra).code == 2
    assert bytes_of("in") == before


@pytest.mark.parametrize("extra", [(), ("--overwrite",)])
def test_the_video_that_is_read_is_never_overwritten(run: Run, model: str, extra: tuple[str], tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4")
    before = clip.read_bytes()
    for output in ("clip.mp4", str(clip), "link.mp4"):
        if output == "link.mp4":
            Path(output).symlink_to(clip)
        done = run("stream", "clip.mp4", model, "-o", output, *extra)
        assert (done.code, done.error_code) == (2, "ES-FILE-SAME")
    assert clip.read_bytes() == before


@pytest.mark.parametrize("output", ["out.mp4", "out.jsonl", "masks/", "images:masks/", "masks/%d.png"])
def test_an_output_that_is_there_needs_overwrite(run: Run, model: str, output: str) -> None:
    words = ("stream", "test://street?size=96x64&frames=1", model, "-o", output)
    assert run(*words).code == 0
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    refused = run(*words)
    assert refused.code == 2
    assert "--overwrite" in "".join(refused.lines("hint"))
    assert {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()} == before
    assert run(*words, "--overwrite").code == 0


def test_one_image_in_is_one_image_out(run: Run, model: str) -> None:
    images("in", 1)
    assert run("stream", "in/photo-0.png", model, "-o", "out.png", "-o", "masks:mask.png").code == 0
    assert cv2.imread("out.png").shape == (64, 96, 3)
    assert cv2.imread("mask.png").shape == (64, 96, 3)


def test_a_folder_of_masks_keeps_the_names_of_the_images(run: Run, model: str) -> None:
    images("in")
    assert run("stream", "in", model, "-o", "masks/").code == 0
    assert sorted(bytes_of("masks")) == ["photo-0.png", "photo-1.png", "photo-2.png"]


@pytest.mark.parametrize("output", ["out.mp5", "out.mp4?encoder=mpeg5", "images:out/%d.xyz", "out.png", "out/xyz"])
@pytest.mark.parametrize("source", ["test://street?size=96x64", "camera:0"])
def test_a_wrong_output_shows_before_the_model_is_opened(
    run: Run, model: str, output: str, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_command, "segmenter_of", lambda *_: pytest.fail("the model was opened"))
    assert run("stream", source, model, "-o", output).code == 2


@pytest.mark.parametrize("size", ["1x1", "2x3", "7x5", "161x97"])
@pytest.mark.parametrize("ending", ["mp4", "mkv", "avi", "webm"])
def test_every_size_makes_a_video(run: Run, model: str, size: str, ending: str) -> None:
    width, height = (int(side) for side in size.split("x"))
    cv2.imwrite("photo.png", np.full((height, width, 3), 50, np.uint8))
    done = run("stream", "photo.png", model, "-o", f"out.{ending}")
    assert done.code == 0, done.err
    with open_source(f"out.{ending}") as written:
        (frame,) = written
    assert (frame.width, frame.height) == (width + width % 2, height + height % 2)


LIMITED = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
sys.argv = ["edgeseg", *sys.argv[1:]]
from edgeseg.cli import main
main()
"""


@pytest.mark.skipif(not hasattr(os, "posix_spawn"), reason="limits and signals as POSIX has them")
@pytest.mark.parametrize("output", ["out.mp4", "out.mkv"])
def test_a_full_disk_keeps_what_was_written(model: str, output: str, tmp_path: Path) -> None:
    """A limit on the size of files stands in for the disk: writing fails in the same way."""
    words = ["stream", "test://street?size=320x192&frames=200", model, "-o", output]
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, *words], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert 5 < len(list(open_source(tmp_path / output))) < 200
    assert list(tmp_path.glob("*partial*")) == []


@pytest.mark.skipif(not hasattr(os, "posix_spawn"), reason="signals as POSIX has them")
def test_what_kill_9_leaves_can_be_played(model: str, tmp_path: Path) -> None:
    words = ["stream", "test://street?size=320x192", model, "-o", "out.mp4"]
    process = subprocess.Popen([sys.executable, "-m", "edgeseg.cli", *words], cwd=tmp_path, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    try:
        while not any(path.stat().st_size > 300_000 for path in tmp_path.glob("out.partial-*.mp4")):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        process.kill()
        process.wait()
    (partial,) = tmp_path.glob("out.partial-*.mp4")
    assert len(list(open_source(partial))) > 5  # the last packet may be cut


def test_unreadable_images_can_be_left_out(run: Run, model: str) -> None:
    images("in")
    Path("in/photo-1.png").write_bytes(b"torn")
    assert run("stream", "in", model, "-o", "masks/").code == 2
    done = run("stream", "in", model, "-o", "masks/", "--skip-errors", "--overwrite")
    assert (done.code, len(done.lines("warning"))) == (0, 1)
    assert "1 of 3 images were skipped" in done.err
    assert sorted(bytes_of("masks")) == ["photo-0.png", "photo-2.png"]


def test_verbose_says_what_was_opened(model: str, tmp_path: Path) -> None:
    words = ["-v", "stream", "test://street?size=96x64&frames=1", model, "-o", "null", "--device", "cpu"]
    done = subprocess.run(
        [sys.executable, "-m", "edgeseg", *words], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "device cpu" in done.stderr
    assert "96x64 at 25 fps" in done.stderr


def test_without_a_terminal_long_tasks_say_where_they_stand(capsys: pytest.CaptureFixture[str]) -> None:
    times = iter([0.0, 11.0, 12.0, 20.0, 29.0, 35.0])
    show = ProgressLines(lambda: next(times))
    for done in (1, 2, 3):
        show("stream", done, None)
    for done in (0, 1, 2):
        show("evaluate", done, 2)
    assert capsys.readouterr().err == "stream: 2\n"  # "evaluate" ended in time


@pytest.mark.parametrize(
    "outputs",
    [("a.mp4", "./a.mp4"), ("a.jsonl", "a.jsonl"), ("out/", "images:out/"), ("out/", "out/%06d.png"), ("m/", "m/")],
)
def test_two_outputs_never_share_a_place(run: Run, model: str, outputs: tuple[str, str]) -> None:
    words = ("stream", "test://street?size=96x64&frames=1", model, "-o", outputs[0], "-o", outputs[1])
    done = run(*words)
    assert (done.code, "the same place" in done.err) == (2, True)


def test_two_patterns_may_share_a_folder(run: Run, model: str) -> None:
    words = ("stream", "test://street?size=96x64&frames=1", model, "-o", "out/a-%d.png", "-o", "masks:out/b-%d.png")
    assert run(*words).code == 0
    assert sorted(bytes_of("out")) == ["a-0.png", "b-0.png"]


@pytest.mark.parametrize("output", ["out.webm?encoder=libx264", "out.mp4?encoder=libvpx"])
def test_an_encoder_that_the_file_does_not_hold_is_refused_at_once(run: Run, model: str, output: str) -> None:
    with pytest.raises(UnavailableError) as caught:
        open_sink(output)
    assert caught.value.code == "ES-ENCODER"
    assert run("stream", "test://street?size=96x64", model, "-o", output).code == 2


def test_a_model_of_other_classes_is_not_judged_on_the_street(run: Run, tmp_path: Path) -> None:
    other = float_onnx(tmp_path).path.name
    assert run("stream", "test://street?size=96x64&frames=1", other, "-o", "null", "--json").json()["miou"] is None


def test_a_legend_is_drawn_on_overlays_alone(run: Run, model: str) -> None:
    words = ("stream", "test://street?size=640x360&frames=1", model)
    for name, extra in (("without", ()), ("with", ("--legend",))):
        outputs = ("-o", f"{name}.png", "-o", f"masks:{name}-mask.png", "-o", f"{name}.jsonl")
        assert run(*words, *outputs, *extra).code == 0
    changed = (cv2.imread("with.png") != cv2.imread("without.png")).any(2)
    assert changed[:60, :60].mean() > 0.5
    assert not changed[:, 256:].any()
    assert Path("with-mask.png").read_bytes() == Path("without-mask.png").read_bytes()
    lines = [json.loads(Path(f"{name}.jsonl").read_text()) for name in ("with", "without")]
    assert lines[0]["rle"] == lines[1]["rle"]


@pytest.mark.parametrize("method", ["_write", "close"])
def test_an_output_that_fails_gives_exit_code_2_and_the_others_are_complete(
    run: Run, model: str, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    whole = getattr(JsonLinesSink, method)

    def torn(self: JsonLinesSink, *words: object) -> None:
        whole(self, *words)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(JsonLinesSink, method, torn)
    done = run("stream", "test://street?size=96x64&frames=4", model, "-o", "out.jsonl", "-o", "out.mp4", "--json")
    assert done.code == 2
    (failure,) = json.loads(done.out)["failures"]
    assert (failure["code"], "out.jsonl" in failure["message"]) == ("ES-SINK", True)
    assert len(done.lines("warning")) == 1
    assert len(list(open_source("out.mp4"))) == 4
