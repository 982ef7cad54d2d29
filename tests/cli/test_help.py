"""The command line states itself without loading a framework, and each command is a file."""

from __future__ import annotations

import ast
import importlib
import shlex
import subprocess
import sys
from pathlib import Path
from typing import get_type_hints

import pytest
from small_cli import Run, runner
from typer import Context
from typer.main import get_command
from typer.models import OptionInfo

import edgeseg
from edgeseg.cli import COMMANDS, app

FRAMEWORKS = ("torch", "onnx", "onnx_ir", "onnxruntime", "openvino", "cv2", "av", "numba", "numpy", "rich", "psutil")
LOADED = """
import sys
sys.argv = ["edgeseg", *sys.argv[1:]]
from edgeseg.cli import main
try:
    main()
finally:
    print("loaded", *(name for name in {names} if name in sys.modules))
"""


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    return runner(monkeypatch, capfd)


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["convert", "--help"], ["--xxxx"]])
def test_help_imports_no_framework(words: list[str]) -> None:
    script = LOADED.format(names=FRAMEWORKS)
    done = subprocess.run([sys.executable, "-c", script, *words], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1].split() == ["loaded"], done.stderr


def test_every_command_is_a_file_and_every_file_a_command() -> None:
    folder = Path(edgeseg.__file__).parent / "commands"
    files = {path.stem for path in folder.glob("*.py") if "\ndef command(" in path.read_text(encoding="utf-8")}
    assert files == set(COMMANDS)
    assert {name: f"edgeseg.commands.{name}" for name in files} == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_in_80_columns(run: Run, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    done = run(command, "--help")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0].startswith(f"Usage: edgeseg {command} [OPTIONS]")
    assert lines[2].strip()
    assert max(map(len, lines)) <= 80
    examples = lines[lines.index("Examples:") + 1 :]
    assert examples
    assert all(line.startswith("  edgeseg ") for line in examples)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_example_of_a_help_page_is_a_valid_command_line(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("convert.toml", "train.toml"):
        Path(name).touch()
    for line in importlib.import_module(COMMANDS[command]).EXAMPLES.strip().splitlines():
        program, name, *words = shlex.split(line)
        assert (program, name) == ("edgeseg", command)
        get_command(app).get_command(Context(get_command(app)), name).make_context(name, words)


def test_commands_with_many_options_show_them_in_panels(run: Run) -> None:
    for command, panels in {
        "train": ["Data:", "Optimiser:", "Loss:", "Augmentation:", "Run:", "Options:"],
        "convert": ["Engine:", "Precision:", "Input:", "Output:", "TensorRT:", "Options:"],
        "build": ["Engine:", "Precision:", "Input:", "Output:", "TensorRT:", "Options:"],
        "adopt": ["Input:", "Model:", "Output:", "Options:"],
        "bench": ["Arguments:", "Options:", "Examples:"],
    }.items():
        lines = run(command, "-h").out.splitlines()
        assert set(panels) <= set(lines)
        assert len([line for line in lines if line == "Options:"]) == 1


@pytest.mark.parametrize("command", COMMANDS)
def test_the_body_of_a_command_is_short(command: str) -> None:
    tree = ast.parse(Path(importlib.import_module(COMMANDS[command]).__file__ or "").read_text(encoding="utf-8"))
    (function,) = (node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "command")
    body = function.body[1:]  # without the docstring
    assert (function.end_lineno or 0) - body[0].lineno < 40


@pytest.mark.parametrize("command", COMMANDS)
def test_an_option_with_its_own_name_for_a_metavar_is_spelt_out(command: str) -> None:
    """typer 0.27 takes such a metavar for the option's spelling: --SHARE, and no --share."""
    hints = get_type_hints(importlib.import_module(COMMANDS[command]).command, include_extras=True)
    options = {name: hint.__metadata__[-1] for name, hint in hints.items() if hasattr(hint, "__metadata__")}
    assert options
    alike = {name: option for name, option in options.items() if option.metavar == name.upper()}
    # in Annotated typer keeps the first spelling as the default
    assert all(str(option.default).startswith("-") for option in alike.values() if isinstance(option, OptionInfo))


def test_the_version_is_that_of_the_package(run: Run) -> None:
    assert run("--version").out.strip() == edgeseg.__version__


def test_without_a_command_it_shows_the_help_and_cuts_no_summary(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    bare, asked = run(), run("--help")
    assert (bare.code, bare.err) == (0, "")
    assert bare.out == asked.out
    assert "..." not in bare.out.partition("Commands:")[2]
    lines = [line.split()[0] for line in bare.out.splitlines() if line.strip()]
    assert set(COMMANDS) <= set(lines)


@pytest.mark.parametrize("words", [(), ("convert",), ("train",)])
def test_h_is_help(run: Run, words: tuple[str, ...]) -> None:
    short, long = run(*words, "-h"), run(*words, "--help")
    assert short == long
    assert short.code == 0


def test_the_module_runs_as_a_program_and_its_exit_code_is_the_shells() -> None:
    words = [sys.executable, "-m", "edgeseg", "xxxx"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        "error [ES-NAME]: unknown command: xxxx",
        f"hint: known: {', '.join(sorted(COMMANDS))}",
    ]
