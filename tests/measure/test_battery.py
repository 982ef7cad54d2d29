"""The battery."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from edgeseg.measure.battery import Battery, battery


def test_a_battery_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    state = SimpleNamespace(percent=81.25, secsleft=900, power_plugged=False)
    monkeypatch.setattr("psutil.sensors_battery", lambda: state, raising=False)
    assert battery() == Battery(81.2, False)


def test_a_machine_without_a_battery_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("psutil.sensors_battery", lambda: None, raising=False)
    assert battery() is None
    monkeypatch.delattr("psutil.sensors_battery")
    assert battery() is None


def test_a_battery_that_cannot_be_read_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def denied() -> None:
        raise PermissionError

    monkeypatch.setattr("psutil.sensors_battery", denied, raising=False)
    assert battery() is None
