"""Contenders of `table.py`, seen from the table: processes that are kept alive and asked for a turn."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Protocol

import psutil

from edgeseg.errors import FileProblem, FormatError

LIMIT_SECONDS = 900.0  # torch.compile takes minutes on a busy machine
APP = (sys.executable, "-c", "from openvino.tools.benchmark.main import main; main()")  # the script may be elsewhere
FIRST, LAST = "First inference took", "[Step 11/11]"
APP_FIGURES = {"p50_ms": "Median", "mean_ms": "Average", "n": "Count"}


class Contender(Protocol):
    """facts: plain data for the table. scopes: those that it can be asked for."""

    facts: Mapping[str, Any]
    scopes: Sequence[str]

    def ask(self, **request: Any) -> dict[str, Any]: ...
    def rss_mib(self) -> float | None: ...
    def close(self) -> None: ...


class Worker:
    """A process of turns.py. FileProblem, with the end of its log, where it fails or does not answer in time."""

    def __init__(
        self,
        command: Sequence[str | Path],
        log: Path,
        environment: Mapping[str, str] | None = None,
        limit_seconds: float = LIMIT_SECONDS,
    ) -> None:
        self._words, self._log, self._limit = [str(word) for word in command], log, limit_seconds
        with log.open("wb") as errors:
            self._process = subprocess.Popen(
                self._words,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env={**os.environ, **(environment or {})},
            )
        try:
            ready = self._answer()
        except BaseException:
            self.close()
            raise
        self.scopes, self.facts = ready["ready"], ready["facts"]

    def ask(self, **request: Any) -> dict[str, Any]:
        """Its answer to a request."""
        try:
            print(json.dumps(request), file=self._process.stdin, flush=True)
        except BrokenPipeError:
            raise self._problem() from None
        return self._answer()

    def rss_mib(self) -> float | None:
        """What it holds now."""
        return float(psutil.Process(self._process.pid).memory_info().rss / 2**20)

    def close(self) -> None:
        """End it."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None and not pipe.closed:
                pipe.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _answer(self) -> dict[str, Any]:
        out = self._process.stdout
        assert out is not None
        timer = threading.Timer(self._limit, self._process.kill)
        timer.start()
        try:
            line = out.readline()
        finally:
            timer.cancel()
        if not line:
            raise self._problem()
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _problem(self) -> FileProblem:
        code = self._process.wait()
        end = " ".join(self._log.read_text(encoding="utf-8", errors="replace").split())[-400:]
        return FileProblem(f"exit code {code}: {end}", hint=f"try it: {' '.join(self._words)}")


class BenchmarkApp:
    """OpenVINO's own benchmark_app on one file: the network alone, a process for each turn.

    Own CPU time is that from its first inference to its summary, so that compiling is left out.
    """

    scopes = ("engine",)

    def __init__(
        self, file: Path, precision: str, threads: int, facts: Mapping[str, Any], program: Sequence[str] = APP
    ) -> None:
        hints = {"fp32": ["-infer_precision", "f32"], "bf16": ["-infer_precision", "bf16"]}.get(precision, [])
        self._command = [*program, "-m", str(file), "-d", "CPU", "-hint", "none", "-nireq", "1", "-api", "sync"]
        self._command += ["-nthreads", str(threads), *hints]
        self.facts = {"precision": precision, "runtime": "openvino", **facts}

    def ask(self, **request: Any) -> dict[str, Any]:
        """Its figures over about `seconds`; it counts whole seconds."""
        command = [*self._command, "-t", str(max(1, round(request["seconds"])))]
        with subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "CI": "true", "PYTHONUNBUFFERED": "1"},  # CI: its telemetry stays off
        ) as process:
            assert process.stdout is not None
            usage = psutil.Process(process.pid)

            def own_seconds() -> float:
                times = usage.cpu_times()
                return float(times.user + times.system)

            text, marks = watched(process.stdout, (FIRST, LAST), own_seconds)
        if process.returncode or len(marks) < 2:
            raise FileProblem(f"benchmark_app failed: {' '.join(text.split())[-400:]}", hint=" ".join(command))
        figures = figures_from_app(text)
        (first_wall, first_cpu), (last_wall, last_cpu) = marks
        wall, cpu = last_wall - first_wall, last_cpu - first_cpu
        return {**figures, "cpu_seconds": cpu, "wall_seconds": wall, "spent_seconds": last_cpu}

    def rss_mib(self) -> float | None:
        """Not known: it has ended."""
        return None

    def close(self) -> None:
        """Nothing runs between turns."""


def watched(lines: IO[str], marks: Sequence[str], meter: Callable[[], float]) -> tuple[str, list[tuple[float, float]]]:
    """All of the text, and (wall time, meter) when the line with each mark came."""
    text, found = [], []
    for line in lines:
        if len(found) < len(marks) and marks[len(found)] in line:
            found.append((time.perf_counter(), meter()))
        text.append(line)
    return "".join(text), found


def figures_from_app(text: str) -> dict[str, Any]:
    """Median, mean and number of benchmark_app's summary."""
    found = {key: re.search(rf"{label}:\s+([\d.]+)", text) for key, label in APP_FIGURES.items()}
    if missing := [APP_FIGURES[key] for key, match in found.items() if match is None]:
        raise FormatError(f"benchmark_app printed no {missing[0]}", hint="pip install openvino of this year")
    return {key: float(match[1]) for key, match in found.items() if match}


def trtexec_command(onnx: Path) -> str:
    """What measures the same ONNX on a GPU, the network alone. With these flags all releases leave out the same."""
    return f"trtexec --onnx={onnx.name} --warmUp=500 --duration=10 --noDataTransfers --useCudaGraph"
