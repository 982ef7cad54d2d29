"""The largest memory of this process."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

from fake_machine import write

from edgeseg.measure.memory import PeakMemory, high_water_mib, resident_mib

STATUS = "proc/self/status"


def status(kibibytes: int) -> dict[str, object]:
    return {STATUS: f"Name:\tpython\nVmHWM:\t{kibibytes} kB\nVmRSS:\t1 kB"}


def peak(root: Path, samples: list[float], after: int | None = None) -> float:
    readings = iter(samples)
    memory = PeakMemory(root, lambda: next(readings))
    memory.start()
    for _ in samples[2:]:
        memory.sample()
    if after is not None:
        write(root, status(after))
    memory.stop()
    return memory.rss_mib


def test_the_largest_sample_counts(tmp_path: Path) -> None:
    assert peak(tmp_path, [100.0, 400.0, 200.0]) == 400.0


def test_a_peak_between_samples_is_not_missed(tmp_path: Path) -> None:
    assert peak(write(tmp_path, status(300 << 10)), [100.0, 200.0, 150.0], after=900 << 10) == 900.0


def test_a_peak_from_before_the_run_does_not_count(tmp_path: Path) -> None:
    assert peak(write(tmp_path, status(900 << 10)), [100.0, 200.0, 150.0], after=900 << 10) == 200.0


def test_the_largest_memory_of_the_device_counts(tmp_path: Path) -> None:
    readings = iter([None, 700.0, 300.0])
    memory = PeakMemory(tmp_path, lambda: 1.0, lambda: next(readings))
    memory.start()
    assert memory.device_mib is None
    memory.sample()
    memory.stop()
    assert memory.device_mib == 700.0


def test_the_peak_of_a_child_is_its_own_and_not_that_of_its_parent() -> None:
    block = b"x" * (200 << 20)
    script = "from edgeseg.measure.memory import high_water_mib; print(high_water_mib())"
    child = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert 1 < float(child.stdout) < len(block) >> 20 < high_water_mib()


def test_a_process_that_ended_has_no_peak(tmp_path: Path) -> None:
    assert math.isnan(high_water_mib(1, tmp_path))


def test_this_process_has_a_peak() -> None:
    memory = PeakMemory()
    memory.start()
    block = bytearray(64 << 20)
    block[:: 1 << 12] = b"x" * len(block[:: 1 << 12])
    memory.sample()
    memory.stop()
    assert memory.rss_mib >= resident_mib() - 1
    assert memory.rss_mib > 64
