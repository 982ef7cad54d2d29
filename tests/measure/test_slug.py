"""The device as the name of a folder."""

from __future__ import annotations

import pytest

from edgeseg.measure import slug as slug_module


@pytest.mark.parametrize(
    ("cpu", "slug"),
    [
        ("AMD EPYC", "amd-epyc-2c"),
        ("Intel(R) Xeon(R) CPU @ 2.80GHz", "intel-xeon-2c"),
        ("AMD Ryzen 7 5800X 8-Core Processor", "amd-ryzen-7-5800x-2c"),
    ],
)
def test_a_device_has_a_folder_name(monkeypatch: pytest.MonkeyPatch, cpu: str, slug: str) -> None:
    device = {"cpu": cpu, "board": "", "machine": "x86_64", "threads": 2}
    monkeypatch.setattr(slug_module, "describe_device", lambda: device)
    assert slug_module.device_slug() == slug
