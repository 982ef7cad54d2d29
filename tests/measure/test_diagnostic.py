"""The diagnostics of a measurement, and the conditions under which each appears."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeseg.measure.battery import Battery
from edgeseg.measure.clocks import CoreSet
from edgeseg.measure.diagnostic import (
    KINDS,
    Diagnostic,
    diagnostics_from_run,
    diagnostics_from_samples,
    diagnostics_from_settings,
    diagnostics_from_throttling,
)
from edgeseg.measure.jetson_board import JetsonBoard
from edgeseg.measure.load import Load
from edgeseg.measure.power import COUNTERS
from edgeseg.measure.throttle import Throttling


def codes(diagnostics: list[Diagnostic]) -> list[str]:
    assert all(each.invalidates == KINDS[each.code].invalidates for each in diagnostics)
    return [each.code for each in diagnostics]


def test_stolen_time_is_named_as_part_of_the_foreign_load() -> None:
    (stolen,) = diagnostics_from_run(Load(1.0, 0.5, 0.7, 0.25), 200)
    assert (stolen.code, "0.25 of them the hypervisor" in stolen.message) == ("foreign-load", True)
    (others,) = diagnostics_from_run(Load(1.0, 0.5, 0.7, 0.0), 200)
    assert "hypervisor" not in others.message


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        ([30.0, 28.0, 26.0, *[10.0] * 20], ["first-run-slow"]),
        ([30.0, 10.0, 10.0, *[10.0] * 20], []),  # one outlier
        ([14.0, 14.0, 14.0, *[10.0] * 20], []),
        ([30.0, 30.0, 30.0, *[10.0] * 6], []),  # too few to tell
        ([], []),
    ],
)
def test_first_samples_that_are_slow_are_told_from_an_outlier(samples: list[float], expected: list[str]) -> None:
    assert codes(diagnostics_from_samples(samples)) == expected


@pytest.mark.parametrize(
    ("throttling", "expected"),
    [
        (Throttling(), []),
        (Throttling(("over-current event oc3 (40 times)",)), ["throttled"]),
        (Throttling(power_limited=True), ["power-limit"]),
        (Throttling(cpu_mhz=(4000.0, 3300.0)), ["clock-drop"]),
        (Throttling(cpu_mhz=(4000.0, 3500.0)), []),
        (Throttling(gpu_mhz=(1200, 1980)), ["clocks-not-locked"]),
        (Throttling(gpu_mhz=(1965, 1980)), []),
    ],
)
def test_what_happened_to_the_machine_is_diagnosed(throttling: Throttling, expected: list[str]) -> None:
    assert codes(diagnostics_from_throttling(throttling)) == expected


def test_only_a_throttled_run_is_invalid() -> None:
    (throttled,) = diagnostics_from_throttling(Throttling(("GPU power-brake (1 of 2 readings)",)))
    assert throttled.invalidates
    assert "power-brake" in throttled.message
    assert [code for code, kind in KINDS.items() if kind.invalidates] == ["throttled"]


def cores(governor: str, low: int = 400, high: int = 4700) -> CoreSet:
    return CoreSet("0-3", governor, "driver", low, high, 4700)


@pytest.mark.parametrize(
    ("sets", "jetson", "battery", "profile", "expected"),
    [
        ([], None, None, "", []),
        ([cores("performance")], None, Battery(80.0, True), "balanced", []),
        ([cores("powersave"), cores("performance")], None, None, "", ["governor"]),
        ([cores("schedutil", 2000, 2000)], None, None, "", []),  # locked
        ([], None, Battery(80.0, False), "", ["battery"]),
        ([], None, Battery(80.0, None), "", []),
        ([], None, None, "low-power", ["power-mode"]),
        ([cores("schedutil")], JetsonBoard("36.4.3", "15W (0)", "MAXN_SUPER (2)", False), None, "",
         ["clocks-not-locked", "power-mode"]),
        ([], JetsonBoard("36.4.3", "MAXN (0)", "MAXN (0)", None), None, "", []),
    ],
)  # fmt: skip
def test_how_a_machine_is_set_is_diagnosed(
    sets: list[CoreSet], jetson: JetsonBoard | None, battery: Battery | None, profile: str, expected: list[str]
) -> None:
    assert codes(diagnostics_from_settings(sets, jetson, battery, profile)) == expected


def test_each_hint_says_what_to_type_on_that_machine() -> None:
    jetson, *_ = diagnostics_from_settings([], JetsonBoard("36.4.3", clocks_locked=False), None, "")
    gpu, *_ = diagnostics_from_throttling(Throttling(gpu_mhz=(1, 2)))
    (mode,) = diagnostics_from_settings([], JetsonBoard("36.4.3", "15W (0)", "MAXN_SUPER (2)"), None, "")
    assert mode.hint == "sudo nvpmodel -m 2"
    assert (jetson.code, gpu.code) == ("clocks-not-locked", "clocks-not-locked")
    assert "jetson_clocks" in jetson.hint
    assert "nvidia-smi" in gpu.hint


def section(title: str) -> str:
    """The text below a heading of the documentation, which exactly one page has."""
    pages = [path.read_text(encoding="utf-8") for path in (Path(__file__).parents[2] / "docs").glob("*.md")]
    (page,) = [page for page in pages if f"\n## {title}\n" in page]
    return page.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_the_documentation_lists_every_code_and_counter_with_its_meaning() -> None:
    rows = [line for line in section("What can spoil a figure").splitlines() if line.startswith("| `")]
    codes = [f"| `{code}` | {kind.meaning} | {kind.hint} |" for code, kind in KINDS.items()]
    assert rows[: len(codes)] == codes
    assert {row.split("`")[1] for row in rows[len(codes) :]} == set(COUNTERS)
