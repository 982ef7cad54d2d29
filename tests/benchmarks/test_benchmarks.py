"""The benchmarks are commands: each says how it is used, and the peer that we are held against does its work."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
import onnx
import onnxruntime
import pytest
import small_onnx
from small_clips import make_clip, quarters

from edgeseg.measure.estimate import Estimate

FOLDER = Path(__file__).parents[2] / "benchmarks"
# These need packages that our interpreter has not, or torch, which not every one has.
FOREIGN = {"nncf_int8.py", "ultralytics_turns.py", "dfine_turns.py", "torch_turns.py"}
# These have no command line.
FOREIGN |= {"record.py", "papers.py", "video_run.py", "turns.py", "contenders.py", "comparison.py", "environments.py"}
FOREIGN |= {"torchvision_operators.py"}
MODULES = {"gpu_steps", "live_bed"}  # of gpu.py and stream_faults.py
SCRIPTS = sorted(
    path.relative_to(FOLDER)
    for path in FOLDER.rglob("*.py")
    if path.name not in FOREIGN and path.parent.name not in MODULES
)


def run(*words: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *map(str, words)],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        check=False,
    )


def record(name: str, target: float) -> dict[str, object]:
    """A record as the benchmarks write it."""
    return {
        "name": name,
        "question": f"How fast is {name}?",
        "how": "2 rounds",
        "tables": [{"title": "runs", "columns": ["loop", "fps"], "rows": [["ours", "20.0"], ["naive", "5.0"]]}],
        "verdicts": [{"target": f"at least {target}", "found": "ratio 4.0", "met": target <= 4}],
        "foreign_cores": 0.02,
        "data": {},
        "command": f"python benchmarks/{name}.py",
        "device": {"cpu": "Some CPU", "board": "", "threads": 2, "isa": ["avx2"], "memory_mib": 1, "python": "3.11"},
        "versions": {"numpy": "2.0"},
    }


@pytest.fixture
def run_here(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., object]]:
    """Run a script in this process, and return the code that it exits with."""
    own = set(sys.modules)

    def run_script(script: Path, *words: str) -> object:
        monkeypatch.setattr(sys, "path", [str(script.parent), *sys.path])
        monkeypatch.setattr(sys, "argv", [str(script), *words])
        with pytest.raises(SystemExit) as caught:
            runpy.run_path(str(script), run_name="__main__")
        return caught.value.code

    yield run_script
    for name in set(sys.modules) - own:
        if (getattr(sys.modules[name], "__file__", None) or "").startswith(str(FOLDER)):
            del sys.modules[name]


@pytest.mark.parametrize("script", SCRIPTS, ids=str)
def test_says_how_it_is_used(script: Path, run_here: Callable[..., object], capsys: pytest.CaptureFixture[str]) -> None:
    assert run_here(FOLDER / script, "--help") in (0, None)
    assert f"python benchmarks/{script}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("own", "its", "excess", "met"),
    [
        ((0.2, 0.1), (0.1, -0.1), (0.1, -0.1), True),  # not larger with confidence
        ((0.2, 0.1), (0.0, -0.1), (0.2, 0.1), False),
        ((0.2, 0.1), (-0.3, -0.5), (0.5, 0.3), False),  # the peer gains, and ours loses
        ((-0.1, -0.2), (-0.3, -0.5), (0.2, 0.1), True),  # both gain, the peer more
    ],
)
def test_a_gain_is_no_drop_when_quantisers_are_held_against_each_other(
    own: tuple[float, float],
    its: tuple[float, float],
    excess: tuple[float, float],
    met: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(FOLDER / "peers"))
    import quantizers

    estimates = [Estimate(value, low, value + 0.2) for value, low in (own, its, excess)]
    assert quantizers.no_larger(*estimates) is met


def test_naive_peer_writes_every_frame(tmp_path: Path) -> None:
    clip, out = make_clip(tmp_path / "clip.mp4", frames=10), tmp_path / "naive.mp4"
    model = small_onnx.float_onnx(tmp_path)
    result = run(FOLDER / "peers" / "naive.py", clip, out, "--onnx", model.path)
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["frames"] == found["frame_ms"]["n"] == 10
    assert found["cpu_ms_per_frame"] > 0
    with av.open(str(out)) as container:
        pictures = [picture.to_ndarray(format="rgb24") for picture in container.decode(video=0)]
    assert len(pictures) == 10
    assert pictures[0].shape == quarters().shape
    assert np.abs(pictures[0].astype(int) - quarters()).mean() > 10  # half of it is the palette's colours


def test_naive_peer_feeds_its_network_what_the_head_would(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER / "peers"))
    import naive

    path, frame = small_onnx.float_onnx(tmp_path).path, small_onnx.frames(1)
    network = naive.network_from_deploy(onnx.load(path), small_onnx.SPEC.input)
    (image,) = network.graph.input
    assert [side.dim_value for side in image.type.tensor_type.shape.dim] == [1, 3, 32, 64]
    session = onnxruntime.InferenceSession(network.SerializeToString(), providers=["CPUExecutionProvider"])
    whole = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    normalised = ((frame.astype(np.float32) - 120) / 60).transpose(0, 3, 1, 2)  # the mean and std of small_model
    (cut,) = session.run(None, {image.name: np.ascontiguousarray(normalised)})
    (full,) = whole.run(None, {"rgb": frame})
    np.testing.assert_allclose(cut, full, rtol=1e-5, atol=1e-5)  # the same operations, perhaps fused otherwise


def test_static_peer_writes_int8_of_the_same_network(tmp_path: Path) -> None:
    model, out = small_onnx.float_onnx(tmp_path), tmp_path / "static.onnx"
    frames = small_onnx.frames(4)
    np.savez(tmp_path / "frames.npz", frames=frames)
    result = run(FOLDER / "peers" / "ort_static.py", model.path, tmp_path / "frames.npz", out)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["frames"] == len(frames)
    ops = [node.op_type for node in onnx.load(out).graph.node]
    assert ops.count("QuantizeLinear") >= ops.count("Conv") > 0
    logits, expected = (
        onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, {"rgb": frames[:1]})[0]
        for path in (out, model.path)
    )
    # 8 bits a tensor through a few layers: some percent
    assert np.sqrt(((logits - expected) ** 2).mean() / (expected**2).mean()) < 0.1


def test_both_peers_give_the_same_figures(tmp_path: Path) -> None:
    clip, model = make_clip(tmp_path / "clip.mp4", frames=4), small_onnx.float_onnx(tmp_path).path
    ours = run(FOLDER / "peers" / "edgeseg_stream.py", clip, tmp_path / "ours.mp4", "--engine", model)
    naive = run(FOLDER / "peers" / "naive.py", clip, tmp_path / "naive.mp4", "--onnx", model)
    assert ours.returncode == 0, ours.stderr
    shared = set(json.loads(ours.stdout)) & set(json.loads(naive.stdout))
    assert shared >= {"frames", "seconds", "fps", "cpu_ms_per_frame", "foreign_cores", "frame_ms"}
    assert json.loads(ours.stdout)["frames"] == json.loads(naive.stdout)["frames"] == 4


@pytest.mark.parametrize("script", ["stream_vs_naive.py", "accuracy.py", "peers/quantizers.py"])
def test_says_which_data_it_needs(
    script: str,
    run_here: Callable[..., object],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("EDGESEG_DATA", "")
    assert run_here(FOLDER / script) == 2
    assert capsys.readouterr().err.splitlines() == [
        "error: the data folder is not known: EDGESEG_DATA is not set",
        "hint: export EDGESEG_DATA=FOLDER",
    ]


def test_report_is_made_of_all_records(tmp_path: Path) -> None:
    for device, name, target in (("board-4c", "first", 3.0), ("board-4c", "second", 5.0), ("pc-2c", "third", 1.0)):
        path = tmp_path / "results" / device / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(record(name, target)))
    result = run(FOLDER / "report.py", "--results", tmp_path / "results", "--out", tmp_path / "RESULTS.md")
    assert result.returncode == 0, result.stderr
    lines = (tmp_path / "RESULTS.md").read_text().splitlines()
    assert [line for line in lines if line.startswith("## ")] == ["## board-4c", "## pc-2c"]
    assert [line.strip() for line in lines if "python benchmarks/" in line][1:] == [
        f"python benchmarks/{name}.py" for name in ("first", "second", "third")
    ]
    assert lines.count("| ours | 20.0 |") == 3
    assert "* **not met**: ratio 4.0 (target: at least 5.0)" in lines


def test_command_line_names_no_folder_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    import record as record_module

    monkeypatch.setenv("EDGESEG_DATA", "/home/someone/data")
    data, images = "camvid:/home/someone/data/camvid?split=test", "/home/someone/data/camvid/train/images"
    arguments = ["--data", data, "--images", images, "--nncf-python", "/opt/x/bin/python", "--clip", "clips/one.mp4"]
    monkeypatch.setattr(sys, "argv", [str(FOLDER / "accuracy.py"), *arguments])
    assert record_module.command_line() == (
        "python benchmarks/accuracy.py --data camvid:$EDGESEG_DATA/camvid?split=test "
        "--images $EDGESEG_DATA/camvid/train/images --nncf-python python --clip clips/one.mp4"
    )
