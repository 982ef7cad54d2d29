"""PointRend's points: which they are, what is sampled there, and what becomes of the other logits."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from edgeseg.models.pointrend import FAMILY, corners_of, least_certain, sampled  # noqa: E402


@pytest.mark.parametrize("factor", [2, 4])
def test_points_are_sampled_as_by_grid_sample(factor: int) -> None:
    torch.manual_seed(0)
    height, width = 5, 7
    fine_height, fine_width = size = (factor * height, factor * width)
    x = torch.randn(2, 3, height, width)
    indices = torch.stack([torch.randperm(fine_height * fine_width) for _ in x])
    centres = torch.stack([indices % fine_width / fine_width, indices // fine_width / fine_height], 2)
    centres = centres + 0.5 / torch.tensor([fine_width, fine_height])
    expected = torch.nn.functional.grid_sample(x, (2 * centres - 1).unsqueeze(2), align_corners=False)
    torch.testing.assert_close(sampled(x, *corners_of(indices, size, factor)), expected)


@pytest.mark.parametrize("at_once", [2, 5, 100])
def test_the_least_certain_points_have_the_closest_two_logits(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeseg.models.pointrend.LARGEST_TOPK", at_once)
    margins = torch.randperm(24).reshape(1, 1, 4, 6).float() + 1
    logits = torch.cat([torch.full_like(margins, -50.0), margins, torch.zeros_like(margins)], 1)
    indices = least_certain(logits, 5)
    assert margins.flatten()[indices[0]].tolist() == [1, 2, 3, 4, 5]
    assert sorted(least_certain(logits, 100)[0].tolist()) == list(range(24))  # no more than there are


@pytest.mark.parametrize(("training", "points"), [(False, 7), (True, 1)])
def test_logits_apart_from_the_points_are_those_of_the_coarse_map(training: bool, points: int) -> None:
    torch.manual_seed(0)
    network = FAMILY.module(5, **{**FAMILY.variants["tiny"], "points": 7}).train(training)
    coarse, fine = torch.randn(1, 5, 8, 8), torch.randn(1, 32, 8, 8)
    logits = torch.nn.functional.interpolate(coarse, scale_factor=2.0, mode="bilinear")
    with torch.no_grad():
        changed = (network.refined(logits, coarse, fine, 2) != logits).any(1).flatten()
    assert changed.nonzero().flatten().tolist() == sorted(least_certain(logits, points)[0].tolist())
