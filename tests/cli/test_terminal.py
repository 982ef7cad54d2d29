"""What is printed fits a terminal of 80 columns, and a name that one may want to copy stands on one line."""

from __future__ import annotations

import itertools
import json
import logging
import sys
from pathlib import Path

import pytest

from edgeseg.commands.models import command as models
from edgeseg.commands.terminal import json_lines, note, percent, print_table, shown_progress, wrote
from edgeseg.weights import BUNDLED


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def test_the_models_stand_on_one_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    models()
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    for name in BUNDLED:
        (line,) = (line for line in lines if name in line.split())
        assert len(line.split()) >= 6, "and so does the rest of its row"


def test_a_share_that_is_not_known_is_a_dash() -> None:
    assert [percent(each) for each in (0.12345, 0, 1.0, None, float("nan"))] == ["12.35", "0.00", "100.00", "-", "-"]


def test_names_are_whole_and_sentences_are_folded(capsys: pytest.CaptureFixture[str]) -> None:
    name, text = "backbone.layer1.0.conv2*", "as many words as it takes to be far longer than any line " * 2
    print_table(["block", "layers", "number of layers that stay float", "why"], [[name, "12", "3.25", text]])
    out = capsys.readouterr().out
    assert name in out
    assert "3.25" in out
    assert max(map(len, out.splitlines())) <= 80
    assert [word for word in out.split() if word in text.split()] == text.split()


def test_names_that_are_wider_than_the_terminal_are_whole_all_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    names = [f"a.very.long.name.of.a.block.that.goes.on.{i}" for i in range(3)]
    print_table(["a", "b", "c"], [names])
    assert all(name in capsys.readouterr().out for name in names[:1])


def test_a_bar_shows_its_figures_and_leaves_a_line_that_says_what_was_done(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("rich.console.monotonic", itertools.count().__next__)
    with shown_progress() as progress:
        progress("train", 4, 10, "loss 1.5000")
        progress("export", 0, None)
    bars, _, end = capfd.readouterr().err.rpartition("\x1b[2K")
    assert "4/10" in bars
    assert "loss 1.5000" in bars
    assert [line.partition(":")[0] for line in end.splitlines() if ":" in line] == ["train", "export"]
    assert "━" not in end


def test_notes_progress_and_the_log_are_json_lines_where_that_is_asked_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeseg.commands.terminal.LINE_SECONDS", 0.0)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    root, handler = logging.getLogger(), logging.StreamHandler(sys.stderr)
    root.addHandler(handler)
    try:
        with json_lines(), shown_progress() as progress:
            wrote(Path("out.mp4"))
            progress("train", 4, 10)
            logging.getLogger("edgeseg.x").warning("%s is slow", "out.mp4")
        logging.getLogger("edgeseg.x").warning("the end")
        note("the end")
    finally:
        root.removeHandler(handler)
    *lines, logged, noted = capsys.readouterr().err.splitlines()
    assert [(line["kind"], line["message"]) for line in map(json.loads, lines)] == [
        ("note", "wrote out.mp4"), ("note", "train: 4 of 10"), ("warning", "edgeseg.x: out.mp4 is slow"),
    ]  # fmt: skip
    assert (logged, noted) == ("the end", "the end")
