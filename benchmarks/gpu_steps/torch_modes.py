"""The same networks in torch: eager, as a CUDA graph, and compiled; fp16, channels last, the network alone.

Without resize, normalisation and upsampling: hold it against the engines' "compute". No part of this file has a test
beyond its import: torch's CUDA cannot be emulated.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edgeseg.errors import UnavailableError
from edgeseg.measure.recorder import summary_from_samples
from gpu_steps.nets import RANDOM, network_of_net, spec_of_net
from gpu_steps.work import Results, Work, one_line

ITEMS = RANDOM


def run(item: str, work: Work) -> Results:
    """By mode: milliseconds by CUDA's events, or the reason why there are none."""
    try:
        import torch
    except ImportError as problem:
        raise UnavailableError("torch is not installed", hint="pip install torch") from problem
    if not torch.cuda.is_available():
        raise UnavailableError("torch sees no GPU", hint="install a torch that was built for CUDA")
    torch.backends.cudnn.benchmark = True
    side = spec_of_net(item).input
    network: Any = network_of_net(item, work)
    network = network.cuda().half().to(memory_format=torch.channels_last)
    image = torch.randn(1, 3, side.height, side.width, device="cuda", dtype=torch.float16)
    image = image.to(memory_format=torch.channels_last)
    results: Results = {}
    with torch.inference_mode():
        for mode, make in MODES.items():
            try:
                results[mode] = milliseconds(make(network, image), work)
            except Exception as problem:  # one mode's failure is its own
                results[mode] = {"error": one_line(problem)}
    return results


def eager(network: Any, image: Any) -> Callable[[], object]:
    return lambda: network(image)


def graphed(network: Any, image: Any) -> Callable[[], object]:
    """Recorded after three calls on a stream of its own, as torch asks for."""
    import torch

    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    with torch.cuda.stream(stream):
        for _ in range(3):
            network(image)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        network(image)
    return graph.replay


def compiled(network: Any, image: Any) -> Callable[[], object]:
    """Kernels fused by torch.compile, in a CUDA graph of its own."""
    import torch

    fast: Any = torch.compile(network, mode="reduce-overhead")
    return lambda: fast(image)


MODES = {"eager": eager, "graph": graphed, "compile": compiled}


def milliseconds(call: Callable[[], object], work: Work) -> dict[str, float]:
    """One call at a time, between two events."""
    import torch

    event: Any = torch.cuda.Event
    start, end = event(enable_timing=True), event(enable_timing=True)

    def sample() -> float:
        start.record()
        call()
        end.record()
        end.synchronize()
        return float(start.elapsed_time(end))

    samples = [sample() for _ in range(work.warm_up + work.samples)][work.warm_up :]
    return summary_from_samples(samples).to_dict()
