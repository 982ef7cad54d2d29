"""What every kind of data set of the table must do."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from small_datasets import SMALL
from small_onnx import float_onnx

import edgeseg
from edgeseg.datasets import DATASETS, open_dataset, open_kind
from edgeseg.datasets.digest import dataset_sha256
from edgeseg.errors import EdgeSegError, FileProblem, MismatchError, UnknownNameError
from edgeseg.evaluation import evaluate

FILES = [name for name in DATASETS if name != "street"]


@pytest.fixture(params=DATASETS)
def uri(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return SMALL[request.param](tmp_path / "there")


def test_every_kind_has_a_small_one() -> None:
    assert set(SMALL) == set(DATASETS)


def test_samples_keep_the_contract(uri: str) -> None:
    dataset = open_dataset(uri)
    assert len(dataset) == len(list(dataset)) == 3
    known = {*range(len(dataset.labels)), dataset.labels.ignore}
    for sample in dataset:
        rgb, labels = sample.rgb(), sample.labels()
        assert (rgb.dtype, labels.dtype) == (np.uint8, np.uint8)
        assert rgb.shape == (*labels.shape, 3)
        found = {int(i) for i in np.unique(labels)}
        assert found <= known
        assert len(found) >= 2
        rgb[:], labels[:] = 0, 0  # the caller's own
        assert sample.rgb().any()
        assert sample.labels().any()


def test_the_order_is_fixed_and_names_are_unique(uri: str) -> None:
    names = [sample.name for sample in open_dataset(uri)]
    assert names == [sample.name for sample in open_dataset(uri)] == sorted(set(names))


def test_no_name_tells_where_the_data_lies(uri: str, tmp_path: Path) -> None:
    dataset = open_dataset(uri)
    assert dataset.name.startswith(uri.partition(":")[0] + ":")
    assert all(str(tmp_path) not in name for name in (dataset.name, *(sample.name for sample in dataset)))


def test_the_hash_is_of_the_data_and_not_of_its_place(uri: str, tmp_path: Path) -> None:
    first = dataset_sha256(open_dataset(uri))
    if (tmp_path / "there").exists():
        shutil.copytree(tmp_path / "there", tmp_path / "elsewhere")
    assert dataset_sha256(open_dataset(uri.replace("/there", "/elsewhere"))) == first
    part = open_dataset(f"{uri}{'&' if '?' in uri else '?'}{'scenes=2' if 'street' in uri else 'limit=2'}")
    assert dataset_sha256(part) != first


def test_a_model_of_other_classes_is_not_evaluated(uri: str, tmp_path: Path) -> None:
    with (
        edgeseg.open(float_onnx(tmp_path).path, threads=1) as segmenter,
        pytest.raises(MismatchError, match="small"),
    ):
        evaluate(segmenter, open_dataset(uri))


@pytest.mark.parametrize("name", DATASETS)
def test_an_unknown_option_names_its_neighbour(name: str) -> None:
    for key in open_kind(name).options:
        with pytest.raises(UnknownNameError) as caught:
            open_dataset(f"{name}:?{key}z=1")
        assert f"{key}z" in caught.value.message
        assert f"{key}?" in caught.value.hint


@pytest.mark.parametrize("name", FILES)
def test_a_missing_folder(name: str, tmp_path: Path) -> None:
    with pytest.raises(FileProblem, match=f"{name}:/path/to/{name}"):
        open_dataset(f"{name}:")
    with pytest.raises(FileProblem, match=f"{tmp_path / 'nowhere'}"):
        open_dataset(f"{name}:{tmp_path / 'nowhere'}")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileProblem, match=f"{tmp_path / 'empty'}"):
        open_dataset(f"{name}:{tmp_path / 'empty'}")


@pytest.mark.parametrize("name", FILES)
def test_limit_draws_the_same_pairs_each_time(name: str, tmp_path: Path) -> None:
    uri = SMALL[name](tmp_path)
    mark = "&" if "?" in uri else "?"

    def names(options: str) -> list[str]:
        return [sample.name for sample in open_dataset(f"{uri}{mark}{options}")]

    whole = [sample.name for sample in open_dataset(uri)]
    assert names("limit=3") == names("limit=9") == whole
    two = names("limit=2&seed=1")
    assert two == names("limit=2&seed=1") == [one for one in whole if one in two]
    assert len(two) == 2
    assert len({tuple(names(f"limit=1&seed={seed}")) for seed in range(9)}) > 1
    assert open_dataset(f"{uri}{mark}limit=2&seed=1").name.endswith("limit=2&seed=1")
    for wrong, code in (
        ("limit=0", "ES-FORMAT-OPTION"),
        ("limit=x", "ES-FORMAT-OPTION"),
        ("seed=1", "ES-MISMATCH-OPTIONS"),
    ):
        with pytest.raises(EdgeSegError, match=wrong) as caught:
            names(wrong)
        assert caught.value.code == code
