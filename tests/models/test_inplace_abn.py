"""Norms that scale by the absolute value of their weight, as batch norms."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from edgeseg.models.checkpoint_formats.inplace_abn import EPS, with_batch_norms  # noqa: E402


def test_a_batch_norm_computes_what_inplace_abn_does() -> None:
    x, weight, bias = torch.randn(2, 3, 4, 5), torch.tensor([-2.0, 0.5, 0.0]), torch.tensor([0.1, -0.2, 0.3])
    mean, variance = torch.tensor([0.5, 0.0, -1.0]), torch.tensor([1.0, 4.0, 0.25])
    old = {"norm.weight": weight, "norm.bias": bias, "norm.running_mean": mean, "norm.running_var": variance}
    network = torch.nn.Sequential()
    network.add_module("norm", torch.nn.BatchNorm2d(3))
    network.load_state_dict(with_batch_norms(old))
    mean, deviation, weight, bias = (v[:, None, None] for v in (mean, (variance + EPS).sqrt(), weight, bias))
    torch.testing.assert_close(network.eval()(x), (x - mean) / deviation * (weight.abs() + EPS) + bias)


def test_norms_of_another_kind_stay() -> None:
    old = {f"{part}.{key}": torch.tensor([-1.0]) for part in ("trunk", "head") for key in ("weight", "running_var")}
    own = with_batch_norms(old, but="trunk.")
    assert own["trunk.weight"].item() == -1.0
    assert own["head.weight"].item() == pytest.approx(1.0 + EPS)
    assert "trunk.num_batches_tracked" not in own
