"""The temperatures of the device."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from edgeseg.measure.temperature import temperatures


def sensor(label: str, current: float) -> SimpleNamespace:
    return SimpleNamespace(label=label, current=current)


def test_each_sensor_has_a_name_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    chips = {"coretemp": [sensor("Core 0", 51.0), sensor("", 52.0)], "cpu_thermal": [sensor("", 61.5)]}
    monkeypatch.setattr("psutil.sensors_temperatures", lambda: chips, raising=False)
    assert temperatures() == {"coretemp Core 0": 51.0, "coretemp 1": 52.0, "cpu_thermal": 61.5}


def test_sensors_that_are_switched_off_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    chips = {"gpu": [sensor("", -256.0)], "pll": [sensor("", 0.0)], "tj": [sensor("", 48.25)]}
    monkeypatch.setattr("psutil.sensors_temperatures", lambda: chips, raising=False)
    assert temperatures() == {"tj": 48.25}


def test_a_system_without_sensors_has_no_temperatures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("psutil.sensors_temperatures", raising=False)
    assert temperatures() == {}


def test_sensors_that_cannot_be_read_are_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def denied() -> None:
        raise PermissionError

    monkeypatch.setattr("psutil.sensors_temperatures", denied, raising=False)
    assert temperatures() == {}
