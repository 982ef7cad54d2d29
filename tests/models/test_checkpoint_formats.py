"""Checkpoints of other codes: each golden is a real checkpoint's key list with logits that its own code gave."""

from __future__ import annotations

import json
import math
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from golden_weights import golden_image, golden_state, read_lines, sampled  # noqa: E402

import edgeseg.models.checkpoint_formats  # noqa: E402
from edgeseg.errors import EdgeSegError, FormatError, MismatchError  # noqa: E402
from edgeseg.labels import unnamed_labels  # noqa: E402
from edgeseg.models import open_family  # noqa: E402
from edgeseg.models.checkpoint_formats import FORMATS, open_format, recognised  # noqa: E402
from edgeseg.spec import InputSpec, ModelSpec  # noqa: E402

FOLDER = Path(__file__).parents[1] / "golden" / "origins"
GOLDENS = sorted(path.stem for path in FOLDER.glob("*.txt"))
# Both nets compute the same sums in float32, in another order at most: rounding, relative to the largest logit.
ROUNDING = 1e-4
OFTEN = 20_000_000  # values; to draw and to run more takes seconds, and is left to the nightly run
UNREAD = {
    "huggingface-dpt",
    "huggingface-segformer",
    "huggingface-upernet",
}  # their goldens are made while testing, by transformers


def facts_of(golden: str) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((FOLDER / f"{golden}.json").read_text("utf-8"))
    return facts


@cache
def keys_of(golden: str) -> tuple[str, ...]:
    return tuple(line.split()[0] for line in read_lines(FOLDER / f"{golden}.txt"))


def state_of(golden: str) -> dict[str, Any]:
    return golden_state(read_lines(FOLDER / f"{golden}.txt"))


def shapes_of(golden: str) -> dict[str, Any]:
    """The checkpoint without values: enough to be renamed, read and refused."""
    state = {}
    for line in read_lines(FOLDER / f"{golden}.txt"):
        key, shape, dtype = line.split()
        sides = [] if shape == "-" else [int(side) for side in shape.split("x")]
        state[key] = torch.empty(sides, dtype=getattr(torch, dtype), device="meta")
    return state


def load(state: dict[str, Any], golden: str) -> Any:
    """The whole way from a checkpoint to a network, at the golden's size."""
    origin = recognised(state, path=golden)
    adopted = origin.adopt(state)
    height, width = facts_of(golden)["input"]
    spec = ModelSpec(
        name=golden,
        input=InputSpec(width=width, height=height),
        labels=unnamed_labels(adopted.classes),
        family=origin.family,
        variant=adopted.variant,
    )
    return open_family(origin.family).load(spec, adopted.state)


def size_of(golden: str) -> int:
    """Number of values of a checkpoint."""
    shapes = (line.split()[1] for line in read_lines(FOLDER / f"{golden}.txt"))
    return sum(math.prod(int(side) for side in shape.split("x")) for shape in shapes if shape != "-")


@pytest.mark.parametrize(
    "golden",
    [
        pytest.param(golden, marks=[pytest.mark.slow, pytest.mark.nightly] if size_of(golden) > OFTEN else [])
        for golden in GOLDENS
    ],
)
def test_adopted_network_gives_the_logits_of_its_own_code(golden: str) -> None:
    facts = facts_of(golden)
    network = load(state_of(golden), golden)
    with torch.inference_mode():
        logits = network(golden_image(*facts["input"]))
    difference = max(abs(own - theirs) for own, theirs in zip(sampled(logits), facts["logits"], strict=True))
    assert difference <= ROUNDING * float(logits.abs().max())


@pytest.mark.parametrize("golden", GOLDENS)
def test_shapes_tell_variant_and_classes(golden: str) -> None:
    facts, state = facts_of(golden), shapes_of(golden)
    origin = recognised(state, path=golden)
    assert (origin.name, origin.family) == (open_format(facts["origin"]).name, facts["family"])
    adopted = origin.adopt(state)
    assert (adopted.variant, adopted.classes) == (facts["variant"], facts["classes"])
    assert adopted.align_corners is facts["align_corners"]
    open_family(origin.family).size_rule.check(adopted.input.width, adopted.input.height, model=golden)
    assert all(0 <= value < 1 for value in adopted.input.mean)


@pytest.mark.parametrize("golden", GOLDENS)
def test_marks_are_those_of_one_origin_alone(golden: str) -> None:
    own = facts_of(golden)["origin"]
    assert [name for name in FORMATS if open_format(name).match_score(keys_of(golden)) == 1.0] == [own]


def test_every_origin_has_a_golden() -> None:
    assert {facts_of(golden)["origin"] for golden in GOLDENS} == set(FORMATS) - UNREAD


def test_table_is_what_lies_on_disk() -> None:
    folder = Path(edgeseg.models.checkpoint_formats.__file__).parent
    on_disk = {path.stem for path in folder.glob("*.py") if re.search(r"^FORMAT = ", path.read_text("utf-8"), re.M)}
    assert {module.rpartition(".")[2] for module in FORMATS.values()} == on_disk


def test_unknown_checkpoint_shows_its_keys_and_the_nearest() -> None:
    keys = [key.replace("ffm", "fusion_module") for key in keys_of("coincheung-bisenetv1-c")]
    with pytest.raises(FormatError) as caught:
        recognised(keys, path="mine.pth")
    assert caught.value.code == "ES-FORMAT-CHECKPOINT"
    assert f"mine.pth has {len(keys)} tensors such as {keys[0]}, {keys[1]}" in caught.value.message
    assert "CoinCheung/BiSeNet v1 (75%" in caught.value.hint


@pytest.mark.parametrize("golden", GOLDENS)
def test_a_tensor_too_many_is_named(golden: str) -> None:
    with pytest.raises(MismatchError) as caught:
        load({**shapes_of(golden), "what.is.this": torch.empty(1)}, golden)
    assert "what.is.this" in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("golden", GOLDENS)
def test_half_a_checkpoint_is_refused(golden: str) -> None:
    signature = recognised(keys_of(golden), path=golden).signature
    half = {key: value for n, (key, value) in enumerate(shapes_of(golden).items()) if n % 2 or key in signature}
    with pytest.raises(EdgeSegError) as caught:
        load(half, golden)
    assert caught.value.hint


@pytest.mark.parametrize("version", "abc")
def test_coincheung_v1_is_told_apart_without_its_training_heads(version: str) -> None:
    golden = f"coincheung-bisenetv1-{version}"
    kept = {key: value for key, value in shapes_of(golden).items() if not key.startswith(("conv_out16", "conv_out32"))}
    whole, deployed = (open_format("coincheung-bisenetv1").adopt(state) for state in (shapes_of(golden), kept))
    assert (deployed.variant, deployed.classes, deployed.details) == (whole.variant, whole.classes, whole.details)


def test_coincheung_statistics_follow_the_classes() -> None:
    versions = [open_format("coincheung-bisenetv1").adopt(shapes_of(f"coincheung-bisenetv1-{d}")) for d in "abc"]
    assert [round(adopted.input.mean[0], 4) for adopted in versions] == [0.3257, 0.4934, 0.4696]
    state = shapes_of("coincheung-bisenetv1-a")
    for key in ("conv_out", "conv_out16", "conv_out32"):
        state[f"{key}.conv_out.weight"] = state[f"{key}.conv_out.weight"][:11]
    adopted = open_format("coincheung-bisenetv1").adopt(state)
    assert (adopted.input.mean, adopted.input.std) == ((0.4, 0.4, 0.4), (0.2, 0.2, 0.2))
    assert adopted.details.endswith("by 0.4 and 0.2")
