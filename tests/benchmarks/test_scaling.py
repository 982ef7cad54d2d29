"""What benchmarks/scaling.py multiplies, and that its document has what it wrote."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def scaling(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(FOLDER))
    import scaling

    return scaling


def test_a_million_hours_are_a_frame_times_its_number(scaling: Any) -> None:
    def run(case: str, cpu_ms: float, size: float = 0.0, decoded: int = 0) -> dict[str, Any]:
        return {"case": case, "frames": 300, "cpu_ms": cpu_ms, "bytes": size, "decoded": decoded}

    runs = [run(case, 1.0, 100.0) for case in scaling.CASES if case not in (scaling.DECODE, scaling.KEY_FRAMES)]
    runs += [run(scaling.DECODE, 10.0, 20_000.0, 300), run(scaling.KEY_FRAMES, 0.5, 20_000.0, 3)]
    options = argparse.Namespace(model="net", engine="openvino", precision="int8", frames=300, rounds=1)
    record = scaling.record_from_runs(options, runs, 0.0)
    costs = {row[0]: row[1:] for row in record.tables[1].rows}
    cluster = {row[0]: row[1:] for row in record.tables[2].rows}
    # 1.08e11 frames of 10 ms and twice 1 ms, and 100 bytes each
    assert costs["every frame, class shares"] == ["300.0", "30.0", "30.0", "360.0", "decoding", "10.8"]
    # a frame in a hundred is a key frame
    assert costs["key frames alone, class shares"] == ["15.0", "0.3", "0.3", "15.6", "decoding", "0.1"]
    assert costs["every frame, class shares, decoded by hardware"][0] == "0.0"
    # 360,000 core hours in 720 hours; 2160 TB are read in 2,592,000 seconds
    assert cluster["every frame, class shares"] == ["500", "6.67", "0.03", "13.3"]
