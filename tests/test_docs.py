"""What the documents say is there, and what is there is in the documents."""

from __future__ import annotations

import ast
import json
import re
import shlex
import shutil
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from small_cli import Run, runner
from small_clips import make_clip, make_images

import edgeseg
from edgeseg.bench.record import BenchRecord
from edgeseg.cli import COMMANDS, LazyGroup, app
from edgeseg.commands.bench_request import SECOND_ATTEMPT
from edgeseg.recipe import bundled_ranges
from edgeseg.weights import BUNDLED, weights_path

ROOT = Path(edgeseg.__file__).parents[1]
README = ROOT / "README.md"
PAGES = (README, *sorted((ROOT / "docs").glob("*.md")), ROOT / "calib" / "README.md")
MAX_WEIGHTS_BYTES = 40 << 20
MAX_IMAGE_BYTES = 200_000

# The commands that tests run, in this order, as they are printed, in a folder with street.jpg, drive.mp4 and frames/.
RUN = (
    "edgeseg doctor",
    "edgeseg convert bisenetv2-camvid",
    "edgeseg stream docs/images/street.jpg bisenetv2-camvid -o overlay.png",
    "edgeseg stream docs/images/street.jpg bisenetv2-camvid --tiles hann -o tiles.png",
    "edgeseg bench bisenetv2-camvid",
    "edgeseg stream drive.mp4 bisenetv2-camvid -o overlay.mp4 -o masks/ -o out.jsonl",
    "edgeseg batch drive.mp4 frames/ bisenetv2-camvid -o batch/",
    "edgeseg batch --merge batch/",
    'edgeseg data "street:?seed=1&scenes=4" --json',
)
RUN_NIGHTLY = (
    "edgeseg export bisenetv2-camvid -o board/",
    "edgeseg calibrate board/bisenetv2-camvid.onnx --images frames/ -o board/ranges.json",
    "edgeseg quantize board/bisenetv2-camvid.onnx --ranges board/ranges.json --target tensorrt",
    "edgeseg quantize board/bisenetv2-camvid.onnx --ranges board/ranges.json --target tensorrt8.5 -o board/int8.calib",
)
# Why no test runs the others: a pattern for the beginning of the command, and the reason.
NOT_RUN = {
    r"pip install|make |scp |sudo |tegrastats|python3? -m venv|~/edgeseg/": "changes the machine, or is for a Jetson",
    r"/usr/src/tensorrt|ONNX=board": "needs TensorRT of a Jetson",
    r"(POLYGRAPHY_\w+=1 )?polygraphy": "Polygraphy is an extra; tests/engines run its comparator",
    r"edgeseg .*--engine tensorrt|edgeseg \S+ .*\.tensorrt\.": "needs TensorRT, which tests/engines/tensorrt emulate",
    r"edgeseg .*(PATH|DRIVES|EDGESEG_DATA)": "needs a data set; tests/datasets and tests/train have small ones",
    r"docker run|python repository/": "needs Triton; tests/engines/test_triton_repository.py run the client",
    r"edgeseg export .*--to triton": "tests/engines/test_triton_repository.py write small ones",
    r"edgeseg .*(MODEL|SOURCE|model\.onnx|model_final|run/)": "stands for a file of the reader",
    r"ray start": "starts a cluster; tests/batch/test_ray.py have one of two nodes",
    r"seq 8 ": "starts 8 shards; tests/cli/test_batch.py do two",
    r"edgeseg stream run\.toml": "runs for ever; tests/cli/test_stream_live.py run a short one",
    r"edgeseg bench .*(--matrix|--file|--video|--scenario)": "tests/bench and tests/cli run small ones",
    r"edgeseg report": "needs records; tests/bench/test_report.py make some",
    r"python benchmarks/sliding_window\.py": "needs an engine and an image; tests/benchmarks run it on small ones",
    r"edgeseg train": "trains for minutes; tests/train run short trainings",
    r"edgeseg .*--precision auto": "searches for minutes; tests/autotune run short searches",
    r"edgeseg (compare|diff)": "needs records or engines; tests/cli run them on small ones",
    r"edgeseg sensitivity": "takes minutes; tests/autotune run it on a small network",
    r"edgeseg convert engines/.*\.toml": "builds another engine; tests/test_recipe.py read every recipe",
    r"edgeseg export bisenetv2-camvid -o \.|edgeseg quantize bisenetv2-camvid": "as the same commands in board/",
    r"edgeseg (batch|eval) --merge (OUT|SHARDS)": "needs shards; tests/cli and test_evaluation_shard.py make some",
    r"kubectl ": "needs a cluster",
    r"edgeseg --(install|show)-completion": "depends on the shell; test_completion_knows_the_commands asks for bash",
}

runner = pytest.fixture(runner)

pytestmark = pytest.mark.skipif(not README.exists(), reason="an installed package has no README beside it")


def blocks(language: str, page: Path = README) -> list[str]:
    """The code blocks of a page."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def printed_commands(page: Path) -> list[str]:
    """The commands of a page's blocks: every line of `sh`, and of `console` those behind a `$ `."""
    lines = [line for block in blocks("sh", page) for line in block.replace("\\\n", " ").splitlines()]
    lines += [line[2:] for block in blocks("console", page) for line in block.splitlines() if line.startswith("$ ")]
    commands = [" ".join(line.partition(" #")[0].split()) for line in lines]
    return [command for command in commands if command]


def command_lines() -> list[str]:
    """Every `edgeseg ...` that the pages and the models' cards tell to type, without comments."""
    found = [line for page in PAGES for line in lines_of(page)]
    for card in sorted((ROOT / "edgeseg" / "weights").glob("*.md")):
        found += re.findall(r"^    (edgeseg .*)$", card.read_text(encoding="utf-8").replace("\\\n", ""), re.M)
    return list(dict.fromkeys(found))


def lines_of(page: Path) -> list[str]:
    """The commands in the code blocks and between the backticks of a page."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    lines = [*printed_commands(page), *(line for line in re.findall(r"`(edgeseg [^`]+)`", text))]
    return [line for line in lines if line.startswith("edgeseg ") and not line.startswith("edgeseg -")]


def command_of(name: str) -> Any:
    return LazyGroup().get_command(None, name)


def test_every_printed_command_is_run_or_has_a_reason() -> None:
    printed = {command for page in PAGES for command in printed_commands(page)}
    assert len(printed) > 20
    tested = {*RUN, *RUN_NIGHTLY}
    unexplained = {
        command
        for command in printed
        if command not in tested and not any(re.match(start, command) for start in NOT_RUN)
    }
    assert unexplained == set()
    assert tested <= printed
    assert [start for start in NOT_RUN if not any(re.match(start, command) for command in printed)] == []


@pytest.mark.parametrize(
    "commands", [pytest.param(RUN, marks=pytest.mark.slow), pytest.param(RUN_NIGHTLY, marks=pytest.mark.nightly)]
)
def test_the_printed_commands_run(
    commands: tuple[str, ...], runner: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared_exports: None
) -> None:
    monkeypatch.chdir(tmp_path)
    # No test needs exact times: bench takes few images, and does not repeat what does not settle beside other tests.
    monkeypatch.setattr("edgeseg.bench.benchmark.SECONDS", 0.01)
    monkeypatch.setattr("edgeseg.bench.benchmark.LEAST", 10)
    monkeypatch.setenv(SECOND_ATTEMPT, "1")
    (tmp_path / "docs" / "images").mkdir(parents=True)
    shutil.copy(ROOT / "docs" / "images" / "street.jpg", tmp_path / "docs" / "images")
    make_clip(tmp_path / "drive.mp4", 3)
    make_images(tmp_path / "frames", 2, 480, 384)
    for command in commands:
        done = runner(*shlex.split(command)[1:])
        assert done.code == 0, f"{command}: {done.err}"
        outputs = re.findall(r"-o (\S+)", command)
        assert [path for path in outputs if not (tmp_path / path).exists()] == []


def test_completion_knows_the_commands(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("_EDGESEG_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "edgeseg str")
    monkeypatch.setenv("COMP_CWORD", "1")
    monkeypatch.setattr("sys.argv", ["edgeseg"])
    with pytest.raises(SystemExit):
        app(prog_name="edgeseg")
    assert capsys.readouterr().out.split() == ["stream"]


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CONTRIBUTING.md"], ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_lead_to_a_file_and_a_heading(page: Path) -> None:
    text = re.sub(r"`[^`]*`", "", page.read_text(encoding="utf-8"))
    links = re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#([^)]+))?\)", text)
    made = {"cli.md", "python.md"}  # by docs/site_pages.py
    for path, anchor in links:
        target = page.parent / path if path else page
        assert target.exists() or path in made, path
        if anchor and target.exists():
            headings = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}
            assert anchor in slugs, f"{path}#{anchor}"


def test_the_images_are_small() -> None:
    sizes = {path.name: path.stat().st_size for path in (ROOT / "docs" / "images").iterdir()}
    assert {name for name, size in sizes.items() if size > MAX_IMAGE_BYTES} == set()


def records(device: str, name: str, folder: str = "results") -> list[list[list[str]]]:
    """The rows of each table of a committed benchmark."""
    path = ROOT / "benchmarks" / folder / device / f"{name}.json"
    return [table["rows"] for table in json.loads(path.read_text(encoding="utf-8"))["tables"]]


def readme_rows(start: str) -> dict[tuple[str, str], list[str]]:
    """The rows of README's table whose head starts so, by their first two cells."""
    text = README.read_text(encoding="utf-8")
    table = text[text.index(f"| {start} |") :].partition("\n\n")[0]
    rows = [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
    return {(row[0], row[1]): row[1:] for row in rows}


def bench_figures(name: str, engine: str, precision: str) -> tuple[str, str, str]:
    """The mIoU, and the p50 of the engine alone and end to end, of a settled record of the matrix."""
    folder = ROOT / "benchmarks" / "results" / "intel-xeon-amx-2c" / "bench"
    record = BenchRecord.read(folder / f"{name}-480x384-{engine}-{precision}-single-stream.json")
    alone, frame = record.row("engine"), record.row("frame")
    assert record.status == "settled"
    assert record.accuracy is not None
    assert alone is not None
    assert frame is not None
    return f"{100 * record.accuracy.miou:.2f}", f"{alone.latency.p50_ms:.1f}", f"{frame.latency.p50_ms:.1f}"


def test_the_figures_of_the_models_in_the_readme_are_those_of_the_records() -> None:
    engines = {"OpenVINO": "openvino", "ONNX Runtime": "onnxruntime"}
    rows = readme_rows("model")
    assert {*(model for model, _ in rows), "bisenetv2-street"} == set(BUNDLED)
    for (name, engine), (_, *cells) in rows.items():
        pairs = zip(*(bench_figures(name, engines[engine], precision) for precision in ("fp32", "int8")))
        assert cells == [figure for pair in pairs for figure in pair]


def test_the_figures_of_other_tools_in_the_readme_are_those_of_the_records() -> None:
    names = {"OpenVINO": "openvino", "ONNX Runtime": "onnxruntime", "ModelOpt (made for TensorRT)": "modelopt"}
    names |= {"NNCF": "nncf", "ONNX Runtime static": "onnxruntime static", "edgeseg": "edgeseg"}
    tables = records("intel-xeon-2c", "quantizers", "archive")
    rows = readme_rows("quantiser")
    assert len(rows) == 5
    for (tool, runtime), (_, *cells) in rows.items():
        for cell, table in zip(cells, tables, strict=True):
            (row,) = (row for row in table if row[:2] == [names[tool], names[runtime]])
            assert cell == f"{row[3].split()[0]}, {row[6]}"
    contenders = {row[0]: row for row in records("intel-xeon-amx-2c", "peers")[0]}
    peers = readme_rows("from a 1080p frame to its labels")
    assert len(peers) >= 6
    for (name, runtime), (_, *cells) in peers.items():
        row = contenders[name]
        assert [row[1] + " " + row[2], row[5], row[7]] == [runtime, *cells]


def test_the_page_on_tiles_has_the_figures_of_the_record_and_the_code_of_the_script() -> None:
    text = (ROOT / "docs" / "tiles.md").read_text(encoding="utf-8")
    for table in records("amd-epyc-2c", "tiles"):
        for row in table:
            assert f"| {' | '.join(row)} |" in text
    (code,) = blocks("python", ROOT / "docs" / "tiles.md")
    assert code in (ROOT / "benchmarks" / "sliding_window.py").read_text(encoding="utf-8")
    assert len(code.splitlines()) <= 20


def test_the_page_on_streaming_has_the_figures_of_the_crf() -> None:
    text = (ROOT / "docs" / "streaming.md").read_text(encoding="utf-8")
    (table,) = records("amd-epyc-2c", "crf")
    rows = [row for row in table if row[1] != "iterations=5"]
    for size, crf, milliseconds, *shares in rows:
        named = crf if crf == "none" else f"`{crf}`" if "&" not in crf else f'`"{crf}"`'
        seconds = f"{float(milliseconds) / 1e3:.1f} s" if milliseconds else ""
        assert " ".join(f"| {size} | {named} | {seconds} | {' | '.join(shares)} |".split()) in text


def test_the_page_on_scaling_has_the_figures_of_the_record() -> None:
    text = (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8")
    for table in records("amd-epyc-vnni-2c", "scaling"):
        for row in table:
            assert f"| {' | '.join(row)} |" in text


def test_the_faults_in_the_readme_are_those_of_the_record() -> None:
    measured = {row[0]: row for row in records("amd-epyc-vnni-2c", "stream_faults")[0]}
    rows = readme_rows("fault")
    assert len(rows) == 9
    for (fault, again), (_, damaged, oldest, opencv) in rows.items():
        _, after, _, age, fed, bad, _, loop = measured[fault]
        assert (again, damaged, oldest, opencv) == (after, f"{bad} of {fed}", age, loop)


@pytest.mark.parametrize("line", command_lines())
def test_every_command_line_in_the_documents_can_be_typed(line: str) -> None:
    _, name, *words = shlex.split(line)
    assert name in COMMANDS
    known = {option for parameter in command_of(name).params for option in parameter.opts}
    assert [word for word in words if word.startswith("-") and word not in known] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_in_the_readme(command: str) -> None:
    text = README.read_text(encoding="utf-8")
    assert f"edgeseg {command}" in text or f"`{command}`" in text


def test_the_python_in_the_readme_uses_public_names() -> None:
    (block,) = blocks("python")
    tree = ast.parse(block)
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "edgeseg"
    }
    assert used
    assert used <= set(edgeseg.__all__)
    from edgeseg.predictions import SemanticMask
    from edgeseg.segmenter import Segmenter

    methods = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in ("mask", "segmenter")
    }
    fields = {*dir(SemanticMask), *SemanticMask.__dataclass_fields__, *dir(Segmenter)}
    assert methods
    assert methods <= fields


@pytest.mark.parametrize("name", BUNDLED)
def test_every_bundled_model_has_weights_a_card_a_licence_and_ranges(name: str) -> None:
    weights = weights_path(name)
    card, licence = weights.with_suffix(".md"), weights.with_suffix(".LICENSE")
    missing = [path.name for path in (weights, card, licence) if not path.is_file()]
    assert missing == []
    assert bundled_ranges(name) is not None
    from edgeseg.weights.file import spec_from_weights

    spec = spec_from_weights(weights)
    assert spec.name == name
    assert spec.licence in card.read_text(encoding="utf-8")
    assert spec.licence in README.read_text(encoding="utf-8")


def test_the_table_lists_every_weights_file() -> None:
    folder = Path(str(resources.files("edgeseg.weights")))
    assert {path.stem for path in folder.glob("*.safetensors")} == set(BUNDLED)


def test_the_weights_are_small() -> None:
    folder = Path(str(resources.files("edgeseg.weights")))
    assert sum(path.stat().st_size for path in folder.glob("*.safetensors")) <= MAX_WEIGHTS_BYTES


def test_the_files_and_functions_that_contributing_names_exist() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    paths = re.findall(r"`((?:edgeseg|tests)/[\w/.]+)`", text)
    assert paths
    assert [path for path in paths if not (ROOT / path).exists()] == []
    source = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "edgeseg").rglob("*.py"))
    steps = [line.split("|")[2] for line in text.splitlines() if re.match(r"\|.*\| `edgeseg/", line)]
    names = [name for step in steps for name in re.findall(r"`(\w+)`", step)]
    assert len(names) > 15
    assert [name for name in names if not re.search(rf"^(?:def|class) {name}\b", source, re.MULTILINE)] == []
