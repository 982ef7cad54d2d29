"""The device of a training and its number format; torch's answers about CUDA are faked."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

import edgeseg.train.device  # noqa: E402
from edgeseg.errors import UnavailableError, UnknownNameError  # noqa: E402
from edgeseg.train.batches import Batches  # noqa: E402
from edgeseg.train.device import checked_precision, device_from_text, memory_format_for  # noqa: E402

CPU = torch.device("cpu")


def pretend(monkeypatch: pytest.MonkeyPatch, *, cards: int, capability: tuple[int, int] = (9, 0)) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cards > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: cards)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)


def test_auto_takes_a_card_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, cards=0)
    assert device_from_text("auto") == CPU
    pretend(monkeypatch, cards=2)
    assert device_from_text("auto") == device_from_text("cuda") == torch.device("cuda", 0)
    assert device_from_text("cuda:1") == torch.device("cuda", 1)
    assert device_from_text("cpu") == CPU


@pytest.mark.parametrize(("cards", "text"), [(0, "cuda"), (0, "cuda:0"), (2, "cuda:2")])
def test_a_card_that_is_not_there(monkeypatch: pytest.MonkeyPatch, cards: int, text: str) -> None:
    pretend(monkeypatch, cards=cards)
    with pytest.raises(UnavailableError, match=text):
        device_from_text(text)


@pytest.mark.parametrize("text", ["gpu", "cuda:x", "cuda:", "cuda:-1", ""])
def test_no_device(text: str) -> None:
    with pytest.raises(UnknownNameError):
        device_from_text(text)


def test_the_number_format_is_the_best_of_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    card = torch.device("cuda", 0)
    pretend(monkeypatch, cards=1)
    assert checked_precision("auto", card) == "bf16"
    pretend(monkeypatch, cards=1, capability=(7, 5))
    assert checked_precision("auto", card) == "fp16"
    for native, precision in ((True, "bf16"), (False, "fp32")):
        monkeypatch.setattr(edgeseg.train.device, "has_native_bf16", lambda native=native: native)
        assert checked_precision("auto", CPU) == precision
    assert checked_precision("fp32", card) == "fp32"
    with pytest.raises(UnavailableError, match="fp16"):
        checked_precision("fp16", CPU)
    with pytest.raises(UnknownNameError, match="int8"):
        checked_precision("int8", CPU)


@pytest.mark.parametrize(
    ("dilation", "precision", "device", "is_last"),
    [(1, "bf16", "cpu", True), (2, "fp32", "cpu", True), (2, "bf16", "cuda", True), ((1, 2), "bf16", "cpu", False)],
)
def test_the_channels_are_last_but_for_dilated_convolutions_in_bf16_on_a_cpu(
    dilation: int, precision: str, device: str, is_last: bool
) -> None:
    network = torch.nn.Sequential(torch.nn.ReLU(), torch.nn.Conv2d(4, 4, 3, dilation=dilation))
    found = memory_format_for(network, precision, torch.device(device))
    assert (found == torch.channels_last) == is_last


@pytest.mark.parametrize("dilation", [2, 4, 8])
def test_dilated_convolutions_have_gradients_in_bf16(dilation: int) -> None:
    layer = torch.nn.Conv2d(19, 16, 3, padding=dilation, dilation=dilation)
    order = memory_format_for(layer, "bf16", CPU)
    images = torch.randn(2, 19, 24, 40).contiguous(memory_format=order)
    with torch.autocast("cpu", torch.bfloat16):
        layer.to(memory_format=order)(images).float().square().mean().backward()
    assert bool(layer.weight.grad.isfinite().all())


def test_batches_are_the_same_however_many_are_made_ahead() -> None:
    def make(step: int) -> tuple[torch.Tensor, torch.Tensor]:
        generator = torch.Generator().manual_seed(step)
        return torch.rand(3, generator=generator), torch.tensor(step)

    for workers in (0, 3):
        batches = Batches(make, workers)
        for step in range(5, 12):
            images, labels = batches(step)
            assert torch.equal(images, make(step)[0])
            assert int(labels) == step
        batches.close()


def test_what_fails_in_the_background_is_raised_where_the_batch_is_asked_for() -> None:
    def make(step: int) -> tuple[torch.Tensor, torch.Tensor]:
        raise ValueError(f"no batch {step}")

    batches = Batches(make, 2)
    with pytest.raises(ValueError, match="no batch 7"):
        batches(7)
    batches.close()
