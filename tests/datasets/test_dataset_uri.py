"""The one line of text that names a data set."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

import edgeseg.datasets
from edgeseg.datasets import DATASETS, open_dataset, open_kind
from edgeseg.datasets.dataset import given_options
from edgeseg.errors import DataError, UnknownNameError

WORDS = st.text("abcxyz019_.", min_size=1, max_size=6)


@given(st.dictionaries(WORDS, WORDS))
def test_options_are_read_as_a_query_is(options: dict[str, str]) -> None:
    query = "&".join(f"{key}={value}" for key, value in options.items())
    assert given_options(query) == options == dict(parse_qsl(query))


def test_table_is_what_lies_on_disk() -> None:
    folder = Path(edgeseg.datasets.__file__).parent
    on_disk = {path.stem for path in folder.glob("*.py") if re.search(r"^KIND = ", path.read_text("utf-8"), re.M)}
    assert set(DATASETS) == on_disk
    assert all(open_kind(name).name == name for name in DATASETS)


def test_unknown_kind() -> None:
    with pytest.raises(UnknownNameError) as caught:
        open_dataset("camvit:/data")
    assert str(caught.value) == "unknown data set: camvit (did you mean camvid?)"


def test_a_bare_path_lists_the_known_kinds() -> None:
    with pytest.raises(UnknownNameError) as caught:
        open_dataset("/data/camvid")
    assert caught.value.message == "no data set is named in /data/camvid"
    assert (
        caught.value.hint == "write NAME:/data/camvid, NAME being one of camvid, cityscapes, coco_stuff, folder, street"
    )


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        ("street:?frames", r"no value in 'frames' \(write frames=VALUE, options apart by &\)"),
        ("street:?frames=", r"no value in 'frames=' \(write frames=VALUE"),
        ("street:?=4", "unknown option of street: "),
        ("street:?frames=4&frames=5", r"frames is given twice \(keep one frames=VALUE\)"),
    ],
)
def test_options_that_say_nothing(uri: str, told: str) -> None:
    with pytest.raises((DataError, UnknownNameError), match=told):
        open_dataset(uri)


def test_a_path_may_hold_a_colon() -> None:
    with pytest.raises(Exception, match=r"no such folder: C:\\data"):
        open_dataset("camvid:C:\\data")


def test_no_framework_is_loaded() -> None:
    code = (
        "import sys; from edgeseg.datasets import open_dataset; next(iter(open_dataset('street:?size=64x48'))).rgb();"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=Path.cwd()).returncode == 0
