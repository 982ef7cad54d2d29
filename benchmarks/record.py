"""What every benchmark here writes: a record with the command, the device, the versions, tables and the verdict."""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from edgeseg.errors import EdgeSegError, FileProblem
from edgeseg.files import whole_file
from edgeseg.measure.device import describe_device, package_versions
from edgeseg.measure.diagnostic import FOREIGN_CORES
from edgeseg.measure.memory import high_water_mib
from edgeseg.measure.slug import device_slug

FOLDER = Path(__file__).parent
RESULTS = FOLDER / "results"
DATA = "EDGESEG_DATA"
POLL_SECONDS = 0.01
OPENCV = ("opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless")
PACKAGES = ("edgeseg", "openvino", "onnxruntime", "torch", "numpy", "numba", "av", *OPENCV)


@dataclass(frozen=True)
class Table:
    """Columns and rows of text, as printed and as shown in RESULTS.md."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def markdown(self) -> str:
        lines = [self.columns, ["---"] * len(self.columns), *self.rows]
        return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)


@dataclass(frozen=True)
class Verdict:
    """What was to be reached, and whether it was."""

    target: str
    found: str
    met: bool


@dataclass
class Record:
    """One benchmark's outcome. how: threads, warm-up and what was interleaved. data: every raw figure."""

    name: str
    question: str
    how: str
    tables: list[Table] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    foreign_cores: float = 0.0
    data: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        return {
            **asdict(self),
            "command": command_line(),
            "device": describe_device(),
            "versions": {name: version for name, version in package_versions(PACKAGES).items() if version},
        }


def add_output_option(parser: argparse.ArgumentParser) -> None:
    """--json-out FILE; without FILE the record goes to its own place among the results."""
    text = "write the record as JSON too; without FILE to benchmarks/results/<device>/"
    parser.add_argument("--json-out", nargs="?", type=Path, const=RESULTS, metavar="FILE", help=text)


def publish(record: Record, json_out: Path | None) -> None:
    """Print the record, and write it where that was asked for."""
    for table in record.tables:
        print(f"\n{table.title}\n\n{table.markdown()}")
    print(f"\n{record.how}\nforeign load: {record.foreign_cores:.2f} cores")
    if record.foreign_cores > FOREIGN_CORES:
        print("caveat: other processes ran meanwhile: wall times are too long; compare ratios and own CPU time")
    for verdict in record.verdicts:
        print(f"{'met' if verdict.met else 'NOT met'}: {verdict.found} (target: {verdict.target})")
    if json_out is not None:
        json_out = RESULTS / device_slug() / f"{record.name}.json" if json_out == RESULTS else json_out
        with whole_file(json_out) as partial:
            partial.write_text(json.dumps(record.to_dict(), indent=1) + "\n", encoding="utf-8")
        print(f"wrote {json_out}", file=sys.stderr)


def command_line() -> str:
    """The command that is running, without the folders of this machine."""
    script = Path(sys.argv[0]).resolve().relative_to(FOLDER.parent)
    return " ".join(["python", str(script), *map(portable_argument, sys.argv[1:])])


def portable_argument(argument: str) -> str:
    """`argument` with $EDGESEG_DATA for the data folder, and any other absolute path cut to its last part."""
    data = os.environ.get(DATA, "").rstrip("/")
    if data and data in argument:
        return argument.replace(data, f"${DATA}")
    return re.sub(r"(^|[:=])/(?:[^/]+/)*", r"\1", argument)


def data_folder() -> Path:
    """The folder of real data."""
    if not os.environ.get(DATA):
        raise FileProblem(f"the data folder is not known: {DATA} is not set", hint=f"export {DATA}=FOLDER")
    return Path(os.environ[DATA])


@dataclass(frozen=True)
class Child:
    """A process that ended well. cpu_seconds: all of its threads. peak_mib: its largest resident size."""

    text: str
    wall_seconds: float
    cpu_seconds: float
    peak_mib: float

    def json(self) -> dict[str, Any]:
        """What it printed on stdout."""
        found: dict[str, Any] = json.loads(self.text)
        return found


def run_child(command: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> Child:
    """Run a command to its end. FileProblem, with the end of what it said, where it fails."""
    words = [str(word) for word in command]
    began = time.perf_counter()
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(words, stdout=out, stderr=errors, env={**os.environ, **(environment or {})})
        ended, peak_mib = 0, 0.0
        while not ended:
            peak_mib = max(peak_mib, high_water_mib(process.pid))  # NaN is no maximum
            time.sleep(POLL_SECONDS)
            ended, status, usage = os.wait4(process.pid, os.WNOHANG)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.perf_counter() - began
        out.seek(0)
        errors.seek(0)
        text, said = out.read(), errors.read()
    if process.returncode:
        end = " ".join((said or text).split())[-600:]
        raise FileProblem(f"exit code {process.returncode}: {end}", hint=f"try it: {' '.join(words)}")
    return Child(text, wall, usage.ru_utime + usage.ru_stime, peak_mib)


def edgeseg_command(*arguments: str | Path) -> list[str]:
    """`edgeseg ARGUMENTS`, by this very interpreter."""
    return [sys.executable, "-m", "edgeseg.cli", *(str(argument) for argument in arguments)]


def run_main(body: Callable[[], None]) -> int:
    """Run a script's body; an error that edgeseg knows is one line and a hint."""
    try:
        body()
    except EdgeSegError as problem:
        print(f"error: {problem.message}\nhint: {problem.hint}", file=sys.stderr)
        return 2
    return 0
