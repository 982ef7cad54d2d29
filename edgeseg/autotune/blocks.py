"""The blocks of layers that stay float together: the modules of the network's source."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from edgeseg.calib.placement import layout_for, placement_from_model

MAX_BLOCKS = 12
OPERATOR = re.compile(r"/(Conv|ConvTranspose|MatMul|Gemm)(_\d+)?$")


@dataclass(frozen=True)
class Block:
    """Layers that stay float or become int8 together. layers: names of their nodes, in the graph's order."""

    name: str
    layers: tuple[str, ...]


def layers_from_model(model: ir.Model, target: str) -> list[str]:
    """The names of the convolutions and matrix products that int8 quantises for `target`, in the graph's order."""
    return [str(node.name) for node in placement_from_model(model, layout_for(target)).weighted]


def blocks_from_layers(layers: Sequence[str], limit: int = MAX_BLOCKS) -> list[Block]:
    """At most `limit` blocks with all `layers`: whole modules, the largest of them split first.

    Names such as "stage3.1.project.0/Conv" and "/encoder/level2/conv/Conv" contain the modules. Without such names the
    layers are divided into runs.
    """
    if not layers:
        return []
    groups = split({(): list(layers)}, ())
    if len(groups) > limit or all(len(inside) == 1 for inside in groups.values()):
        return runs_from_layers(layers, limit)
    while True:
        largest_first = sorted((prefix for prefix in groups if len(groups[prefix]) > 1), key=lambda p: -len(groups[p]))
        finer = next(
            (new for prefix in largest_first if len(groups) < len(new := split(groups, prefix)) <= limit), None
        )
        if finer is None:
            return [Block(block_name(prefix, inside), tuple(inside)) for prefix, inside in groups.items()]
        groups = finer


Groups = dict[tuple[str, ...], list[str]]


def split(groups: Groups, prefix: tuple[str, ...]) -> Groups:
    """`groups` with the group at `prefix` divided by the next word of its layers' names."""
    result: Groups = {}
    for key, layers in groups.items():
        if key != prefix:
            result[key] = layers
            continue
        length = len(shared_words(layers)) + 1
        for layer in layers:
            result.setdefault(tuple(words(layer)[:length]), []).append(layer)
    return result


def words(layer: str) -> list[str]:
    """The modules from the outermost to the innermost."""
    return re.split(r"[./]+", OPERATOR.sub("", layer).strip("/"))


def shared_words(layers: Sequence[str]) -> list[str]:
    """The modules that contain all `layers`."""
    shared: list[str] = []
    for column in zip(*map(words, layers)):
        if len(set(column)) > 1:
            break
        shared.append(column[0])
    return shared


def block_name(prefix: Sequence[str], layers: Sequence[str]) -> str:
    """The name of a single layer, or that of the module with a star."""
    inside = ".".join(shared_words(layers) or prefix)
    return inside if len(layers) == 1 else f"{inside}.*"


def runs_from_layers(layers: Sequence[str], limit: int) -> list[Block]:
    """Runs of neighbouring layers, all of about the same length, named by their first and last layer."""
    count = min(limit, len(layers))
    borders = [round(number * len(layers) / count) for number in range(count + 1)]
    runs = [tuple(layers[start:end]) for start, end in itertools.pairwise(borders)]
    return [Block(run[0] if len(run) == 1 else f"{run[0]} to {run[-1]}", run) for run in runs]
