"""Learning from the answers of a trained network beside the labels."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from small_nets import small_network, small_spec, write_state

torch = pytest.importorskip("torch")

from edgeseg.errors import MismatchError, SizeError  # noqa: E402
from edgeseg.export.model import source_from_model  # noqa: E402
from edgeseg.spec import LabelSet  # noqa: E402
from edgeseg.train.config import TrainConfig  # noqa: E402
from edgeseg.train.loop import Trainer  # noqa: E402
from edgeseg.train.loss import distillation, divergence  # noqa: E402
from edgeseg.train.recipe import draw_from, spec_from_config  # noqa: E402
from edgeseg.train.teacher import Teacher, check_teacher  # noqa: E402

CPU = torch.device("cpu")
CONFIG = TrainConfig(
    name="tiny", family="bisenetv2", variant="light", size=(64, 96), crop=(64, 64), steps=12, batch=2, warm_up=2,
    learning_rate=2e-3, auxiliary=0.0, data=(("street:?seed=1&scenes=2&frames=2&size=96x64", 1.0),),
)  # fmt: skip


def test_the_divergence_is_none_between_equals_and_ignores_a_common_offset() -> None:
    logits = torch.randn(2, 5, 3, 4, generator=torch.manual_seed(0))
    assert float(divergence(logits + 3.0, logits).abs().max()) < 1e-6  # float32 rounding
    assert float(divergence(logits, logits.flip(1)).min()) >= 0
    by_hand = (logits.softmax(1) * (logits.softmax(1) / logits.flip(1).softmax(1)).log()).sum(1)
    assert torch.allclose(divergence(logits.flip(1), logits), by_hand, atol=1e-5)


def test_a_head_of_another_stride_learns_at_the_teachers_and_only_where_labels_judge() -> None:
    generator = torch.manual_seed(0)
    target, logits = (torch.randn(1, 3, size, size, generator=generator) for size in (4, 2))
    labels = torch.zeros(1, 16, 16, dtype=torch.long)
    labels[:, :, 8:] = 255
    loss = float(distillation(logits, target, labels))
    target[..., 2:] += torch.randn(1, 3, 4, 2, generator=generator)
    assert float(distillation(logits, target, labels)) == loss > 0
    assert float(distillation(logits, target, torch.full_like(labels, 255))) == 0


def test_a_network_comes_nearer_to_its_teacher(tmp_path: Path) -> None:
    """From the same random weights on the same crops, with and without the teacher's answers."""
    teacher = Teacher(source_from_model("bisenetv2-street"), CPU)
    before = {key: value.clone() for key, value in teacher.network.state_dict().items()}
    distances = []
    for weight in (0.0, 30.0):
        config = dataclasses.replace(CONFIG, distill=weight)
        trainer = Trainer(config, spec_from_config(config), draw_from(config), tmp_path, teacher=teacher)
        for _ in range(config.steps):
            trainer.train_step()
        images, labels = trainer.batches(100)
        with torch.no_grad():
            logits = trainer.network(trainer.normalise(images))[0]
        distances.append(float(distillation(logits, teacher(images), labels)))
    assert distances[1] < distances[0]
    assert all(torch.equal(value, before[key]) for key, value in teacher.network.state_dict().items())


def test_a_teacher_of_another_family_sees_the_images_by_its_own_statistics(tmp_path: Path) -> None:
    spec = small_spec("liteseg")
    spec = dataclasses.replace(spec, input=dataclasses.replace(spec.input, mean=(0.5,) * 3, std=(0.25,) * 3))
    network = small_network(spec)
    source = source_from_model(write_state(tmp_path / "teacher.safetensors", network.state_dict(), spec))
    assert spec.labels.names == spec_from_config(CONFIG).labels.names
    check_teacher(source, spec.labels, CONFIG.crop)
    teacher = Teacher(source, CPU)
    rgb = torch.randint(0, 256, (1, 3, 64, 64), generator=torch.manual_seed(0)).float()
    with torch.no_grad():
        assert torch.allclose(teacher(rgb), network((rgb / 255 - 0.5) / 0.25), atol=0.1)  # weights in fp16
    losses = []
    for own in (None, teacher):
        trainer = Trainer(CONFIG, spec_from_config(CONFIG), draw_from(CONFIG), tmp_path, teacher=own)
        losses.append(trainer.train_step())
    assert losses[0] < losses[1] < float("inf")


def test_a_crop_that_the_teacher_does_not_take() -> None:
    source = source_from_model("bisenetv2-street")
    with pytest.raises(SizeError, match="70x64"):
        check_teacher(source, source.spec.labels, (64, 70))


def test_a_teacher_of_other_classes() -> None:
    source, grass = source_from_model("bisenetv2-street"), LabelSet(("grass", "sky"), ((0, 0, 0),) * 2)
    with pytest.raises(MismatchError, match="grass"):
        check_teacher(source, grass, (64, 64))
