"""`edgeseg train`: a network from pictures and labels."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from edgeseg.commands.options import Json, size_or_none
from edgeseg.errors import MismatchError

if TYPE_CHECKING:
    from edgeseg.progress import Progress
    from edgeseg.train.run import OnStep, TrainingState

USUAL = "the family's unless given."


def command(
    model: Annotated[str, Argument(metavar="MODEL", help="A family, or a bundled name or file to go on from.")],
    data: Annotated[list[str], Option("--data", metavar="URI", help="camvid:PATH?split=train; several: mixed.")],
    share: Annotated[list[float] | None, Option("--share", metavar="SHARE", help="Of the --data; else alike.")] = None,
    output: Annotated[Path | None, Option("-o", "--output", metavar="DIR", help="Else runs/NAME.")] = None,
    epochs: Annotated[float | None, Option(min=0.0, max=1e6, help="Times that the first --data is seen.")] = None,
    steps: Annotated[int | None, Option(min=1, help="Batches.")] = None,
    minutes: Annotated[float | None, Option(min=0.0, max=1e6, help="As many steps as fit, measured first.")] = None,
    val: Annotated[str, Option(metavar="URI", help="Follow the mIoU of this data set.")] = "",
    val_every: Annotated[int | None, Option(min=1, help="Steps between validations; else ten in all.")] = None,
    keep: Annotated[str, Option(help="The last weights, or those best on --val.")] = "last",
    name: Annotated[str | None, Option(help="The model's name; FAMILY-DATA-trained unless given.")] = None,
    variant: Annotated[str | None, Option(help="Of the family; its first one unless given.")] = None,
    size: Annotated[str | None, Option(metavar="WIDTHxHEIGHT", help="Input; that of weights or pictures.")] = None,
    crop: Annotated[str | None, Option(metavar="WIDTHxHEIGHT", help="Learnt from at once; else --size.")] = None,
    batch: Annotated[int | None, Option(min=2, help="Crops a step; 8, and 4 with --qat.")] = None,
    learning_rate: Annotated[float | None, Option(min=1e-9, max=1e3, help=f"AdamW, at its peak; {USUAL}")] = None,
    weight_decay: Annotated[float | None, Option(min=0.0, max=1e3)] = None,
    warm_up: Annotated[int | None, Option(min=0, help="Steps to the peak; 100, at most half of all.")] = None,
    power: Annotated[float | None, Option(min=0.0, max=100.0, help="Of the learning rate's decay; 0.9.")] = None,
    ema: Annotated[float | None, Option(min=0.0, max=0.99999, help="Decay of the averaged weights; 0.998.")] = None,
    balance: Annotated[float | None, Option(min=0.0, max=10.0, help=f"Weight of rare classes, or 0; {USUAL}")] = None,
    ohem: Annotated[float | None, Option(min=0.0, max=1.0, help="Learn from pixels below this probability.")] = None,
    dice: Annotated[float | None, Option(min=0.0, max=1e3, help="Weight of the Dice loss; 0.")] = None,
    auxiliary: Annotated[float | None, Option(min=0.0, max=1e3, help="Weight of each auxiliary head; 0.4.")] = None,
    teacher: Annotated[str | None, Option(metavar="MODEL", help="Learn from its answers, too.")] = None,
    distill: Annotated[float | None, Option(min=0.0, max=1e3, help="Weight of those answers; 1.")] = None,
    scale: Annotated[tuple[float, float] | None, Option(metavar="LOW HIGH", help="Random scale; 0.5 2.")] = None,
    colour: Annotated[float | None, Option(min=0.0, max=1.0, help="Brightness, contrast, saturation; 0.4.")] = None,
    gamma: Annotated[float | None, Option(min=0.0, max=5.0, help="Random gamma, 0.3 for 0.74 to 1.35; 0.")] = None,
    hue: Annotated[float | None, Option(min=0.0, max=180.0, help="Random turn of the hue, degrees; 0.")] = None,
    gain: Annotated[float | None, Option(min=0.0, max=1.0, help="Random gain of each channel; 0.")] = None,
    blur: Annotated[float | None, Option(min=0.0, max=100.0, help="Random blur, largest sigma in pixels; 0.")] = None,
    noise: Annotated[float | None, Option(min=0.0, max=255.0, help="Random noise, largest deviation; 0.")] = None,
    seed: Annotated[int | None, Option(min=0, max=2**32 - 1, help="The same seed gives the same training; 0.")] = None,
    licence: Annotated[str | None, Option(help="SPDX identifier; that of the weights to go on from.")] = None,
    device: Annotated[str, Option(help="auto, cpu or cuda:N.")] = "auto",
    precision: Annotated[str, Option(help="auto, bf16, fp16 (CUDA) or fp32.")] = "auto",
    threads: Annotated[int | None, Option(min=1, help="CPU threads.")] = None,
    every: Annotated[int, Option(min=1, help="Steps between log rows and checkpoints.")] = 50,
    qat: Annotated[bool, Option("--qat", help="Tune for int8: NAME.onnx and its ranges come out.")] = False,
    ranges: Annotated[Path | None, Option(metavar="FILE", help="With --qat: a range table made before.")] = None,
    restart: Annotated[bool, Option("--restart", help="Forget the training in the folder.")] = False,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Train MODEL on pictures with labels. The same command goes on where it was stopped or killed.

    MODEL is a family (bisenetv2, segformer), or weights: then it begins with them, and a new classifier where the
    classes are others. The folder gets NAME.safetensors, checkpoint.pt, log.csv, curves.png and samples.png.
    --qat goes on from weights or an ONNX through the rounding of int8, and takes no labels; its usual rate, scale and
    colour are milder.
    """
    from edgeseg.train import check_trainer

    check_trainer()
    from edgeseg.commands.terminal import note
    from edgeseg.commands.train_int8 import tune
    from edgeseg.train.device import use_threads
    from edgeseg.train.request import Duration, request_from_options, with_shares

    given = {
        "batch": batch, "learning_rate": learning_rate, "weight_decay": weight_decay, "warm_up": warm_up,
        "power": power, "ema": ema, "balance": balance, "ohem": ohem, "dice": dice, "auxiliary": auxiliary,
        "scale": scale, "colour": colour, "gamma": gamma, "hue": hue, "gain": gain, "blur": blur, "noise": noise,
        "seed": seed, "licence": licence, "precision": precision, "val": val, "keep": keep,
        "distill": distill,
    }  # fmt: skip
    use_threads(threads)
    if qat:
        odd = {
            "size": size,
            "crop": crop,
            "name": name,
            "variant": variant,
            "epochs": epochs,
            "val_every": val_every,
            "device": device,
            "teacher": teacher,
        }
        usual = {"precision": "auto", "val": "", "keep": "last", "device": "auto"}
        typed = {**given, **odd, "steps": steps, "minutes": minutes, "every": every}
        tune(
            model, with_shares(data, share or ()), output, ranges,
            {key: value for key, value in typed.items() if value is not None and value != usual.get(key)},
            restart, as_json,
        )  # fmt: skip
        return
    if distill is not None and teacher is None:
        hint = "add --teacher bisenetv2-camvid, or leave --distill out"
        raise MismatchError("--distill has no effect without --teacher", hint=hint, code="ES-MISMATCH-OPTIONS")
    if ranges is not None:
        hint = "add --qat, or leave --ranges out"
        raise MismatchError("--ranges has no effect without --qat", hint=hint, code="ES-MISMATCH-OPTIONS")
    wanted, window = size_or_none(size), size_or_none(crop)
    request = request_from_options(
        model, data, Duration(steps, epochs, minutes), shares=share or (), folder=output, name=name, variant=variant,
        size=wanted and wanted[::-1], crop=window and window[::-1], device=device, every=every, val_every=val_every,
        teacher=teacher,
        fields={key: value for key, value in given.items() if value is not None},
    )  # fmt: skip
    if keep == "best":
        note("note: --keep best chooses by --val, whose mIoU is then no unbiased judge: eval on a third data set")
    trained(request, restart, as_json)


def trained(request: Any, restart: bool, as_json: bool) -> None:
    """Train, and say how it went and what to type next."""
    from edgeseg.commands.terminal import note, print_json, print_table, wrote
    from edgeseg.interrupt import interrupts_held
    from edgeseg.train.run import open_run, result_of

    with shown_training() as (on_step, progress):
        run = open_run(request, on_step, restart=restart, progress=progress)
        config, first = run.trainer.config, run.trainer.step
        note(
            f"{'goes on at step ' + str(first) if first else 'trains'}: {config.family} {config.variant} at "
            f"{config.size[1]}x{config.size[0]}, {config.steps} steps of {config.batch}, "
            f"{config.precision} on {run.trainer.device}"
        )
        try:
            with interrupts_held() as hold:
                run.train(hold)
        except KeyboardInterrupt:
            same = "the same command without --restart" if restart else "the same command"
            note(f"stopped at step {run.trainer.step}; {same} goes on from {run.trainer.checkpoint}")
            raise
    run.finish()
    result = result_of(run, first)
    if as_json:
        print_json(result)
    else:
        shown = ("name", "steps", "images", "loss", "val_miou", "licence")
        print_table(shown, [[figure(key, result[key]) for key in shown]])
    for picture in (run.folder / "curves.png", run.folder / "samples.png"):
        if picture.exists():
            wrote(picture)
    wrote(run.weights, f"edgeseg eval {run.weights} --data {shlex.quote(config.val or 'URI')}")
    wrote(None, f"edgeseg convert {run.weights}")


def figure(key: str, value: Any) -> str:
    """A cell of the result's table."""
    if not isinstance(value, float):
        return str(value)
    return "-" if math.isnan(value) else f"{100 * value:.2f}" if key == "val_miou" else f"{value:.4f}"


@contextmanager
def shown_training() -> Iterator[tuple[OnStep, Progress]]:
    """A bar with loss, rate and speed on a terminal; elsewhere a line for each row of the log."""
    import sys

    from edgeseg.progress import silent

    if not sys.stderr.isatty():
        yield print_row, silent
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description:8}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        TimeRemainingColumn(), TextColumn("{task.fields[figures]}"),
    )  # fmt: skip
    with Bars(*columns, console=Console(stderr=True)) as bars:
        tasks: dict[str, Any] = {}

        def show(task: str, done: int, total: int | None, figures: str = "") -> None:
            if task not in tasks:
                tasks[task] = bars.add_task(task, total=total, completed=done, figures="")
            bars.update(tasks[task], completed=done, total=total, figures=figures)

        def on_step(state: TrainingState) -> None:
            show("train", state.step, state.steps, figures_of(state))
            if state.row is not None:
                bars.console.print(line_of(state), highlight=False, markup=False)

        yield on_step, show


def print_row(state: TrainingState) -> None:
    """A line on stderr where the log got one."""
    from edgeseg.commands.terminal import note

    if state.row is not None:
        note(line_of(state))


def line_of(state: TrainingState) -> str:
    """Where a training stands, on one line."""
    row = state.row
    miou = f"  val mIoU {100 * row.val_miou:.2f}" if row is not None and not math.isnan(row.val_miou) else ""
    seconds = state.seconds_left
    left = f"{seconds / 60:.0f} min" if seconds > 100 else f"{seconds:.0f} s"
    return f"step {state.step}/{state.steps}  {figures_of(state)}{miou}  {left} left"


def figures_of(state: TrainingState) -> str:
    """Loss, learning rate and speed."""
    return f"loss {state.loss:.4f}  lr {state.learning_rate:.1e}  {state.images_per_second:.1f} img/s"
