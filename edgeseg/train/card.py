"""The card of a trained model: what it is, what it began with, and the command that repeats its training."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path

from edgeseg.datasets import open_dataset
from edgeseg.spec import ModelSpec
from edgeseg.train.checkpoint import NOT_OPTIONS, words_of
from edgeseg.train.config import TrainConfig, preset_of
from edgeseg.weights import BUNDLED

# Fields that the command has in another form, or not at all.
ASIDE = {*NOT_OPTIONS, "encoder", "minutes", "variant", "data", "val", "teacher"}


def card_of(config: TrainConfig, spec: ModelSpec, data_sha256: str) -> str:
    """The card, as Markdown; data sets are without their paths."""
    size = f"{spec.input.width}x{spec.input.height}"
    begun = [
        f"{what}: `{source}`{licence}, SHA-256 `{sha256}`.\n"
        for what, source, licence, sha256 in (
            ("Initial weights", config.start, "", config.start_sha256),
            ("Weights of the encoder", config.encoder, f", licence {config.encoder_licence}", config.encoder_sha256),
            ("Teacher", config.teacher, "", config.teacher_sha256),
        )
        if source
    ]
    command = " \\\n      ".join(shlex.join(words) for words in command_words(config))
    return (
        f"# {spec.name}\n\n"
        f"{config.family} `{config.variant}` for {len(spec.labels)} classes, input {size}. Licence: {spec.licence}.\n\n"
        f"{''.join(begun)}Data: SHA-256 `{data_sha256}`.\n\n"
        f"Recipe: {config.steps} steps of {config.batch} crops.\n\n    {command}\n"
    )


def command_words(config: TrainConfig) -> list[list[str]]:
    """The command that repeats a training, by option; those that have their defaults are left out."""
    defaults = {field.name: field.default for field in dataclasses.fields(config)}
    defaults |= {**preset_of(config.family), "crop": config.size, "licence": "unknown", "precision": "auto"}
    words = [["edgeseg", "train", as_model(config.start) or config.family]]
    words += [] if config.start else [["--variant", config.variant]]
    words += [["--encoder-weights", config.encoder.partition("==")[0]]] if config.encoder else []
    words += [words_of("data", [(without_path(uri), share)]) for uri, share in config.data]
    words += [["--val", without_path(config.val)]] if config.val else []
    words += [["--teacher", as_model(config.teacher)]] if config.teacher else []
    fields = {key: value for key, value in dataclasses.asdict(config).items() if key not in ASIDE}
    return words + [words_of(key, value) for key, value in fields.items() if value != defaults[key]]


def as_model(file: str) -> str:
    """The name of a bundled model for its weights file; other files by their own."""
    return Path(file).stem if Path(file).stem in BUNDLED else file


def without_path(uri: str) -> str:
    """The URI of a data set with all its options, and PATH in place of its path."""
    has_path = bool(uri.partition(":")[2].partition("?")[0])
    name = open_dataset(uri).name
    return name.replace(":", ":PATH", 1) if has_path else name
