"""`edgeseg compare` as CI runs it: exit codes, exports, and two engines side by side."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from bench_records import DEVICE, VERSIONS, bench_record
from small_cli import Run, runner
from small_onnx import street_onnx

STREETS = "street:?seed=3&frames=3&size=64x32"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Runs commands in a folder with records a.json, same.json and slow.json, and folders of them."""
    monkeypatch.chdir(tmp_path)
    for name, factor in (("a", 1.0), ("same", 1.0), ("slow", 1.2)):
        record = bench_record(engine_ms=18 * factor, seed=len(name), miou=None)
        record.write(Path(f"{name}.json"))
        record.write(Path(f"{name}/one.json"))
    return runner(monkeypatch, capfd)


def test_the_exit_code_is_1_where_b_is_slower_and_0_else(run: Run) -> None:
    for a, b, code in (("a", "same", 0), ("a", "slow", 1), ("slow", "a", 0)):
        for words in ((f"{a}.json", f"{b}.json"), (a, b)):
            done = run("compare", *words, "--tolerance", "3")
            assert done.code == code, done.err
    assert run("compare", "a.json", "slow.json", "--tolerance", "30").code == 0
    assert "equal within 30%" in run("compare", "a.json", "slow.json", "--tolerance", "30").out


def test_the_table_has_a_row_for_each_figure_with_its_interval(run: Run) -> None:
    out = run("compare", "a.json", "slow.json").out
    rows = [line for line in out.splitlines() if "frame, " in line or "engine, " in line]
    assert len(rows) == 4
    assert all("worse" in row and " to " in row for row in rows)


def test_json_has_the_answers(run: Run) -> None:
    done = run("compare", "a.json", "slow.json", "--json")
    assert done.code == 1
    (comparison,) = json.loads(done.out)["comparisons"]
    assert comparison["regression"] is True
    assert {figure["answer"] for figure in comparison["figures"]} == {"worse"}
    assert set(comparison["figures"][0]["ratio"]) == {"value", "low", "high"}


def test_one_record_can_be_exported_to_stdout_and_to_a_file(run: Run) -> None:
    data = run("compare", "a.json", "--export", "bencher").json()
    assert all("latency" in measures for measures in data.values())
    words = ("--export", "github-action-benchmark", "-o", "out/data.json")
    done = run("compare", "a.json", "slow.json", *words)
    assert done.code == 1
    assert {each["unit"] for each in json.loads(Path("out/data.json").read_text())} == {"ms"}
    assert done.out.count("worse") == 4


def test_a_folder_is_compared_record_by_record_and_what_has_no_partner_is_named(run: Run) -> None:
    for folder in ("a", "slow"):
        bench_record(precision="int8", miou=None).write(Path(folder, "two.json"))
    bench_record(engine="onnxruntime", miou=None).write(Path("slow/three.json"))
    done = run("compare", "a", "slow", "--json")
    regressions = {each["b"]: each["regression"] for each in json.loads(done.out)["comparisons"]}
    assert regressions == {"bisenetv2-camvid openvino fp32": True, "bisenetv2-camvid openvino int8": False}
    assert done.lines("note") == ["only B has bisenetv2-camvid onnxruntime single_stream"]


def test_strict_fails_where_something_cannot_be_told(run: Run) -> None:
    words = ("--tolerance", "3")
    assert run("compare", "a", "same", *words, "--strict").code == 0
    bench_record(seed=4, status="invalid", miou=None).write(Path("invalid.json"))
    bench_record(seed=4).write(Path("miou.json"))
    bench_record(precision="int8", miou=None).write(Path("same/two.json"))
    for a, b in (("a.json", "invalid.json"), ("a.json", "miou.json"), ("a", "same"), ("same", "a")):
        assert run("compare", a, b, *words).code == 0
        assert run("compare", a, b, *words, "--strict").code == 1
    assert run("compare", "a.json", "miou.json", *words).lines("note") == ["not compared: only B has mIoU"]


def test_a_field_that_some_records_of_a_folder_lack_can_be_allowed(run: Run) -> None:
    bench_record(engine="onnxruntime", miou=None, versions={"onnxruntime": "1"}).write(Path("a/two.json"))
    bench_record(engine="onnxruntime", miou=None, versions={"onnxruntime": "1"}).write(Path("same/two.json"))
    bench_record(seed=4, miou=None, versions={**VERSIONS, "openvino": "2027"}).write(Path("same/one.json"))
    words = ("compare", "a", "same", "--tolerance", "3")
    assert run(*words).error_code == "ES-MISMATCH-RECORDS"
    assert run(*words, "--across", "versions.openvino").code == 0
    assert run(*words, "--across", "versions.opnvino").error_code == "ES-NAME"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("a.json", "other.json"), "ES-MISMATCH-RECORDS"),
        (("a.json",), "ES-MISMATCH-OPTIONS"),
        (("a.json", "model.onnx"), "ES-MISMATCH-OPTIONS"),
        (("model.onnx", "a.json"), "ES-MISMATCH-OPTIONS"),
        (("model.onnx",), "ES-MISMATCH-OPTIONS"),
        (("a.json", "slow.json", "-o", "x.json"), "ES-MISMATCH-OPTIONS"),
        (("a.json", "--export", "bencher", "--json"), "ES-MISMATCH-OPTIONS"),
        (("a.json", "--export", "benchr"), "ES-NAME"),
        (("a.json", "text.json"), "ES-FORMAT-RECORD"),
        (("a", "unlike"), "ES-DATA-NO-RECORDS"),
        (("a.json", "nothing.json"), "ES-FILE-MISSING"),
        (("a.json", "slow.json", "--tolerance", "0"), "ES-USAGE"),
    ],
)
def test_what_cannot_be_compared_is_refused(run: Run, words: tuple[str, ...], code: str) -> None:
    bench_record(device={**DEVICE, "cpu": "Another"}).write(Path("other.json"))
    bench_record(engine="onnxruntime").write(Path("unlike/one.json"))
    Path("text.json").write_text("{}")
    done = run("compare", *words)
    assert (done.code, done.error_code) == (2, code)
    assert done.lines("hint")


def test_other_devices_are_compared_where_the_user_says_so(run: Run) -> None:
    bench_record(device={**DEVICE, "cpu": "Another"}, miou=None).write(Path("other.json"))
    done = run("compare", "a.json", "other.json", "--across", "device", "--tolerance", "3")
    assert done.code == 0
    assert done.lines("note") == ["the records differ in device.cpu"]


def test_two_engines_are_timed_side_by_side_and_evaluated(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    street_onnx(Path())
    street_onnx(Path(), seed=1, name="other.onnx")
    monkeypatch.setattr("edgeseg.bench.compare_engines.SECONDS", 0.001)
    monkeypatch.setattr("edgeseg.bench.compare_engines.BLOCKS", 2)
    monkeypatch.setattr("edgeseg.bench.compare_engines.MOST_BLOCKS", 2)
    words = ("compare", "street.onnx", "other.onnx", "--engine", "onnxruntime", "--threads", "1", "--data", STREETS)
    done = run(*words, "--max-drop", "100", "--json")
    (comparison,) = json.loads(done.out)["comparisons"]
    assert (comparison["a"], comparison["b"]) == ("street.onnx", "other.onnx")
    assert [(figure["scope"], figure["name"]) for figure in comparison["figures"]] == [
        ("frame", "cpu_ms"), ("frame", "p50_ms"),
    ]  # fmt: skip
    assert all(figure["a"] > 0 and figure["b"] > 0 for figure in comparison["figures"])
    assert comparison["miou"]["images"] == 3
    assert comparison["miou"]["answer"] in ("equal", "better")
