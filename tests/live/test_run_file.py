"""A run file: every key, and every error with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeseg.capture.source import MAX_AGE_SECONDS
from edgeseg.errors import EdgeSegError
from edgeseg.live.run_file import RunConfig, StreamEntry, run_from_file
from edgeseg.spec import Precision, Tiles

FULL = """
# one box
model = "bisenetv2-camvid"
engine = "openvino"
precision = "INT8"
size = "1024x512"
device = "cpu"
threads = 2
tiles = "centre"
overlap = 64
opacity = 0.25
legend = true
max-age = 0.5
page = "http://127.0.0.1:8080"
events = ["events.jsonl", "mqtt://edge:${MQTT_PASSWORD}@broker/site"]

[streams.front]  # at the gate
source = "rtsp://admin:${CAMERA_PASSWORD}@10.0.0.8/s?a=$b"
output = ["front.mp4", "${HOME}/front.jsonl"]
weight = 2

[streams.back-door_2]
source = "camera:0"
output = "back.mp4"
"""
ENVIRONMENT = {"MQTT_PASSWORD": "m", "CAMERA_PASSWORD": "a%40b", "HOME": "/home/edge"}


def run(path: Path, text: str) -> RunConfig:
    file = path / "run.toml"
    file.write_text(text, encoding="utf-8")
    return run_from_file(file, ENVIRONMENT)


def test_every_key_is_read(tmp_path: Path) -> None:
    front = StreamEntry("front", "rtsp://admin:a%40b@10.0.0.8/s?a=$b", ("front.mp4", "/home/edge/front.jsonl"), 2)
    back = StreamEntry("back-door_2", "camera:0", ("back.mp4",), 1.0)
    assert run(tmp_path, FULL) == RunConfig(
        model="bisenetv2-camvid",
        streams=(front, back),
        engine="openvino",
        precision=Precision.INT8,
        size=(1024, 512),
        device="cpu",
        threads=2,
        tiles=Tiles(64, "centre"),
        opacity=0.25,
        legend=True,
        max_age=0.5,
        page="http://127.0.0.1:8080",
        events=("events.jsonl", "mqtt://edge:m@broker/site"),
    )


def test_a_model_and_a_source_are_enough(tmp_path: Path) -> None:
    config = run(tmp_path, 'model = "m"\nstreams.a.source = "camera:0"\nevents = "e.jsonl"\n')
    assert config == RunConfig("m", (StreamEntry("a", "camera:0"),), events=("e.jsonl",))
    assert config.max_age == MAX_AGE_SECONDS


def test_variables_are_those_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "run.toml"
    file.write_text('model = "${EDGESEG_TEST_MODEL}"\n[streams.a]\nsource = "camera:0"\n')
    monkeypatch.setenv("EDGESEG_TEST_MODEL", "from-the-environment")
    assert run_from_file(file).model == "from-the-environment"


STREAM = '\n[streams.a]\nsource = "camera:0"\n'


@pytest.mark.parametrize(
    ("text", "line", "code"),
    [
        ('model = "m"\nengin = "openvino"' + STREAM, 2, "ES-NAME"),
        ('model = "m"' + STREAM + "wieght = 1", 4, "ES-NAME"),
        ('model = "m"\n[stream.a]\nsource = "camera:0"', 0, "ES-NAME"),
        ("model = 3" + STREAM, 1, "ES-FORMAT-RUN"),
        ('model = "m"\n\nengine = ["a"]' + STREAM, 3, "ES-FORMAT-RUN"),
        ('model = "m"\nprecision = "int7"' + STREAM, 2, "ES-FORMAT-RUN"),
        ('model = "m"\nsize = "big"' + STREAM, 2, "ES-FORMAT-RUN"),
        ('model = "m"\nsize = [1024, 512]' + STREAM, 2, "ES-FORMAT-RUN"),
        ('model = "m"\ndevice = 0' + STREAM, 2, "ES-FORMAT-RUN"),
        ('model = "m"\nthreads = 0' + STREAM, 2, "ES-FORMAT-RUN"),
        ('model = "m"\nthreads = 1.5' + STREAM, 2, "ES-FORMAT-RUN"),
        ('model = "m"\nthreads = true' + STREAM, 2, "ES-FORMAT-RUN"),
        ('model = "m"\ntiles = "nearest"' + STREAM, 2, "ES-FORMAT-RUN"),
        ('model = "m"\ntiles = "off"\noverlap = 8' + STREAM, 2, "ES-FORMAT-RUN"),
        ('model = "m"\ntiles = "hann"\noverlap = -1' + STREAM, 3, "ES-FORMAT-RUN"),
        ('model = "m"\nopacity = 1.5' + STREAM, 2, "ES-FORMAT-RUN"),
        ('model = "m"\nopacity = nan' + STREAM, 2, "ES-FORMAT-RUN"),
        ('model = "m"\nlegend = 1' + STREAM, 2, "ES-FORMAT-RUN"),
        ('model = "m"\nmax_age = 0' + STREAM, 2, "ES-FORMAT-RUN"),
        ('model = "m"\n"max-age" = inf' + STREAM, 2, "ES-FORMAT-RUN"),
        ('model = "m"\npage = 8080' + STREAM, 2, "ES-FORMAT-RUN"),
        ('model = "m"\nevents = ["a.jsonl", 3]' + STREAM, 2, "ES-FORMAT-RUN"),
        ('model = "m"' + STREAM + "output = [1]", 4, "ES-FORMAT-RUN"),
        ('model = "m"' + STREAM + "output = 1", 4, "ES-FORMAT-RUN"),
        ('model = "m"' + STREAM + "weight = 0", 4, "ES-FORMAT-RUN"),
        ('model = "m"' + STREAM + 'weight = "1"', 4, "ES-FORMAT-RUN"),
        ('model = "m"' + STREAM + "[streams.b] # second\nweight = nan", 5, "ES-FORMAT-RUN"),
        ('model = "m"' + STREAM + "[ streams.b ]  # second\nweight = 1", 4, "ES-FORMAT-RUN"),
        ('model = "m"\n[streams."front/#"]\nsource = "camera:0"', 2, "ES-FORMAT-RUN"),
        ('model = "m"\n[streams]\nsource = "camera:0"', 0, "ES-FORMAT-RUN"),
        ('model = "m"\n[streams]\n', 0, "ES-FORMAT-RUN"),
        ('model = "m"\n', 0, "ES-FORMAT-RUN"),
        (STREAM, 0, "ES-FORMAT-RUN"),
        ('model = "m"' + STREAM + 'output = ["a.mp4", "${NOT_SET}.mp4"]', 4, "ES-FORMAT-RUN"),
        ('model = "${NOT_SET}"' + STREAM, 1, "ES-FORMAT-RUN"),
        ('model = "m', None, "ES-FORMAT-TOML"),
    ],
)
def test_an_error_names_the_line_and_what_to_write(text: str, line: int | None, code: str, tmp_path: Path) -> None:
    with pytest.raises(EdgeSegError) as problem:
        run(tmp_path, text)
    assert problem.value.code == code
    assert problem.value.hint
    assert problem.value.message.startswith(str(tmp_path / "run.toml"))
    if line is not None:
        assert (f"run.toml, line {line}: " in problem.value.message) is (line > 0)


def test_a_key_of_the_same_name_in_another_table_is_not_blamed(tmp_path: Path) -> None:
    text = 'model = "m"\n[streams.a]\nsource = "camera:0"\nweight = 1\n[streams.b]\nsource = "camera:1"\nweight = -1\n'
    with pytest.raises(EdgeSegError, match=r"line 7: weight"):
        run(tmp_path, text)


def test_the_example_in_a_hint_is_valid(tmp_path: Path) -> None:
    with pytest.raises(EdgeSegError) as problem:
        run(tmp_path, 'model = "m"\nopacity = 7' + STREAM)
    example = problem.value.hint.removeprefix("write ")
    assert run(tmp_path, f'model = "m"\n{example}' + STREAM).opacity == 0.5


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(EdgeSegError) as problem:
        run_from_file(tmp_path / "none.toml")
    assert problem.value.code == "ES-FILE-MISSING"
