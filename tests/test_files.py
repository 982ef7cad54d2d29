from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from edgeseg.errors import FileProblem
from edgeseg.files import existing_file, existing_folder, sha256_from_file, whole_file, writable_folder


def test_a_file_is_there_only_when_the_block_ends_well(tmp_path: Path) -> None:
    target = tmp_path / "new" / "x.json"
    with whole_file(target) as partial:
        partial.write_text("half")
        assert not target.exists()
        assert partial.suffix == ".json"
    assert target.read_text() == "half"
    with pytest.raises(RuntimeError, match="stop"), whole_file(target) as partial:
        partial.write_text("other")
        raise RuntimeError("stop")
    assert target.read_text() == "half"
    assert [path.name for path in target.parent.iterdir()] == ["x.json"]


def test_a_folder_that_takes_no_files_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FileProblem) as caught:
        writable_folder(tmp_path / "file" / "below")
    assert caught.value.message.startswith(f"cannot write to {tmp_path / 'file' / 'below'}")
    assert "-o" in caught.value.hint


def test_what_is_not_a_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileProblem, match="no such file"):
        existing_file(tmp_path / "none")
    with pytest.raises(FileProblem, match="folder, not a file"):
        existing_file(tmp_path)
    with pytest.raises(FileProblem, match="no such folder"):
        existing_folder(tmp_path / "none")
    (tmp_path / "file").touch()
    with pytest.raises(FileProblem, match="file, not a folder"):
        existing_folder(tmp_path / "file")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.touch(mode=0)
    with pytest.raises(FileProblem, match="cannot be read"):
        existing_file(path)


def test_sha256(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"edge" * 1_000_000)
    assert sha256_from_file(tmp_path / "x") == hashlib.sha256(b"edge" * 1_000_000).hexdigest()
