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
    assert caught.value.code == "ES-FILE-WRITE"
    assert str(tmp_path / "file" / "below") in caught.value.message


def test_a_process_with_the_same_id_in_another_container_does_no_harm(tmp_path: Path) -> None:
    probe = tmp_path / f".edgeseg-{os.getpid()}"
    probe.mkdir()
    assert writable_folder(tmp_path) == tmp_path
    with whole_file(tmp_path / "x.json") as own, whole_file(tmp_path / "x.json") as other:
        assert own != other
        own.write_text("own")
        other.write_text("other")
    assert sorted(path.name for path in tmp_path.iterdir()) == [probe.name, "x.json"]


def test_a_missing_path_and_one_of_the_other_kind_have_codes_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for check, path, code in (
        (existing_file, "none", "ES-FILE-MISSING"),
        (existing_file, ".", "ES-FILE-KIND"),
        (existing_folder, "none", "ES-FILE-MISSING"),
        (existing_folder, "file", "ES-FILE-KIND"),
    ):
        with pytest.raises(FileProblem) as caught:
            check(tmp_path / path)
        assert caught.value.code == code


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.touch(mode=0)
    with pytest.raises(FileProblem) as caught:
        existing_file(path)
    assert caught.value.code == "ES-FILE-READ"


def test_sha256(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"edge" * 1_000_000)
    assert sha256_from_file(tmp_path / "x") == hashlib.sha256(b"edge" * 1_000_000).hexdigest()
