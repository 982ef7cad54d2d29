"""Shards of an evaluation: their sum is the whole, to the last digit, however it is cut and in any order."""

from __future__ import annotations

import contextlib
import functools
import json
import random
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mutations import damaged
from small_cli import Run, runner
from small_onnx import STREET, street_onnx

import edgeseg
from edgeseg.batch import evaluation
from edgeseg.datasets import open_dataset
from edgeseg.datasets.dataset import Dataset
from edgeseg.errors import FormatError, MismatchError
from edgeseg.evaluation import Evaluation, evaluate
from edgeseg.evaluation_shard import EvaluationShard, evaluate_shard, merged, places_of_shard
from edgeseg.metrics import METRICS
from edgeseg.spec import LabelSet

LABELS = LabelSet(tuple("abc"), ((0, 0, 0),) * 3)
NET_LABELS = LabelSet(tuple("axcb"), ((0, 0, 0),) * 4)  # x is of the net alone


class Net:
    """A segmenter whose labels are the first channel of the image."""

    spec = SimpleNamespace(labels=NET_LABELS, name="net")

    def segment(self, rgb: np.ndarray, size: tuple[int, int]) -> Any:
        return SimpleNamespace(labels=rgb[..., 0])

    def clear_latency(self) -> None:
        pass

    def latency(self) -> dict[str, Any]:
        return {}


class Sample:
    """Labels and truth of a seed. Some names are those of neighbouring frames."""

    def __init__(self, name: str, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.name = name
        self._labels, truth = rng.integers(0, 4, (2, 5, 7), dtype=np.uint8)
        self._truth = np.where(truth == 3, 255, truth).astype(np.uint8)

    def rgb(self) -> np.ndarray:
        return np.stack([self._labels] * 3, -1)

    def labels(self) -> np.ndarray:
        return self._truth


def dataset(seed: int, count: int) -> Dataset:
    numbers = np.cumsum(np.random.default_rng(seed).integers(1, 3, count))
    return Dataset("random", LABELS, [Sample(f"a_{number:03}", seed + place) for place, number in enumerate(numbers)])


def shards_of(data: Dataset, count: int, metrics: Sequence[str] = tuple(METRICS)) -> list[EvaluationShard]:
    evaluations = [
        evaluate(Net(), data, metrics=metrics, places=places_of_shard(index, count, len(data)))  # type: ignore[arg-type]
        for index in range(1, count + 1)
    ]
    return [
        EvaluationShard(index, count, {"data": "random"}, {"cpu": str(index)}, evaluation)
        for index, evaluation in enumerate(evaluations, 1)
    ]


def through_a_file(shard: EvaluationShard, folder: Path) -> EvaluationShard:
    shard.write(folder / "shard.npz")
    return EvaluationShard.read(folder / "shard.npz")


@given(seed=st.integers(0, 2**32 - 1), images=st.integers(1, 12), count=st.integers(1, 15))
def test_the_sum_of_the_shards_is_the_whole_in_any_order(seed: int, images: int, count: int) -> None:
    data = dataset(seed, images)
    whole = evaluate(Net(), data, metrics=tuple(METRICS))  # type: ignore[arg-type]
    with tempfile.TemporaryDirectory() as folder:
        shards = [through_a_file(shard, Path(folder)) for shard in shards_of(data, count)]
    random.Random(seed).shuffle(shards)
    total = merged(shards)
    assert total.to_dict() == whole.to_dict()
    assert all(np.array_equal(total.sums[name], sums) for name, sums in whole.sums.items())
    assert [metric.sums().dtype for metric in total.metrics.values()] == [np.int64] * len(METRICS)


@given(total=st.integers(0, 500), count=st.integers(1, 40))
def test_every_image_is_in_one_shard_and_shards_differ_by_one(total: int, count: int) -> None:
    parts = [places_of_shard(index, count, total) for index in range(1, count + 1)]
    assert [place for part in parts for place in part] == list(range(total))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_the_interval_holds_the_figure_and_narrows_with_more_images() -> None:
    few, many = (evaluate(Net(), dataset(1, n), metrics=("miou",)).intervals()["miou"] for n in (5, 200))  # type: ignore[arg-type]
    for estimate in (few, many):
        assert estimate.low < estimate.value < estimate.high
    assert many.high - many.low < (few.high - few.low) / 2
    assert evaluate(Net(), dataset(1, 1)).intervals() == {}  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def shards() -> list[EvaluationShard]:
    return shards_of(dataset(0, 5), 3)


def other(shard: EvaluationShard, **changed: Any) -> EvaluationShard:
    return EvaluationShard(**{**vars(shard), **changed})


def test_what_is_no_full_set_of_shards_is_refused(shards: list[EvaluationShard]) -> None:
    first, second, third = shards
    wrong: dict[str, list[EvaluationShard]] = {
        "no shards": [],
        "1 of 3 shards are missing: 2": [third, first],
        "shard 2/3 is there 2 times": [first, second, third, second],
        "differ in number of shards": [first, second, other(third, count=4)],
        "differ in data": [first, second, other(third, model={"data": "another"})],
        "differ in metrics": [first, second, shards_of(dataset(0, 5), 3, ("miou",))[2]],
    }
    for message, given_shards in wrong.items():
        with pytest.raises(MismatchError, match=message) as problem:
            merged(given_shards)
        assert problem.value.code == "ES-MISMATCH-SHARDS"
    with pytest.raises(MismatchError) as problem:
        merged([third, first])
    assert "--shard 2/3" in problem.value.hint


@functools.cache
def shard_bytes() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        shards_of(dataset(0, 2), 1)[0].write(Path(folder) / "shard.npz")
        return (Path(folder) / "shard.npz").read_bytes()


@pytest.mark.hypothesis
@given(data=st.data())
def test_a_damaged_file_is_read_or_refused(data: st.DataObject) -> None:
    content = data.draw(damaged(shard_bytes()))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "shard.npz"
        path.write_bytes(content)
        try:
            shard = EvaluationShard.read(path)
        except FormatError as problem:
            assert problem.code == "ES-FORMAT-EVAL-SHARD"
        else:
            assert shard.evaluation.to_dict()["images"] >= 0


def test_a_file_whose_images_do_not_add_up_is_refused(shards: list[EvaluationShard], tmp_path: Path) -> None:
    sums = {name: array + 1 for name, array in shards[0].evaluation.sums.items()}
    evaluation = Evaluation(**{**vars(shards[0].evaluation), "sums": sums})
    with pytest.raises(FormatError, match="do not add up") as problem:
        through_a_file(other(shards[0], evaluation=evaluation), tmp_path)
    assert problem.value.code == "ES-FORMAT-EVAL-SHARD"


@pytest.mark.parametrize("limit", ["&limit=20", pytest.param("", marks=pytest.mark.nightly)])
def test_camvid_in_shards_equals_camvid(limit: str, edgeseg_data: Path, tmp_path: Path) -> None:
    """The net guesses: what is compared are counts and figures, of real labels and of pairs of frames."""
    data = open_dataset(f"camvid:{edgeseg_data}/camvid?split=test{limit}")
    assert STREET.labels.names == data.labels.names
    metrics, count = ("miou", "boundary", "flicker"), 7
    with edgeseg.open(street_onnx(tmp_path).path, threads=1) as segmenter:
        whole = evaluate(segmenter, data, metrics=metrics)
        shards = [evaluate_shard(segmenter, data, i, count, metrics) for i in range(1, count + 1)]
    expected = {**whole.to_dict(), "latency": {}}
    for seed in range(3):
        random.Random(seed).shuffle(shards)
        assert merged([through_a_file(shard, tmp_path) for shard in shards]).to_dict() == expected


STREETS = "street:?seed=3&scenes=2&frames=4&size=96x64&stride=1"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    monkeypatch.chdir(tmp_path)
    street_onnx(tmp_path)
    return runner(monkeypatch, capfd)


def test_a_user_evaluates_in_shards_and_merges_them(run: Run) -> None:
    words = ("eval", "street.onnx", "--data", STREETS, "--metric", "miou", "--metric", "flicker")
    whole = run(*words, "--json").json()
    for shard in ("2/3", "3/3", "1/3"):
        done = run(*words, "--shard", shard, "-o", f"shards/{shard[0]}.npz")
        assert done.code == 0, done.err
    assert done.lines("next") == ["edgeseg eval --merge shards"]
    assert run(*words, "--shard", "1/3", "--json").json()["output"] == "eval-1-of-3.npz"
    total = run("eval", "--merge", "shards", "--json").json()
    assert (total["shards"], len(total["machines"])) == (3, 1)
    different = {"engine", "device", "data", "latency"}  # of the machine
    assert {key: total[key] for key in whole if key not in different} == {
        key: value for key, value in whole.items() if key not in different
    }
    assert run("eval", "--merge", *(f"shards/{n}.npz" for n in (3, 1, 2)), "--json").json() == total
    table = run("eval", "--merge", "shards").out
    assert "mIoU" in table
    assert "95% interval" in table


def test_options_of_shards_that_exclude_each_other_are_refused(run: Run) -> None:
    eval_, data = ("eval", "street.onnx"), ("--data", STREETS)
    refused = {
        (*eval_, *data, "--shard", "4/3"): "ES-FORMAT-SHARD",
        (*eval_, *data, "-o", "x.npz"): "ES-MISMATCH-OPTIONS",
        (*eval_, "other.onnx", *data): "ES-MISMATCH-OPTIONS",
        (*eval_, *data, "--merge"): "ES-MISMATCH-OPTIONS",
        (*eval_, *data, "--ray", "local", "--shard", "1/2"): "ES-MISMATCH-OPTIONS",
        (*eval_, "--video", "test://street", "--shard", "1/2"): "ES-MISMATCH-OPTIONS",
        ("eval", "triton://ann:secret@gpu/street", *data, "--ray", "local"): "ES-MISMATCH-OPTIONS",
        (*eval_, *data, "--engine", "triton://gpu/street", "--ray", "local"): "ES-MISMATCH-OPTIONS",
        ("eval", "--merge", "street.onnx"): "ES-FORMAT-EVAL-SHARD",
        ("eval", "--merge", "nothing.npz"): "ES-FILE-MISSING",
        ("eval", "--merge", "."): "ES-MISMATCH-SHARDS",
    }
    assert {words: run(*words).error_code for words in refused} == refused


def test_ray_gives_the_same_record(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The actors' object is called here as Ray calls it: items and rows go through JSON."""

    def rows(ray: Any, work: str, options: Any, items: Any, **_: Any) -> Iterator[Any]:
        assert work == evaluation.EVALUATE_SHARD
        actor = evaluation.EvaluateShard(**json.loads(json.dumps(options)))
        for item in reversed(items):
            yield json.loads(json.dumps(actor(json.loads(json.dumps(item)))))

    monkeypatch.setattr(evaluation, "connected", contextlib.nullcontext)
    monkeypatch.setattr(evaluation, "free_actors", lambda ray, gpus: 1)
    monkeypatch.setattr(evaluation, "rows_from_ray", rows)
    words = ("eval", "street.onnx", "--data", STREETS, "--json")
    whole, total = run(*words).json(), run(*words, "--ray", "local").json()
    assert total["shards"] == 4
    assert all(total[key] == whole[key] for key in ("images", "miou", "iou", "intervals", "precision", "runtime"))
    images = Path("bad/test/images")
    images.mkdir(parents=True)
    Path("bad/test/labels").mkdir()
    (images / "0.png").write_text("no image")
    cv2.imwrite("bad/test/labels/0.png", np.zeros((4, 4), np.uint8))
    done = run("eval", "street.onnx", "--data", "camvid:bad", "--ray", "local")
    assert (done.code, done.error_code) == (2, run("eval", "street.onnx", "--data", "camvid:bad").error_code)


@pytest.mark.parametrize(
    ("problem", "code"),
    [(ZeroDivisionError(), "ES-ERROR"), (OSError(5, "disk"), "ES-SYSTEM"), (MemoryError(), "ES-MISSING-MEMORY")],
)
def test_whatever_an_actor_raises_is_a_row(
    run: Run, problem: Exception, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*words: Any, **options: Any) -> None:
        raise problem

    monkeypatch.setattr(evaluation, "evaluate_shard", fail)
    actor = evaluation.EvaluateShard(engine="street.onnx", runtime="onnxruntime", data=STREETS, metrics=("miou",))
    assert actor({"index": 1, "count": 2})["error"]["code"] == code


def test_an_engine_that_no_actor_can_open_is_a_row(run: Run) -> None:
    Path("street.onnx").write_bytes(b"damaged")
    actor = evaluation.EvaluateShard(engine="street.onnx", runtime="onnxruntime", data=STREETS, metrics=("miou",))
    assert actor({"index": 1, "count": 2})["error"]["code"].startswith("ES-FORMAT")
