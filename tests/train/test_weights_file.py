"""Weights files with a spec in their header."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from small_nets import small_spec, write_state

from edgeseg.errors import FileProblem, FormatError, MismatchError
from edgeseg.weights.file import header_from_weights, spec_from_weights, state_from_weights

torch = pytest.importorskip("torch")


def test_a_view_is_written_as_what_it_shows(tmp_path: Path) -> None:
    values = torch.tensor([[1.0, 1e-9, -3.1415926]])
    path = write_state(tmp_path / "w.safetensors", {"view": values.T}, small_spec("bisenetv2"))
    assert torch.equal(state_from_weights(path)["view"], values.T.half().float())


def test_a_file_that_is_not_there_is_a_file_problem(tmp_path: Path) -> None:
    for read in (header_from_weights, spec_from_weights, state_from_weights):
        with pytest.raises(FileProblem, match="nothing"):
            read(tmp_path / "nothing.safetensors")


def test_the_header_holds_spec_and_recipe_and_no_path(tiny_weights: Path) -> None:
    assert spec_from_weights(tiny_weights) == small_spec("bisenetv2")
    header = header_from_weights(tiny_weights)
    config = header["config"]
    assert (config["family"], config["variant"], config["batch"]) == ("bisenetv2", "light", 8)
    assert str(tiny_weights.parent) not in json.dumps(header)


def test_equal_weights_give_equal_bytes_that_everybody_may_read(tmp_path: Path) -> None:
    state = {"b": torch.ones(3), "a": torch.zeros(2, 2)}
    first, second = (write_state(tmp_path / name, state, small_spec("bisenetv2")) for name in ("1.safetensors", "2.x"))
    assert first.read_bytes() == second.read_bytes()
    assert first.stat().st_mode & 0o444 == 0o444
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1.safetensors", "2.x"]


def test_a_truncated_file_is_refused(tiny_weights: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(tiny_weights.read_bytes()[:-1000])
    with pytest.raises(FormatError, match="cut"):
        state_from_weights(cut)


def test_weights_without_a_spec_are_refused(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"w": torch.ones(1)}, tmp_path / "plain.safetensors")
    with pytest.raises(FormatError) as caught:
        spec_from_weights(tmp_path / "plain.safetensors")
    assert caught.value.hint.endswith(f"edgeseg export {tmp_path / 'plain.safetensors'}")


@pytest.mark.parametrize("header", ["5", "null", '"spec"', '["spec"]'])
def test_a_header_that_is_no_object_is_refused(tmp_path: Path, header: str) -> None:
    from safetensors.torch import save_file

    save_file({"w": torch.ones(1)}, tmp_path / "odd.safetensors", metadata={"edgeseg": header})
    with pytest.raises(FormatError, match=r"odd\.safetensors"):
        header_from_weights(tmp_path / "odd.safetensors")


def test_a_newer_spec_is_refused_with_the_upgrade(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    newer = {**small_spec("bisenetv2").to_dict(), "schema": 99}
    save_file({"w": torch.ones(1)}, tmp_path / "n.safetensors", metadata={"edgeseg": json.dumps({"spec": newer})})
    with pytest.raises(MismatchError) as caught:
        spec_from_weights(tmp_path / "n.safetensors")
    assert caught.value.hint == "pip install --upgrade edgeseg"
