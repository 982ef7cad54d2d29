"""`edgeseg inspect` on plans: its table, its JSON, its page, and what it says where there are no layers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from small_cli import Run, runner
from small_onnx import SPEC, street_onnx
from small_plan import DUMP, HEAD, LAYERS, STEM, line, small_plan

from edgeseg.artifact import Artifact, Layer
from edgeseg.provenance import BuildInfo
from edgeseg.spec import Precision


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Runs commands in a folder with an ONNX, a plan with its sidecar, and build logs."""
    monkeypatch.chdir(tmp_path)
    street_onnx(tmp_path)
    Path("small.plan").write_bytes(b"plan")
    Path("build.log").write_text(DUMP)
    Path("quiet.log").write_text("Building\nDone\n")
    Path("names.json").write_text('{"Layers": ["stem.0/Conv"], "Bindings": []}')
    Path("foreign.log").write_text("Layers:\n" + line("a", "correlation", ["a/Conv"], [], [], [], 0))
    plan(Path("small.plan"), LAYERS)
    return runner(monkeypatch, capfd)


def plan(path: Path, layers: tuple[Layer, ...], *, wide: bool = False) -> None:
    """An engine with the small plan in its sidecar."""
    found = [layer.to_dict() for layer in small_plan()]
    if wide:
        found[2]["inputs"][0]["dtype"] = "fp32"
        found[2]["constants"] = [{**found[2]["constants"][0], "dtype": "fp32"}]
    path.write_bytes(b"plan")
    build = BuildInfo(trtexec="trtexec", layers=tuple(found))
    Artifact(path, SPEC, Precision.INT8, engine="tensorrt_rtx", layers=layers, build=build).write_sidecar()


def test_a_plan_is_shown_as_it_runs(run: Run) -> None:
    out = run("inspect", "small.plan").out
    for text in (STEM, HEAD, "correlation", "build.trtexec", "float-detour", "lone-qdq", "computing.int8"):
        assert text in out
    assert "signal" not in out


def test_json_has_layers_rows_totals_and_findings(run: Run) -> None:
    data = run("inspect", "small.plan", "--json").json()
    assert data["build"] == {"trtexec": "trtexec"}
    assert [layer["name"] for layer in data["layers"]] == [STEM, HEAD]
    assert [row["kind"] for row in data["plan"]] == ["other", "compute", "other", "quantize", "compute", "copy"]
    assert data["plan"][1]["modules"] == ["stem.0"]
    assert data["totals"]["computing"] == {"int8": 1, "fp32": 1}
    assert "float-detour" in [finding["code"] for finding in data["findings"]]


def test_a_page_is_written_beside_what_is_printed(run: Run) -> None:
    done = run("inspect", "small.plan", "--html", "made/page.html", "--json")
    assert done.json()["file"] == "small.plan"
    assert done.lines("wrote made/page.html") == []
    assert "wrote made/page.html" in done.err.splitlines()
    assert STEM in Path("made/page.html").read_text()


def test_two_plans_are_compared_from_the_other_to_the_file(run: Run) -> None:
    plan(Path("wide.plan"), (Layer(STEM, "correlation", "int8", "fp32"), LAYERS[1]), wide=True)
    changes = run("inspect", "small.plan", "--diff", "wide.plan", "--json").json()["difference"]["changes"]
    assert {"layer": STEM, "what": "precision", "before": "fp32", "after": "int8"} in changes
    shown = run("inspect", "small.plan", "--diff", "wide.plan", "--html", "page.html")
    assert STEM in shown.out
    assert "precision" in shown.out
    assert "Changes from wide.plan" in Path("page.html").read_text()


def test_a_build_log_takes_the_place_of_the_sidecars_plan(run: Run) -> None:
    data = run("inspect", "small.plan", "--log", "build.log", "--json").json()
    assert [layer["obtained"] for layer in data["layers"] if layer["requested"]] == ["int8", "fp32"]
    assert len(data["plan"]) == 6


def test_an_engine_of_another_runtime_is_compared_by_its_layers(run: Run) -> None:
    made = [run("convert", "street.onnx", "--engine", name, "--precision", "fp32", "--json").json()["engine"]
            for name in ("onnxruntime", "openvino")]  # fmt: skip
    data = run("inspect", made[0], "--diff", made[1], "--html", "page.html", "--json").json()
    assert data["difference"]["matched"] >= 3  # its convolutions
    assert "plan" not in data
    assert "conv0" in Path("page.html").read_text()


def test_the_page_of_a_cpu_engine_has_a_summary_and_no_zero_for_an_unknown_figure(run: Run) -> None:
    pytest.importorskip("openvino")
    engine = run("convert", "street.onnx", "--engine", "openvino", "--precision", "fp32", "--json").json()["engine"]
    run("inspect", engine, "--html", "page.html")
    text = Path("page.html").read_text()
    summary = text[: text.index("<h2>")]
    for part in ("guess: 64x32, 11 classes", "openvino, fp32", "3 in fp32", "100.00%", "unknown"):
        assert part in summary
    body = re.sub(r"<style>.*?</style>|<script>.*?</script>", "", text, flags=re.DOTALL)
    assert not re.search(r">None<|MiB|_bytes|bytes read and written|>cost<|>0<", body)
    assert body.index("device.") > body.index("All layers")


def test_an_onnx_is_compared_by_what_it_asks_for(run: Run) -> None:
    data = run("inspect", "street.onnx", "--diff", "street.onnx", "--json").json()
    assert data["difference"]["changes"] == []
    assert {layer["obtained"] for layer in data["layers"]} == {""}


# arguments; the code of the error; a value that the error or its hint names
WRONG: dict[str, tuple[tuple[str, ...], str, str]] = {
    "diff of weights": (("small.plan", "--diff", "x.safetensors"), "ES-NO-LAYERS", "edgeseg export x.safetensors"),
    "a page of weights": (("x.safetensors", "--html", "page.html"), "ES-NO-LAYERS", "--html"),
    "diff of nothing": (("small.plan", "--diff", "nothing.plan"), "ES-FILE-MISSING", "nothing.plan"),
    "no log": (("small.plan", "--log", "nothing.log"), "ES-FILE-MISSING", "nothing.log"),
    "a log without layers": (("small.plan", "--log", "quiet.log"), "ES-FORMAT-LAYERS", "quiet.log"),
    "names alone": (("small.plan", "--log", "names.json"), "ES-FORMAT-LAYERS", "--profilingVerbosity=detailed"),
    "the log of another network": (("small.plan", "--log", "foreign.log"), "ES-MISMATCH", f"such as {STEM}"),
    "a page in a place of a folder": (("small.plan", "--html", "folder"), "ES-FILE-KIND", "folder"),
    "a broken plan": (("broken.plan",), "ES-FORMAT-SIDECAR", "broken.plan.json"),
}


@pytest.mark.parametrize("case", WRONG)
def test_each_error_is_one_line_with_a_hint(case: str, run: Run) -> None:
    words, code, value = WRONG[case]
    Path("folder").mkdir()
    Path("broken.plan").write_bytes(b"plan")
    Artifact(
        Path("broken.plan"),
        SPEC,
        Precision.INT8,
        engine="tensorrt_rtx",
        layers=LAYERS,
        build=BuildInfo(layers=({"op": "x"},)),
    ).write_sidecar()
    done = run("inspect", *words)
    assert done.code == 2
    assert done.error_code == code
    assert value in done.err
    assert len(done.lines("hint")) == 1
    assert not Path("page.html").exists()
