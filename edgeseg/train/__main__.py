"""Train a network from a command line: `python -m edgeseg.train bisenetv2 --data camvid:PATH?split=train -o runs/x`.

Several --data are drawn by their share: `--data URI --share 0.7 --data URI --share 0.3`. A training that was stopped
goes on where its folder's checkpoint stands. At the end `NAME.safetensors` (fp16, averaged weights, no auxiliary
heads) lies in the folder.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from edgeseg.files import sha256_from_file
from edgeseg.spec import size_from_text
from edgeseg.train.config import TrainConfig
from edgeseg.train.loop import Trainer
from edgeseg.train.recipe import draw_from, spec_from_config, without_paths
from edgeseg.weights.file import state_from_weights, write_weights


def main() -> None:
    """Parse, train, write."""
    options = parsed()
    torch.set_num_threads(options.threads)
    size, crop = (size_from_text(text)[::-1] for text in (options.size, options.crop or options.size))
    shares = options.share or [1.0] * len(options.data)
    config = TrainConfig(
        name=options.name, family=options.family, variant=options.variant, data=tuple(zip(options.data, shares)),
        size=size, crop=crop, steps=options.steps, batch=options.batch, learning_rate=options.learning_rate,
        weight_decay=options.weight_decay, ema=options.ema, auxiliary=options.auxiliary,
        balance=options.balance, seed=options.seed, scale=tuple(options.scale), licence=options.licence,
        start=options.start.name if options.start else "",
        start_sha256=sha256_from_file(options.start) if options.start else "",
    )  # fmt: skip
    options.output.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(config, spec_from_config(config), draw_from(config), options.output)
    if not trainer.resume() and options.start:
        trainer.start_from(state_from_weights(options.start))
    run(trainer, every=options.every)
    average = {k: v for k, v in trainer.average.state_dict().items() if not k.startswith("boosters.")}
    write_weights(options.output / f"{config.name}.safetensors", average, trainer.spec, without_paths(config))


def run(trainer: Trainer, *, every: int) -> None:
    """Train to the last step, with a log row and a checkpoint each `every` steps."""
    losses: list[float] = []
    began, first = time.monotonic(), trainer.step
    while trainer.step < trainer.config.steps:
        losses.append(trainer.train_step())
        if trainer.step % every == 0 or trainer.step == trainer.config.steps:
            seconds = (time.monotonic() - began) / (trainer.step - first)
            row = {"step": trainer.step, "loss": float(np.mean(losses)), "learning_rate": trainer.learning_rate()}
            trainer.log(row)
            trainer.save()
            left = seconds * (trainer.config.steps - trainer.step) / 60
            print(f"step {trainer.step}  loss {row['loss']:.4f}  {seconds:.2f} s/step  {left:.0f} min left", flush=True)
            losses.clear()


def parsed() -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(prog="python -m edgeseg.train", description=__doc__)
    parser.add_argument("family")
    parser.add_argument("--variant", required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--data", action="append", required=True, help="data set URI; may be given several times")
    parser.add_argument("--share", action="append", type=float, help="share of the --data at the same place")
    parser.add_argument("--size", default="480x384", help="WIDTHxHEIGHT of the model's input")
    parser.add_argument("--crop", help="WIDTHxHEIGHT that is learnt from at once; the input's size unless given")
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--weight-decay", type=float, default=1e-2)
    parser.add_argument("--ema", type=float, default=0.998)
    parser.add_argument("--auxiliary", type=float, default=0.4)
    parser.add_argument("--balance", type=float, default=1.0, help="how much more rare classes weigh, 0 not at all")
    parser.add_argument("--scale", type=float, nargs=2, default=(0.5, 2.0), metavar=("LOW", "HIGH"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--licence", default="Apache-2.0")
    parser.add_argument("--start", type=Path, help="begin with these weights (.safetensors)")
    parser.add_argument("--every", type=int, default=50, help="steps between log rows and checkpoints")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("-o", "--output", type=Path, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    main()
