"""The table of the package is made of the records of all devices, and what a family has learnt is told."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytest.importorskip("torch")

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def families(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(FOLDER))
    import families

    return families


def figures(miou: float, milliseconds: float) -> dict[str, Any]:
    return {"miou": miou, "labels": [1.0, 1.0, 1.0], "cpu_ms": milliseconds, "cpu_to_ours": milliseconds / 5}


def family(name: str, milliseconds: float, miou: float = 0.3, chosen: str = "int8") -> dict[str, Any]:
    """A family that takes `milliseconds` in fp32 and 5 in int8, of which auto took `chosen`."""
    engine = {"fp32": figures(miou, milliseconds), "edgeseg": figures(miou, 5)}
    auto = {
        "precision": chosen[:4],
        "said": f"{chosen} kept: 1.1x faster",
        "drop": {"value": 0.0, "low": 0.0, "high": 0.0},
    }
    engines = ("openvino", "onnxruntime")
    return {
        "family": name, "variant": "base", "steps": 300, "versions": {"openvino": "2026.4.1"}, "rtx": {},
        "engines": dict.fromkeys(engines, engine), "auto": dict.fromkeys(engines, auto),
    }  # fmt: skip


def record(folder: Path, isa: list[str], *found: dict[str, Any]) -> Path:
    path = folder / "families.json"
    folder.mkdir()
    device = {"cpu": folder.name, "board": "", "isa": isa, "threads": 2}
    path.write_text(json.dumps({"device": device, "data": {"families": found}}))
    return path


def test_each_family_is_taken_once_and_of_a_device_with_int8_instructions_if_it_can(
    families: ModuleType, tmp_path: Path
) -> None:
    old = record(tmp_path / "a-old", ["avx2"], family("enet", 80), family("unet", 90))
    new = record(tmp_path / "b-new", ["avx2", "avx512_vnni"], family("enet", 20))
    whole = families.measured_from_records([old, new])
    assert [(name, each["mark"]) for name, each in whole["devices"].items()] == [("b-new", ""), ("a-old", "*")]
    found = {name: (each["device"], each["openvino"]["fp32_cpu_ms"]) for name, each in whole["families"].items()}
    assert found == {"enet": ("b-new", 20), "unet": ("a-old", 90)}


def test_the_table_of_the_package_is_that_of_the_records(families: ModuleType) -> None:
    made = families.measured_from_records(sorted(families.RESULTS.glob(f"*/{families.NAME}")))
    assert json.loads(families.MEASURED.read_text("utf-8")) == made


@pytest.mark.parametrize(("miou", "met"), [(0.25, True), (0.20, False)])
def test_a_family_learns_where_it_knows_more_than_the_places_of_the_classes(
    families: ModuleType, miou: float, met: bool
) -> None:
    learnt, *_ = families.verdicts_of(family("enet", 20, miou), 0.22)
    assert learnt.found == f"enet learns: {100 * miou:.2f} mIoU after 300 steps"
    assert "above 22.00" in learnt.target
    assert learnt.met is met


@pytest.mark.parametrize(
    ("milliseconds", "chosen", "refused"), [(4, "int8", True), (6, "int8", False), (4, "int8-mixed", False)]
)
def test_int8_must_not_be_chosen_where_it_is_slower(
    families: ModuleType, milliseconds: float, chosen: str, refused: bool
) -> None:
    verdicts = families.verdicts_of(family("enet", milliseconds, chosen=chosen), 0.2)
    assert any("slower than fp32" in each.found and not each.met for each in verdicts) is refused


@pytest.mark.parametrize(("name", "crops"), [("dabnet", ("256x256", "2")), ("bisenetv2", ("256x128", "4"))])
def test_crops_are_as_high_as_the_dilations_need(families: ModuleType, name: str, crops: tuple[str, str]) -> None:
    assert families.crops_for(name) == crops
