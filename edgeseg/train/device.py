"""The device of a training, and its number format."""

from __future__ import annotations

import torch
from torch import nn

from edgeseg.errors import UnavailableError, UnknownNameError
from edgeseg.measure.device import has_native_bf16

BF16_CAPABILITY = 8  # Ampere is the first generation that multiplies bfloat16
PRECISIONS = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}


def device_from_text(text: str) -> torch.device:
    """The device "cpu", "cuda" or "cuda:N"; "auto" takes a CUDA device if there is one."""
    kind, _, index = text.partition(":")
    if text == "auto":
        return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    if text == "cpu":
        return torch.device("cpu")
    if kind != "cuda" or not (index.isdigit() or text == "cuda"):
        raise UnknownNameError(f"unknown device: {text}", hint="--device auto, cpu, cuda or cuda:N")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if int(index or 0) >= count:
        raise UnavailableError(f"no device {text}: this machine has {count} CUDA devices", hint="--device auto")
    return torch.device("cuda", int(index or 0))


def best_precision(device: torch.device) -> str:
    """bf16 where the device has it in hardware; else fp16 on CUDA, fp32 on a CPU."""
    if device.type == "cpu":
        return "bf16" if has_native_bf16() else "fp32"
    return "bf16" if torch.cuda.get_device_capability(device)[0] >= BF16_CAPABILITY else "fp16"


def checked_precision(precision: str, device: torch.device) -> str:
    """`precision`, or the best one for "auto". fp16 needs CUDA: on a CPU small gradients would underflow."""
    if precision == "auto":
        return best_precision(device)
    if precision not in PRECISIONS:
        raise UnknownNameError.among("precision", precision, ("auto", *PRECISIONS))
    if precision == "fp16" and device.type == "cpu":
        raise UnavailableError("fp16 training needs a CUDA device", hint="--precision bf16, or --device cuda:0")
    return precision


def memory_format_for(network: nn.Module, precision: str, device: torch.device) -> torch.memory_format:
    """Channels last, which is faster, but for dilated convolutions in bf16 on a CPU.

    With AVX512-BF16, torch 2.13 gives NaN for the gradients of the weights of some, as of 19 channels with dilation 2.
    """
    is_dilated = any(isinstance(layer, nn.Conv2d) and max(layer.dilation) > 1 for layer in network.modules())
    if is_dilated and precision == "bf16" and device.type == "cpu":
        return torch.contiguous_format
    return torch.channels_last


def use_threads(threads: int | None) -> None:
    """Set the number of torch's CPU threads; None keeps its default."""
    if threads:
        torch.set_num_threads(threads)
