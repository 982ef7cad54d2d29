"""Our calls against the real bindings of five releases of TensorRT, each in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
RELEASES = [line.split("==")[1] for line in (ROOT / "tests/bindings.txt").read_text().split()]
OLDEST, NEWEST = RELEASES[0], RELEASES[-1]
# Of the three releases of TensorRT 10, the newest is tested by each run.
NIGHTLY = RELEASES[1:-2]


@pytest.fixture
def conform(tmp_path: Path, without: Callable[[str, str], None]) -> Callable[..., Any]:
    """Runs conform_tensorrt.py for a release; skips where its bindings are not installed."""

    def run(release: str, *fault: str) -> subprocess.CompletedProcess[str]:
        folder = Path(sys.prefix) / "bindings" / release
        if not (folder / "tensorrt_bindings").exists():
            without("bindings", f"the bindings of TensorRT {release} are not installed: make bindings")
        if subprocess.run(["cc", "--version"], capture_output=True, check=False).returncode:
            without("cc", "there is no C compiler")
        command = [sys.executable, "tests/conform_tensorrt.py", str(folder), str(tmp_path), *fault]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    return run


@pytest.mark.parametrize(
    "release", [pytest.param(name, marks=pytest.mark.nightly if name in NIGHTLY else []) for name in RELEASES]
)
def test_the_build_and_run_path_uses_only_what_a_release_has(release: str, conform: Callable[..., Any]) -> None:
    done = conform(release)
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout.splitlines()[-1])
    assert facts.pop("version") == release
    assert len(facts) == 8
    for name, told in facts.items():
        precision = name.partition("-")[0]
        # fp32 is the same graph on the same runtime; int8 is a random net whose classes lie close together
        assert told["progress"] == ([0.0] if release == OLDEST else [0.0, 0.5, 1.0])  # 8.6 has no progress monitor
        assert told["labels"] >= (1.0 if precision == "fp32" else 0.9)
        weak = release == OLDEST
        types = {"INT8", "FP16", "OBEY_PRECISION_CONSTRAINTS"}
        assert types.issubset(told["flags"]) == (weak and precision == "int8")
        assert types.isdisjoint(told["flags"]) or weak
        assert told["opset"] == (17 if weak else 18)
        # bit 0 of 8.6 and 10 is EXPLICIT_BATCH, which 11 does not have; the other one is STRONGLY_TYPED
        assert told["network_flags"] == {"8": 1, "1": 3}["8" if weak else "1"] or release == NEWEST
        assert ("--stronglyTyped" in told["trtexec"]) == (not weak and release != NEWEST)
        assert told["float_layers"] == (["layer1"] if weak and precision == "int8" else [])
    assert facts["fp32-all"]["workspace"] == 64 << 20
    assert facts["fp32-plain"]["workspace"] > 64 << 20
    assert "VERSION_COMPATIBLE" in facts["int8-all"]["flags"]
    assert facts["fp32-dla"]["fell_back"] == ["layer1", "layer2"]
    assert "GPU_FALLBACK" in facts["int8-dla"]["flags"]
    assert "--optShapes=rgb:2x32x64x3" in facts["fp32-batch"]["trtexec"]


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("removed-name", "IBuilderConfig has no max_workspace_size that can be set"),
        ("wrong-keyword", "Builder.create_network does not take (flag=0)"),
    ],
)
def test_a_removed_name_or_a_wrong_keyword_is_found(fault: str, message: str, conform: Callable[..., Any]) -> None:
    done = conform(NEWEST, fault)
    assert done.returncode != 0
    assert message in done.stderr
