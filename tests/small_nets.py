"""Small networks for tests: of a family, at the smallest size that is not square and that tells some classes."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgeseg.datasets.labels import CAMVID_LABELS
from edgeseg.models import FAMILIES
from edgeseg.spec import InputSpec, ModelSpec
from edgeseg.synthetic import StreetCamera

if TYPE_CHECKING:
    import torch
    from torch import nn

RIDGE = 100.0
# Where a logit compares a pixel with a class: the layer that gives the pixels, and the one that gives the classes.
COMPARED = {"segmenter": ("head.project_patches", "head.project_classes")}
# The families of the bundled models, one with unpooling and one with windows: tests of every family take these in each
# run, and the others nightly.
OFTEN = ("bisenetv1", "bisenetv2", "icnet", "segformer", "enet", "upernet")


def every_family() -> list[Any]:
    """A parameter for each family, nightly but for OFTEN."""
    rare = [pytest.mark.slow, pytest.mark.nightly]
    return [pytest.param(name, marks=[] if name in OFTEN else rare) for name in FAMILIES]


@functools.cache
def smallest_variant(family: str) -> str:
    """`tiny`, or else the variant with the fewest parameters."""
    from edgeseg.models import open_family
    from edgeseg.models.family import TINY

    return (
        TINY
        if TINY in open_family(family).variants
        else min(parameters_by_variant(family), key=parameters_by_variant(family).__getitem__)
    )


@functools.cache
def parameters_by_variant(family: str) -> dict[str, int]:
    """Parameters of each variant for five classes; nothing is allocated."""
    import torch

    from edgeseg.models import open_family

    kin, parameters = open_family(family), {}
    with torch.device("meta"):
        for name, arguments in kin.variants.items():
            parameters[name] = sum(values.numel() for values in kin.module(5, **arguments).parameters())
    return parameters


def small_spec(family: str, variant: str = "", *, square: bool = False) -> ModelSpec:
    """A model of the family, its smallest variant unless given, at the smallest size that is not square.

    square: at the smallest one that is, and is larger than the smallest of all.
    """
    from edgeseg.models import open_family

    rule = open_family(family).size_rule
    height = rule.floor_minimum
    return ModelSpec(
        name=f"tiny-{family}",
        input=InputSpec(width=height + rule.multiple, height=height + rule.multiple * square),
        labels=CAMVID_LABELS,
        family=family,
        variant=variant or smallest_variant(family),
        licence="Apache-2.0",
    )


def street_frames(spec: ModelSpec, count: int = 4) -> list[tuple[np.ndarray, np.ndarray]]:
    """Pictures of the input's size with their labels, one a seed."""
    size = {"width": spec.input.width, "height": spec.input.height}
    return [StreetCamera(seed=seed, **size).render(0) for seed in range(count)]


def small_network(spec: ModelSpec) -> nn.Module:
    """Random weights, batch norms that saw four frames, and a last layer fitted to their labels by least squares.

    With a last layer that is all chance the classes lie so close together that comparing labels measures rounding.
    """
    import torch

    from edgeseg.models import open_family

    torch.manual_seed(0)
    pairs = street_frames(spec)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) * 255 for values in (spec.input.mean, spec.input.std))
    images = (torch.from_numpy(np.stack([rgb for rgb, _ in pairs])).permute(0, 3, 1, 2).float() - mean) / std
    network = open_family(spec.family).build(spec)
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = None  # the running mean and variance become those of all batches
    kinds = (torch.nn.Conv2d, torch.nn.ConvTranspose2d)
    last: Any = [layer for layer in network.modules() if isinstance(layer, kinds)][-1]
    classes = last
    if spec.family in COMPARED:
        last, classes = (network.get_submodule(name) for name in COMPARED[spec.family])
    calls: dict[nn.Module, tuple[torch.Tensor, torch.Tensor]] = {}

    def note(layer: nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        calls[layer] = (inputs[0], output)

    hooks = [layer.register_forward_hook(note) for layer in (last, classes)]
    with torch.no_grad():
        network.train()(images)
        network.eval()(images)
        codes = torch.eye(len(spec.labels)) * 10 - 5 if classes is last else calls[classes][1].mean(0)
        fit_last_layer(last, calls[last][0], torch.from_numpy(np.stack([labels for _, labels in pairs])), codes)
    for hook in hooks:
        hook.remove()
    return network


def fit_last_layer(
    last: nn.Conv2d | nn.ConvTranspose2d | nn.Linear,
    features: torch.Tensor,
    labels: torch.Tensor,
    codes: torch.Tensor,
) -> None:
    """Make `last` give the row of `codes` of each of `labels` (N, H, W), by ridge regression.

    features: (N, C, h, w), or (N, h*w, C) for a linear layer. A larger kernel than 1x1 reads the middle alone; a
    transposed convolution enlarges what a 1x1 one gives.
    """
    import torch

    if features.ndim == 3:
        tokens, stride = features, math.isqrt(labels[0].numel() // features.shape[1])
    else:
        tokens, stride = features.flatten(2).transpose(1, 2), labels.shape[1] // features.shape[2]
    low = labels[:, stride // 2 :: stride, stride // 2 :: stride].flatten().long()
    x = torch.cat([tokens.flatten(0, 1), torch.ones(len(low), 1)], 1)
    if isinstance(last, torch.nn.Linear):
        x[:, -1] = 0  # it has no bias
    weight = torch.linalg.solve(x.T @ x + RIDGE * torch.eye(x.shape[1]), x.T @ codes[low]).T
    if isinstance(last, torch.nn.ConvTranspose2d):
        taps = torch.ones(2) if last.kernel_size == (2, 2) else torch.tensor([0.5, 1, 0.5])
        last.weight.copy_(weight[:, :-1].T[:, :, None, None] * torch.outer(taps, taps))
    elif isinstance(last, torch.nn.Linear):
        last.weight.copy_(weight[:, :-1])
    else:
        middle = last.kernel_size[0] // 2
        last.weight.zero_()[:, :, middle, middle] = weight[:, :-1]
    if last.bias is not None:
        last.bias.copy_(weight[:, -1])


def write_small_weights(path: Path, family: str = "bisenetv2") -> Path:
    """A weights file of such a network."""
    spec = small_spec(family)
    return write_state(path, small_network(spec).state_dict(), spec)


def write_state(path: Path, state: Mapping[str, torch.Tensor], spec: ModelSpec) -> Path:
    """A weights file of these tensors that says to be of `spec`."""
    from edgeseg.train.config import TrainConfig
    from edgeseg.weights.file import write_weights

    size = (spec.input.height, spec.input.width)
    write_weights(path, state, spec, TrainConfig(spec.name, spec.family, spec.variant, (), size, size, steps=0))
    return path
