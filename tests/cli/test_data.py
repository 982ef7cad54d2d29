"""`edgeseg data`: what it counts, what it lists, and what it draws."""

from __future__ import annotations

import shlex
from pathlib import Path

import cv2
import numpy as np
import pytest
from small_cli import Run, runner
from small_datasets import SMALL, camvid, cityscapes, gradient, ids_in_turn, write_png

from edgeseg.datasets import open_dataset
from edgeseg.datasets.digest import dataset_sha256


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    monkeypatch.chdir(tmp_path)
    return runner(monkeypatch, capfd)


def test_it_counts_pixels_images_and_sizes(run: Run) -> None:
    uri = camvid(Path("cv"))
    write_png(Path("cv/test/images/0001TP_0.png"), gradient(4, 4))
    write_png(Path("cv/test/labels/0001TP_0.png"), np.full((4, 4), 5, np.uint8))
    data = run("data", uri, "--json").json()
    assert (data["data"], data["pairs"], data["read"]) == ("camvid:?split=test", 3, 3)
    assert data["sizes"] == {"8x6": 2, "4x4": 1}
    classes = {each["name"]: (each["share"], each["images"]) for each in data["classes"]}
    pixels = 2 * 48 + 16
    assert classes["Sky"] == (pytest.approx(24 / pixels), 2)
    assert classes["Tree"] == (pytest.approx(16 / pixels), 1)
    assert classes["Fence"] == (0.0, 0)
    assert data["ignored"] == pytest.approx(24 / pixels)
    assert data["ignored"] + sum(share for share, _ in classes.values()) == pytest.approx(1)
    assert data["problems"] == {}
    assert data["sha256"] == dataset_sha256(open_dataset(uri))


@pytest.mark.parametrize("kind", SMALL)
def test_every_kind_has_tables_and_a_sheet(run: Run, kind: str) -> None:
    uri = SMALL[kind](Path("there"))
    done = run("data", uri, "-o", "sheet.png", "--columns", "2")
    assert (done.code, done.lines("next")) == (0, [f"edgeseg eval MODEL --data {shlex.quote(uri)}"])
    assert "wrote sheet.png" in done.err
    dataset = open_dataset(uri)
    assert all(text in done.out for text in (dataset.name, dataset.labels.names[0], "(ignored)", "###"))
    sheet = cv2.imread("sheet.png")
    lines_of_legend = (sheet.shape[0] - (2 * 600 + 4)) / 26  # below two rows of 4:3, gaps of 4
    assert (sheet.shape[1], lines_of_legend >= 1, lines_of_legend % 1) == (1600, True, 0)


def test_a_part_is_read_and_has_no_hash(run: Run) -> None:
    data = run("data", "street:?frames=5&size=64x48", "--limit", "2", "--json").json()
    assert (data["pairs"], data["read"], data["sha256"]) == (5, 2, None)


def test_all_that_cannot_be_used_is_listed_together(run: Run) -> None:
    uri = camvid(Path("cv"))
    for i in range(3, 9):
        write_png(Path(f"cv/test/images/0001TP_{i}.png"), gradient())
        write_png(Path(f"cv/test/labels/0001TP_{i}.png"), ids_in_turn(0, 42, 77) if i < 7 else ids_in_turn(0))
    Path("cv/test/images/0001TP_0.png").write_text("no picture")
    write_png(Path("cv/test/labels/0001TP_1.png"), gradient())
    write_png(Path("cv/test/labels/0001TP_7.png"), np.zeros((5, 5), np.uint8))
    done = run("data", uri, "-o", "sheet.png")
    assert (done.code, done.err.count("error [")) == (2, 1)
    assert done.lines("error") == [
        "camvid:?split=test: unusable images: 1 (0001TP_0); unusable label files: 1 (0001TP_1); "
        "label files with unknown ids: 4 (0001TP_3 (ids 42, 77), 0001TP_4 (ids 42, 77), 0001TP_5 (ids 42, 77), ...); "
        "pairs that differ in size: 1 (0001TP_7)"
    ]
    assert done.lines("hint")[0].startswith("replace them with complete JPEG or PNG files; save class ids as PNG")
    assert "9, 2 of them usable" in done.out
    assert Path("sheet.png").exists()
    as_json = run("data", uri, "--json")
    assert as_json.code == 2
    assert '"count": 4' in as_json.out


def test_problems_of_the_layout_are_two_lines(run: Run) -> None:
    uri = cityscapes(Path("cs"))
    next(Path("cs/gtFine").rglob("*labelIds.png")).unlink()
    done = run("data", uri)
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 2)
    assert "images without a label file: 1" in done.lines("error")[0]
