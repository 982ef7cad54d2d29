"""A network as a picture: its parts in the order of a run, what flows between them, and at which size.

Nothing is computed and nothing is written down by hand: the network runs once on PyTorch's meta device, hooks note the
calls of its modules, and a mode of torch notes from which of them each tensor comes.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

from edgeseg.models.count import shapes_alone

MOST_PARTS = 16
IMAGE = -1  # the source of what comes from no part
COLUMN, ROW, BOX = 112, 62, (98, 38)  # pixels
STYLE = (
    ".box{fill:#eef1fb;stroke:#5b6bc0}.end{fill:#fff;stroke:#888}.name{font:600 11px sans-serif;fill:#222}"
    ".size{font:10px sans-serif;fill:#555}.flow{fill:none;stroke:#8a94c8;stroke-width:1.4}"
)


@dataclass(frozen=True)
class Part:
    """One call of a module. shape: (C, H, W) of its map, or (tokens, D). sources: indices of parts, or IMAGE."""

    name: str
    shape: tuple[int, ...]
    sources: tuple[int, ...]


class Origins(TorchFunctionMode):
    """Notes for every tensor the parts that it was computed from, since the last part's end."""

    def __init__(self) -> None:
        super().__init__()
        self._origins: Any = WeakIdKeyDictionary()

    def of(self, values: Any) -> frozenset[int]:
        """The parts that the tensors in `values` come from."""
        return frozenset().union(*(self._origins.get(tensor, ()) for tensor in tensors_in(values)))

    def set(self, values: Any, parts: frozenset[int]) -> None:
        """Say that the tensors in `values` come from `parts`."""
        for tensor in tensors_in(values):
            self._origins[tensor] = parts

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run `function`; what it gives comes from where its arguments come from."""
        result = function(*args, **(kwargs or {}))
        if parts := self.of((args, kwargs)):
            self.set(result, parts)
        return result


def tensors_in(values: Any) -> Iterator[Tensor]:
    """The tensors in nested lists, tuples and dictionaries."""
    return (leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor))


def parts_of(network: nn.Module, width: int, height: int, *, most: int = MOST_PARTS) -> list[Part]:
    """The parts of `network`, which lies on the meta device, for one image; the last is its logits.

    Of the network's own modules, however many, the one with the most parameters is replaced by the modules inside it,
    again and again, up to `most` calls; except repeated blocks, and modules that consist of single layers.
    """
    calls = calls_of(network, (height, width))
    chosen = set(called_inside("", calls))
    while True:
        inner = {name: called_inside(name, calls) for name in chosen}
        larger = [name for name in chosen if is_varied(network, inner[name], calls)]
        for name in sorted(larger, key=lambda each: -parameters_of(network.get_submodule(each))):
            wanted = chosen - {name} | set(inner[name])
            if sum(calls[each] for each in wanted) <= most:
                chosen = wanted
                break
        else:
            return traced(network, (height, width), chosen)


def is_varied(network: nn.Module, inside: Sequence[str], calls: Mapping[str, int]) -> bool:
    """Whether the modules `inside` are not all of one kind, and at least two consist of others."""
    modules = [network.get_submodule(name) for name in inside]
    kinds = {name if type(module) is nn.Sequential else type(module) for name, module in zip(inside, modules)}
    return len(kinds) > 1 and sum(bool(called_inside(name, calls)) for name in inside) > 1


def parameters_of(module: nn.Module) -> int:
    """Number of trained values."""
    return sum(values.numel() for values in module.parameters())


def calls_of(network: nn.Module, size: tuple[int, int]) -> dict[str, int]:
    """How often each module is called for an image, by name."""
    calls: dict[str, int] = {}

    def counted(name: str) -> Callable[..., None]:
        def hook(*_: Any) -> None:
            calls[name] = calls.get(name, 0) + 1

        return hook

    hooks = [module.register_forward_hook(counted(name)) for name, module in network.named_modules()]
    run(network, size)
    for hook in hooks:
        hook.remove()
    return calls


def called_inside(name: str, calls: Mapping[str, int]) -> list[str]:
    """The outermost modules inside `name` that are called."""
    prefix = f"{name}." if name else ""
    inside = [each for each in calls if each.startswith(prefix) and each not in (name, "")]
    return [each for each in inside if not any(each.startswith(f"{other}.") for other in inside)]


def traced(network: nn.Module, size: tuple[int, int], names: Iterable[str]) -> list[Part]:
    """One part for each call of the modules `names`."""
    parts: list[Part] = []
    entered: list[frozenset[int]] = []
    origins = Origins()

    def enter(module: nn.Module, args: Any, kwargs: Any) -> None:
        entered.append(origins.of((args, kwargs)))

    def leave_as(name: str) -> Callable[..., None]:
        def leave(module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
            *_, last = tensors_in(output)  # of a trunk that gives several maps: the deepest
            parts.append(Part(name, tuple(last.shape[1:]), tuple(sorted(entered.pop()))))
            origins.set(output, frozenset([len(parts) - 1]))

        return leave

    hooks = []
    for name in names:
        module = network.get_submodule(name)
        hooks.append(module.register_forward_pre_hook(enter, with_kwargs=True))
        hooks.append(module.register_forward_hook(leave_as(name), with_kwargs=True))
    logits = run(network, size, origins)
    for hook in hooks:
        hook.remove()
    return [*parts, Part("logits", tuple(logits.shape[1:]), tuple(sorted(origins.of(logits))))]


def run(network: nn.Module, size: tuple[int, int], origins: Origins | None = None) -> Any:
    """The logits for an image without values."""
    image = torch.empty(1, 3, *size, device="meta")
    with torch.inference_mode(), shapes_alone(network):
        if origins is None:
            return network.eval()(image)
        origins.set(image, frozenset([IMAGE]))
        with origins:
            return network.eval()(image)


def svg_from_parts(parts: Sequence[Part], width: int, height: int, title: str) -> str:
    """The parts as boxes from left to right; lower ones have smaller maps. An SVG that needs nothing else."""
    places = placed(parts, height)
    columns, rows = (1 + max(place[axis] for place in places.values()) for axis in (0, 1))
    flows = [flow(places[source], places[n]) for n, part in enumerate(parts) for source in part.sources]
    boxes = [box(places[IMAGE], "image", f"3, {width}x{height}", "end")]
    for n, part in enumerate(parts):
        boxes.append(box(places[n], part.name, size_text(part.shape, height), "end" if n == len(parts) - 1 else "box"))
    size = f'viewBox="0 0 {columns * COLUMN} {rows * ROW + 14}" width="{columns * COLUMN}"'
    arrow = '<marker id="a" viewBox="0 0 6 6" refX="5" refY="3" markerWidth="6" markerHeight="6" orient="auto">'
    arrow += '<path d="M0 0 6 3 0 6" fill="#8a94c8"/></marker>'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img"><title>{html.escape(title)}</title>'
    return "\n".join([head, f"<style>{STYLE}</style><defs>{arrow}</defs>", *flows, *boxes, "</svg>"]) + "\n"


def placed(parts: Sequence[Part], height: int) -> dict[int, tuple[int, int]]:
    """Column and row by part: a column behind its last source, a row for each size of map; one part in each place."""
    places = {IMAGE: (0, 0)}
    for n, part in enumerate(parts):
        row = row_of(part.shape, height)
        if row is None:
            row = max((places[source][1] for source in part.sources), default=0)
        column = 1 + max((places[source][0] for source in part.sources), default=0)
        while (column, row) in places.values():
            column += 1
        places[n] = (column, row)
    used = sorted({row for _, row in places.values()})
    return {n: (column, used.index(row)) for n, (column, row) in places.items()}


def row_of(shape: Sequence[int], height: int) -> int | None:
    """The number of halvings; None for what is no map."""
    return max(0, round(height / shape[-2]).bit_length() - 1) if len(shape) == 3 and shape[-2] > 1 else None


def size_text(shape: Sequence[int], height: int) -> str:
    """Channels and share of the image's side: "128, 1/8"."""
    if row_of(shape, height) is None:
        return "x".join(map(str, shape))
    return f"{shape[0]}, 1/{round(height / shape[1])}"


def box(place: tuple[int, int], name: str, size: str, style: str) -> str:
    """A box with two lines of text."""
    x, y = place[0] * COLUMN + 7, place[1] * ROW + 20
    label = html.escape(short(name))
    middle = x + BOX[0] / 2
    return (
        f'<g><title>{html.escape(name)}: {size}</title><rect class="{style}" x="{x}" y="{y}" width="{BOX[0]}" '
        f'height="{BOX[1]}" rx="4"/><text class="name" x="{middle}" y="{y + 16}" text-anchor="middle">{label}</text>'
        f'<text class="size" x="{middle}" y="{y + 30}" text-anchor="middle">{size}</text></g>'
    )


def short(name: str) -> str:
    """As many of the last components of a module's name as fit into a box."""
    *_, last = components = name.split(".")
    fitting = (".".join(components[n:]) for n in range(len(components)))
    return next((each for each in fitting if len(each) <= 15), last[-15:])


def flow(source: tuple[int, int], target: tuple[int, int]) -> str:
    """An arrow from one box to another; above the boxes between them where they are in one row."""
    x0, y0 = source[0] * COLUMN + 7 + BOX[0], source[1] * ROW + 20 + BOX[1] / 2
    x1, y1 = target[0] * COLUMN + 7, target[1] * ROW + 20 + BOX[1] / 2
    bend = (x1 - x0) / 2
    way = f"M{x0} {y0}C{x0 + bend} {y0} {x1 - bend} {y1} {x1} {y1}"
    if y0 == y1 and target[0] > source[0] + 1:
        edge, top = y0 - BOX[1] / 2, y0 - BOX[1] / 2 - 14
        way = f"M{x0 - 20} {edge}C{x0} {top} {x1} {top} {x1 + 20} {edge}"
    return f'<path class="flow" marker-end="url(#a)" d="{way}"/>'
