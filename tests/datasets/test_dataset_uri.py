"""URIs of data sets, and the syntax that they share with sources and sinks."""

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
from edgeseg.errors import EdgeSegError, FileProblem, UnknownNameError
from edgeseg.uri import options_from_query, split_kind, split_options

WORDS = st.text("abcxyz019_.", min_size=1, max_size=6)


@given(st.dictionaries(WORDS, WORDS))
def test_options_are_read_as_a_query_is(options: dict[str, str]) -> None:
    query = "&".join(f"{key}={value}" for key, value in options.items())
    assert options_from_query(query) == options == dict(parse_qsl(query))


def test_table_is_what_lies_on_disk() -> None:
    folder = Path(edgeseg.datasets.__file__).parent
    on_disk = {path.stem for path in folder.glob("*.py") if re.search(r"^KIND = ", path.read_text("utf-8"), re.M)}
    assert {module.rpartition(".")[2] for module in DATASETS.values()} == on_disk
    assert all(open_kind(name).name == name for name in DATASETS)


def test_unknown_kind() -> None:
    with pytest.raises(UnknownNameError, match=r"camvit .*camvid"):
        open_dataset("camvit:/data")


def test_a_bare_path_lists_the_known_kinds() -> None:
    with pytest.raises(UnknownNameError) as caught:
        open_dataset("/data/camvid")
    assert all(name in caught.value.hint for name in DATASETS)


@pytest.mark.parametrize(
    ("uri", "code"),
    [
        ("street:?frames", "ES-FORMAT-OPTION"),
        ("street:?frames=", "ES-FORMAT-OPTION"),
        ("street:?=4", "ES-NAME"),
        ("street:?frames=4&frames=5", "ES-FORMAT-OPTION"),
        ("test://street?seed=1&seed=2", "ES-FORMAT-OPTION"),
    ],
)
def test_options_without_a_single_value(uri: str, code: str) -> None:
    from edgeseg.video.source import open_source

    with pytest.raises(EdgeSegError) as caught:
        (open_source if "//" in uri else open_dataset)(uri)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("uri", "parts"),
    [
        ("camera:0", ("camera", "0")),
        ("TEST://street", ("test", "street")),
        ("coco_stuff:/data", ("coco_stuff", "/data")),
        ("C:\\clip.mp4", ("", "C:\\clip.mp4")),
        ("a:b.mp4", ("", "a:b.mp4")),
        ("my clip: 1.mp4", ("", "my clip: 1.mp4")),
        ("frames/x:y.png", ("", "frames/x:y.png")),
    ],
)
def test_kinds(uri: str, parts: tuple[str, str]) -> None:
    assert split_kind(uri) == parts


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("img?.png", ("img?.png", {})),
        ("img?.png?fps=5", ("img?.png", {"fps": "5"})),
        ("a.mp4?encoder=x&b=%20", ("a.mp4", {"encoder": "x", "b": " "})),
        ("a?b=1?", ("a?b=1?", {})),
    ],
)
def test_options_follow_the_last_question_mark(text: str, parts: tuple[str, dict[str, str]]) -> None:
    assert split_options(text) == parts


def test_a_path_may_hold_a_colon() -> None:
    with pytest.raises(FileProblem, match=r"C:\\data"):
        open_dataset("camvid:C:\\data")


def test_no_framework_is_loaded() -> None:
    code = (
        "import sys; from edgeseg.datasets import open_dataset; next(iter(open_dataset('street:?size=64x48'))).rgb();"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=Path.cwd()).returncode == 0
