"""The runtime imports without torch: tests/runtime.sh runs this where torch is not installed."""

from __future__ import annotations

import importlib
import pkgutil

import edgeseg

# These parts need torch, Polygraphy, or the library of an engine.
OPTIONAL = (
    "edgeseg.__main__",
    "edgeseg.commands.train",
    "edgeseg.engines.divergence",
    "edgeseg.engines.pytorch",
    "edgeseg.engines.quantization_error",
    "edgeseg.engines.tensorrt",
    "edgeseg.engines.triton.sample_client",
    "edgeseg.export",
    "edgeseg.live.metrics",
    "edgeseg.live.page.",
    "edgeseg.models",
    "edgeseg.train",
)


def test_every_module_of_the_runtime_imports() -> None:
    names = [module.name for module in pkgutil.walk_packages(edgeseg.__path__, "edgeseg.", onerror=raise_error)]
    runtime = [name for name in names if not name.startswith(OPTIONAL)]
    for name in runtime:
        importlib.import_module(name)
    assert len(runtime) > 100


def raise_error(name: str) -> None:
    raise ImportError(name)
