"""`edgeseg stream` of cameras and run files as a user types it."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from small_cli import Run, runner
from small_onnx import street_onnx

from edgeseg.commands import stream as stream_command
from edgeseg.video import sink_jsonl
from edgeseg.video.address import Address
from edgeseg.video.sink_jsonl import JsonLinesSink
from edgeseg.video.source import SourceInfo

PATIENCE_SECONDS = 60.0  # far more than this takes: only a hang reaches it
STREET = "test://street?size=96x64&fps=30&frames=20&live=1"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Runs commands in an empty folder. No frame is too old because the machine is busy."""
    monkeypatch.setattr("edgeseg.live.stream.RunningStream.is_too_old", lambda stream, frame: False)
    monkeypatch.chdir(tmp_path)
    return runner(monkeypatch, capfd)


@pytest.fixture
def model(run: Run, tmp_path: Path) -> str:
    """The name of a small ONNX in the folder."""
    return street_onnx(tmp_path).path.name


@pytest.fixture
def refused() -> Iterator[str]:
    """The URL of a port that refuses connections."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"rtsp://admin:s3cret@127.0.0.1:{bound.getsockname()[1]}/stream"


def test_a_live_source_ends_with_a_report(run: Run, model: str) -> None:
    data = run("stream", STREET, model, "-o", "null", "--json").json()
    (stream,) = data["streams"]
    assert (stream["name"], stream["uri"], stream["state"]) == ("stream", "test://street", "ended")
    assert (stream["width"], stream["height"]) == (96, 64)
    assert 0 < stream["frames"] <= 20
    assert stream["frames"] + stream["dropped"] == 20
    assert data["frames"] == stream["frames"] == stream["latency"]["total"]["n"]
    assert data["outputs"] == ["null"]
    assert not data["interrupted"]


def test_as_many_frames_as_asked_for(run: Run, model: str) -> None:
    done = run(
        "stream", STREET.replace("frames=20", "loop=1"), model, "-o", "out.mp4", "-o", "out.jsonl", "--frames", 5
    )
    assert done.code == 0, done.err
    assert len(Path("out.jsonl").read_text().splitlines()) == 5
    assert done.lines("wrote") or "wrote out.mp4" in done.err
    assert "stream" in done.out


def run_file(*lines: str) -> str:
    """A run file of two streams with further lines at its top."""
    text = "\n".join(lines) + "\n"
    for name in ("front", "back"):
        text += f'[streams.{name}]\nsource = "{STREET}"\noutput = "{name}.jsonl"\n'
    Path("run.toml").write_text(text)
    return "run.toml"


def test_a_run_file_runs_its_streams(run: Run, model: str) -> None:
    data = run("stream", run_file(f'model = "{model}"', "max_age = 5"), "--json").json()
    assert [stream["name"] for stream in data["streams"]] == ["front", "back"]
    for stream in data["streams"]:
        lines = [json.loads(line) for line in Path(f"{stream['name']}.jsonl").read_text().splitlines()]
        assert len(lines) + stream["unwritten"] == stream["frames"] > 0
        assert stream["state"] == "ended"
    assert data["outputs"] == ["front.jsonl", "back.jsonl"]


def test_the_table_has_a_row_for_each_stream(run: Run, model: str) -> None:
    done = run("stream", run_file(f'model = "{model}"'))
    assert done.code == 0
    rows = [line.split() for line in done.out.splitlines() if line.strip()]
    assert [row[0] for row in rows[-2:]] == ["front", "back"]


def test_a_run_file_states_model_and_outputs_itself(run: Run, model: str) -> None:
    path = run_file(f'model = "{model}"')
    refused = ((model,), ("--output", "null"), ("--device", "auto"), ("--max-age", 1), ("--legend",))
    for words in refused:
        done = run("stream", path, *words)
        assert (done.code, done.error_code) == (2, "ES-MISMATCH-OPTIONS")
        assert (words[0] if words[0] != model else "model") in done.lines("error")[0]


def test_options_of_one_run_may_stand_beside_a_run_file(run: Run, model: str) -> None:
    words = ("--frames", 1, "--skip-errors", "--overwrite", "--log-json", "--fail-fast", "--json")
    assert run("stream", run_file(f'model = "{model}"'), *words).json()["frames"] == 2


def test_an_error_of_a_run_file_has_its_line(run: Run, model: str) -> None:
    done = run("stream", run_file(f'model = "{model}"', "opacity = 3"))
    assert (done.code, done.error_code) == (2, "ES-FORMAT-RUN")
    assert "run.toml, line 2: opacity" in done.err


@pytest.mark.parametrize(
    ("before", "after", "line", "code"),
    [
        ('source = "test:', 'source = "tset:', 3, "ES-NAME"),
        ("front.jsonl", "front.jsnl", 4, "ES-NAME"),
        ("\n[streams.front]", '\nevents = "kafka://host/topic"\n[streams.front]', 2, "ES-FORMAT-EVENTS"),
        ("\n[streams.front]", '\npage = "https://127.0.0.1"\n[streams.front]', 2, "ES-FORMAT-OPTION"),
        ("\n[streams.front]", '\npage = "http://127.0.0.1?tokn=1"\n[streams.front]', 2, "ES-NAME"),
    ],
)
def test_a_wrong_value_has_its_line_before_the_model_is_opened(
    run: Run, before: str, after: str, line: int, code: str
) -> None:
    if "page" in after:
        pytest.importorskip("uvicorn")
    text = Path(run_file('model = "none.onnx"')).read_text()
    assert before in text
    Path("run.toml").write_text(text.replace(before, after, 1))
    done = run("stream", "run.toml")
    assert (done.code, done.error_code) == (2, code)
    assert done.lines("error")[0].startswith(f"run.toml, line {line}: ")


@pytest.mark.parametrize("name", ["street.onnx", "bisenetv2-street"])
def test_a_class_that_the_model_lacks_has_its_line(
    run: Run, model: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name != model:  # weights state their classes, and a conversion of them may take minutes
        monkeypatch.setattr(stream_command, "segmenter_of", lambda *_: pytest.fail("the model was opened"))
    text = Path(run_file(f'model = "{name}"')).read_text()
    Path("run.toml").write_text(text + 'triggers = [{class = "Pedestrain"}]\n')
    done = run("stream", "run.toml")
    assert (done.code, done.error_code) == (2, "ES-NAME")
    assert done.lines("error")[0].startswith("run.toml, line 8: ")


def test_outputs_that_share_a_file_are_refused_before_the_model_is_opened(run: Run, model: str) -> None:
    path = run_file('model = "none.onnx"')
    Path(path).write_text(Path(path).read_text().replace("back.jsonl", "front.jsonl"))
    done = run("stream", path)
    assert (done.code, done.error_code) == (2, "ES-FILE-SAME")


def test_events_are_json_lines_on_stderr_and_in_a_file(run: Run, model: str) -> None:
    pytest.importorskip("uvicorn")
    outputs = ("-o", "out.mp4", "-o", "http://127.0.0.1:0")
    done = run("stream", STREET, model, *outputs, "--log-json", "--events", "events.jsonl", "--json")
    assert done.code == 0
    lines = [json.loads(line) for line in done.err.splitlines()]
    notes = [line["message"].partition(" ")[0] for line in lines if line["kind"] == "note"]
    assert notes == ["page:", "wrote"]
    printed = [line for line in lines if line["kind"] != "note"]
    written = [json.loads(line) for line in Path("events.jsonl").read_text().splitlines()]
    assert printed == written
    assert [(event["stream"], event["kind"], event["state"]) for event in printed] == [
        ("stream", "state", "live"),
        ("stream", "state", "ended"),
    ]


def test_events_are_lines_of_text_without_log_json(run: Run, model: str) -> None:
    done = run("stream", STREET, model, "-o", "null")
    assert any(line.endswith("stream: live frames arrive") for line in done.err.splitlines())


def test_an_unknown_observer_is_refused(run: Run, model: str) -> None:
    done = run("stream", STREET, model, "-o", "null", "--events", "kafka://host/topic")
    assert (done.code, done.error_code) == (2, "ES-FORMAT-EVENTS")


def test_fail_fast_ends_with_the_error_of_the_first_connection(run: Run, model: str, refused: str) -> None:
    done = run("stream", refused, model, "-o", "null", "--fail-fast")
    assert (done.code, done.error_code) == (2, "ES-SOURCE-REFUSED")
    assert "s3cret" not in done.out + done.err


def test_fail_fast_names_the_camera_that_is_not_there(run: Run, model: str) -> None:
    done = run("stream", "camera:97", model, "-o", "null", "--fail-fast")
    assert (done.code, done.error_code) == (2, "ES-SOURCE-NOT-FOUND")
    assert "camera:97" in done.lines("error")[0]


TWO_PAGES = ("-o", "http://127.0.0.1:0?token=s3cret-token", "-o", "http://127.0.0.1:1?token=s3cret-token")


@pytest.mark.parametrize("words", [("rtsp://admin:s3cret@127.0.0.1:9/cam?key=s3cret",), (STREET, "x", *TWO_PAGES)])
def test_no_hint_repeats_a_password(run: Run, words: tuple[str, ...]) -> None:
    done = run("stream", *words)
    assert done.code == 2
    assert done.lines("hint")
    assert "s3cret" not in done.out + done.err


@pytest.mark.parametrize("source", [STREET, STREET.replace("&live=1", "")])
def test_the_outputs_of_a_report_have_no_password(run: Run, model: str, source: str) -> None:
    done = run("stream", source, model, "-o", "rtmp://127.0.0.1:9/live/s3cret?token=s3cret", "-o", "null", "--json")
    assert json.loads(done.out)["outputs"] == ["rtmp://127.0.0.1:9/live/***?***", "null"]
    assert "s3cret" not in done.out + done.err


def test_a_dead_camera_is_waited_for_until_ctrl_c(run: Run, model: str, refused: str) -> None:
    Path("run.toml").write_text(
        f'model = "{model}"\nevents = "events.jsonl"\n'
        f'[streams.dead]\nsource = "{refused}"\n[streams.good]\nsource = "{STREET}"\noutput = "good.jsonl"\n'
    )

    def interrupt() -> None:
        until = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < until:
            text = Path("events.jsonl").read_text() if Path("events.jsonl").exists() else ""
            if "ended" in text and "REFUSED" in text:
                break
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    waiting = threading.Thread(target=interrupt)
    waiting.start()
    done = run("stream", "run.toml", "--log-json", "--json")
    waiting.join()
    data = done.json()
    assert data["interrupted"]
    dead, good = data["streams"]
    assert (dead["frames"], dead["width"], dead["event"]["code"]) == (0, 0, "ES-SOURCE-REFUSED")
    assert dead["reconnects"] >= 1
    assert len(Path("good.jsonl").read_text().splitlines()) + good["unwritten"] == good["frames"] > 0
    lost = [json.loads(line) for line in done.err.splitlines() if '"lost"' in line]
    assert (lost[0]["stream"], lost[0]["code"]) == ("dead", "ES-SOURCE-REFUSED")
    assert 0 <= lost[0]["retry_seconds"] <= 0.5
    assert "s3cret" not in done.out + done.err + Path("events.jsonl").read_text()


def test_a_sink_that_fails_gives_exit_code_2_and_the_others_are_complete(
    run: Run, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def torn(self: JsonLinesSink, result: object) -> bool:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(JsonLinesSink, "_write", torn)
    done = run("stream", STREET, model, "-o", "out.jsonl", "-o", "out.mp4", "--log-json")
    assert done.code == 2
    failures = [json.loads(line) for line in done.err.splitlines() if '"sink"' in line]
    assert [(failure["code"], failure["stream"]) for failure in failures] == [("ES-SINK", "stream")]
    assert "wrote out.mp4" in done.err


def test_a_sink_that_does_not_open_any_more_takes_no_other_with_it(
    run: Run, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opens = [sink_jsonl.sink_from_address]  # once: to check it before the model is opened

    def open_once(address: Address, info: SourceInfo | None) -> JsonLinesSink:
        if opens:
            return opens.pop()(address, info)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(sink_jsonl, "sink_from_address", open_once)
    done = run("stream", STREET, model, "-o", "out.jsonl", "-o", "out.mp4", "--log-json")
    assert done.code == 2
    failures = [json.loads(line) for line in done.err.splitlines() if '"sink"' in line]
    assert [(failure["code"], "out.jsonl" in failure["message"]) for failure in failures] == [("ES-SINK", True)]
    assert "wrote out.mp4" in done.err


@pytest.fixture
def torn_folder(run: Run) -> str:
    """The name of a folder with a good image, a torn one and a good one."""
    Path("in").mkdir()
    for index in range(3):
        cv2.imwrite(f"in/{index}.png", np.zeros((64, 96, 3), np.uint8))
    Path("in/1.png").write_bytes(b"torn")
    return "in"


def test_a_stream_that_ended_by_an_error_beside_others_gives_exit_code_2(
    run: Run, model: str, torn_folder: str
) -> None:
    text = Path(run_file(f'model = "{model}"')).read_text()
    Path("run.toml").write_text(text.replace(f'source = "{STREET}"', f'source = "{torn_folder}"', 1))
    done = run("stream", "run.toml", "--json")
    assert done.code == 2
    data = json.loads(done.out)
    assert [failure["stream"] for failure in data["failures"]] == ["front"]
    assert data["streams"][1]["frames"] > 0


def test_what_a_recording_of_a_run_file_lost_is_reported(run: Run, model: str, torn_folder: str) -> None:
    text = f'model = "{model}"\n[streams.a]\nsource = "{torn_folder}"\noutput = ["a.jsonl"]\nweight = 1\n'
    Path("run.toml").write_text(text + f'[streams.b]\nsource = "{STREET}"\n')
    done = run("stream", "run.toml", "--json", "--skip-errors")
    lost, nothing = done.json()["streams"]
    assert ([loss["code"] for loss in lost["losses"]], nothing["losses"]) == (["ES-SOURCE-SKIPPED"], [])
    assert len(done.lines("warning")) == 1
