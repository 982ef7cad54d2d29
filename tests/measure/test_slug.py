"""The device as the name of a folder."""

from __future__ import annotations

import pytest

from edgeseg.measure import slug as slug_module


@pytest.mark.parametrize(
    ("cpu", "isa", "slug"),
    [
        ("AMD EPYC", ["avx2", "fma"], "amd-epyc-2c"),
        ("AMD EPYC", ["avx2", "fma", "avx512f", "avx512_vnni"], "amd-epyc-vnni-2c"),
        ("Intel(R) Xeon(R) CPU @ 2.80GHz", ["avx2", "avx_vnni", "avx512_vnni", "amx_int8"], "intel-xeon-amx-2c"),
        ("AMD Ryzen 7 5800X 8-Core Processor", ["avx2"], "amd-ryzen-7-5800x-2c"),
    ],
)
def test_a_device_has_a_folder_name(monkeypatch: pytest.MonkeyPatch, cpu: str, isa: list[str], slug: str) -> None:
    device = {"cpu": cpu, "board": "", "machine": "x86_64", "threads": 2, "isa": isa}
    monkeypatch.setattr(slug_module, "describe_device", lambda: device)
    assert slug_module.device_slug() == slug
