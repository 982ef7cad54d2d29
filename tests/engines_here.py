"""The engines of the table as tests can run them."""

from __future__ import annotations

import pytest
from fake_tensorrt import install

from edgeseg.engines import open_engine
from edgeseg.engines.engine import Engine
from edgeseg.errors import UnavailableError


def engine_here(name: str, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """An engine that runs here, and TensorRT as a fake on an emulated device that holds our calls to its classes."""
    engine = open_engine(name)
    if engine.name == "tensorrt":
        real = pytest.importorskip("tensorrt_rtx", reason="the fake TensorRT takes its classes from tensorrt_rtx")
        install(monkeypatch, real)
    try:
        engine.runnable()
    except UnavailableError as problem:
        pytest.skip(str(problem))
    return engine
