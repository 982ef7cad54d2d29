"""Checkpoints of other training codes: tensors, and the files beside them.

.safetensors, .pth, .pt and .bin files, and folders that Hugging Face's `save_pretrained` writes, of which
`weights_path` names the file with the tensors. Only tensors and plain data are unpickled.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeseg.errors import FormatError
from edgeseg.files import existing_file
from edgeseg.spec import InputSpec
from edgeseg.weights import MAIN_FILES, WEIGHTS_SUFFIXES
from edgeseg.weights.file import header_from_weights, spec_from_weights, state_from_weights
from edgeseg.weights.folder import config_from_folder, input_from_folder, names_from_config

if TYPE_CHECKING:
    from torch import Tensor

Color = tuple[int, int, int]

MAX_BYTES = 1 << 31
WRAPPERS = ("state_dict", "model_state_dict", "model_state", "model", "module", "network", "net", "weights", "params")
AVERAGED = ("ema_state_dict", "model_ema", "state_dict_ema", "ema")  # used where a file has nothing else
MAX_WRAPPERS = 8  # a dict in a pickle may contain itself
META = ("classes", "palette")
PREFIXES = ("module.", "_orig_mod.")  # of DataParallel and of torch.compile
TRAINED = "model."  # the network of a module that holds losses too (HRNet, PIDNet) or trains it (Lightning)
LOSSES = re.compile(r"\w*(loss|criterion)\w*\.")


@dataclass(frozen=True)
class Checkpoint:
    """The tensors of a network with its training code's names, without wrappers, floats as float32.

    names, palette: of the classes, in the order of the logits; empty where the file does not state them.
    input: from a preprocessor_config.json beside the file. config: the config.json there, or empty.
    """

    path: Path
    state: Mapping[str, Tensor]
    names: tuple[str, ...] = ()
    palette: tuple[Color, ...] = ()
    input: InputSpec | None = None
    config: Mapping[str, Any] = field(default_factory=dict)


def is_own(path: Path) -> bool:
    """Whether edgeseg wrote the weights file at `path`. FormatError where that is not a weights file."""
    if path.suffix not in WEIGHTS_SUFFIXES:
        hint = "name a bundled model (edgeseg models), a .safetensors or .pth file, or a Hugging Face folder"
        raise FormatError(f"not a weights file: {path}", hint=hint)
    return path.suffix == ".safetensors" and "spec" in header_from_weights(path)


def model_name(path: Path) -> str:
    """The name of the model at `path` (from `weights_path`): that of its spec, Hugging Face folder or file."""
    if is_own(path):
        return spec_from_weights(path).name
    return path.resolve().parent.name if path.name in MAIN_FILES else path.stem


def read_checkpoint(path: str | Path) -> Checkpoint:
    """The checkpoint in the file at `path`. FormatError where it is not one, or needs code to be read."""
    path = existing_file(path)
    if path.stat().st_size > MAX_BYTES:
        raise FormatError(f"{path} is larger than 2 GiB", hint="edge models are far smaller: check the path")
    content: Any = state_from_weights(path) if path.suffix == ".safetensors" else unpickled(path)
    state = without_prefixes(state_from_content(content, path))
    names, palette = classes_from_meta(content)
    if path.name not in MAIN_FILES:
        return Checkpoint(path, state, names, palette)
    config = config_from_folder(path.parent)
    return Checkpoint(path, state, names_from_config(config), (), input_from_folder(path.parent), config)


def unpickled(path: Path) -> Any:
    """The content of a torch.save file that consists of tensors and plain data."""
    import torch

    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as problem:
        blocked = blocking_globals(path, str(problem))
        if not blocked:
            hint = "name a .pth that torch.save wrote, or a .safetensors file; TorchScript is not supported"
            raise FormatError(f"torch.load cannot read {path}", hint=hint) from problem
        raise FormatError(
            f"{path} is not only tensors and plain data: reading it would run {', '.join(blocked[:3])}",
            hint="in the code that made it: torch.save(model.state_dict(), 'plain.pth'), then name that file",
        ) from problem


def blocking_globals(path: Path, message: str) -> list[str]:
    """The classes and functions of a pickle that weights_only refuses, sorted; none of them is run."""
    import torch

    try:
        return sorted(torch.serialization.get_unsafe_globals_in_checkpoint(path))
    except Exception:  # files before torch 1.6 have no list, but the message names the first
        return re.findall(r"(?:GLOBAL|global:?) ([\w.]+\.\w+) was not", message)[:1]


def state_from_content(content: Any, path: Path) -> dict[str, Tensor]:
    """The tensors of a flat dict, inside the wrappers of training codes."""
    from torch import Tensor

    for _ in range(MAX_WRAPPERS):
        if not isinstance(content, Mapping):
            break
        inner = next((content[key] for key in (*WRAPPERS, *AVERAGED) if isinstance(content.get(key), Mapping)), None)
        if inner is None:
            tensors = {str(key): value for key, value in content.items() if isinstance(value, Tensor)}
            if not tensors:
                break
            return float32_tensors(tensors, path)
        content = inner
    kind = f"a dict of {', '.join(map(str, list(content)[:4])) or 'nothing'}" if isinstance(content, Mapping) else ""
    raise FormatError(
        f"{path} has no named tensors: it is {kind or 'a ' + type(content).__name__}",
        hint="save them with torch.save(model.state_dict(), 'plain.pth'), then name that file",
    )


def float32_tensors(tensors: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """`tensors` without gradients, floats as float32. FormatError for quantised, sparse, complex or huge ones."""
    import torch

    for key, value in tensors.items():
        if value.is_quantized or value.is_complex() or value.is_meta or value.layout is not torch.strided:
            kind = "has no values" if value.is_meta else f"is {value.dtype}, {value.layout}"
            raise FormatError(f"{path}: the tensor {key} {kind}", hint="save the network's float weights")
    if 4 * sum(value.numel() for value in tensors.values()) > MAX_BYTES:  # repeated values take no space in a file
        raise FormatError(f"{path} is larger than 2 GiB as float32", hint="edge models are far smaller")
    detached = {key: value.detach() for key, value in tensors.items()}
    return {key: value.float() if value.is_floating_point() else value for key, value in detached.items()}


def without_prefixes(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """`state` without the prefixes of wrapping modules, and without the weights of their losses."""
    for prefix in (*PREFIXES, *PREFIXES):  # in either order
        if all(key.startswith(prefix) for key in state):
            state = {key.removeprefix(prefix): value for key, value in state.items()}
    network = {key.removeprefix(TRAINED): value for key, value in state.items() if key.startswith(TRAINED)}
    rest = [key for key in state if not key.startswith(TRAINED)]
    return network if network and all(map(LOSSES.match, rest)) else state


def classes_from_meta(content: Any) -> tuple[tuple[str, ...], tuple[Color, ...]]:
    """Names and colours from mmsegmentation: meta CLASSES and PALETTE (0.x), dataset_meta (1.x)."""
    meta = content.get("meta") if isinstance(content, Mapping) else None
    if not isinstance(meta, Mapping):
        return (), ()
    described = meta.get("dataset_meta")
    known = {str(key).lower(): value for key, value in (described if isinstance(described, Mapping) else meta).items()}
    names, colors = (value if isinstance(value, (list, tuple)) else () for value in map(known.get, META))
    try:
        palette = tuple((int(r), int(g), int(b)) for r, g, b in colors)
    except (TypeError, ValueError, OverflowError):
        palette = ()
    fits = len(palette) == len(names) and all(0 <= value <= 255 for color in palette for value in color)
    return tuple(map(str, names)), palette if fits else ()
