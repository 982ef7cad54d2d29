"""What the tests share: real data where it is named, and skips that can be turned into failures.

EDGESEG_DATA names a folder with real data. EDGESEG_REQUIRE lists what a skip for is a failure: "chromium,cc".
"""

from __future__ import annotations

import functools
import importlib.util
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest
from residual_onnx import residual_onnx
from small_onnx import frames

from edgeseg.artifact import Artifact
from edgeseg.calib.calibrate import ranges_from_images
from edgeseg.calib.range import RangeTable
from edgeseg.provenance import Provenance
from edgeseg.spec import ModelSpec

# No deadline: how long an example takes says more about the machine than about the code.
PROFILE = hypothesis.settings(deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
# A process that a shell starts in the background ignores Ctrl-C, and so would the tests that send it.
signal.signal(signal.SIGINT, signal.default_int_handler)

hypothesis.settings.register_profile("edgeseg", PROFILE, max_examples=30)
hypothesis.settings.register_profile("thorough", PROFILE, max_examples=300)
hypothesis.settings.load_profile("edgeseg")

DATA = "EDGESEG_DATA"
REQUIRE = "EDGESEG_REQUIRE"


def skip_without(what: str, reason: str) -> None:
    """Skip the running test because `what` is not here, or fail it where it is required."""
    if what in os.environ.get(REQUIRE, "").split(","):
        pytest.fail(f"{reason} ({REQUIRE} names {what})")
    pytest.skip(reason)


@pytest.fixture(scope="session", autouse=True)
def short_turns() -> Iterator[None]:
    """What a benchmark of several engines measures in one turn: a few images, for no test needs exact times."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("edgeseg.measure.interleaved.SECONDS", 0.01)
        yield


@pytest.fixture
def edgeseg_data() -> Path:
    """The folder of real data."""
    folder = os.environ.get(DATA)
    if not folder:
        pytest.skip(f"{DATA} is not set: it names a folder with real data")
    path = Path(folder)
    assert path.is_dir(), f"{DATA} names no folder: {folder}"
    return path


@pytest.fixture
def without() -> Callable[[str, str], None]:
    """`skip_without`."""
    return skip_without


@pytest.fixture(scope="session")
def shared_exports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """From now on, tests share the graphs that torch exports; the processes of pytest-xdist, too."""
    pytest.importorskip("torch")
    from shared_exports import sharing

    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "exports"
    folder.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("edgeseg.export.onnx.graph_from_module", sharing(folder))
        yield


@pytest.fixture(scope="session")
def ray_data() -> None:
    """Skips a test without Ray Data."""
    if importlib.util.find_spec("ray") is None:
        skip_without("ray", "ray[data] is not installed: make ray")


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory, shared_exports: None) -> Path:
    """A weights file of a small BiSeNetV2, 96x64, whose name is not that of its model."""
    from small_nets import write_small_weights

    return write_small_weights(tmp_path_factory.mktemp("weights") / "tiny.safetensors")


@pytest.fixture(scope="session")
def tiny_onnx(tiny_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ONNX of `tiny_weights`. Read it, and do not write beside it."""
    from small_nets import street_frames

    from edgeseg.export.model import export_model, source_from_model

    frames = [rgb for rgb, _ in street_frames(source_from_model(tiny_weights).spec)]
    artifact, _ = export_model(tiny_weights, tmp_path_factory.mktemp("onnx") / "tiny.onnx", frames=frames)
    return artifact.path


@pytest.fixture(scope="session")
def family_onnx(tmp_path_factory: pytest.TempPathFactory, shared_exports: None) -> Callable[..., Artifact]:
    """The ONNX of the small network of `small_spec(...)`, exported once. Read it, and do not write beside it."""
    from small_nets import small_network, small_spec

    from edgeseg.export.onnx import onnx_from_module

    @functools.cache
    def export(spec: ModelSpec) -> Artifact:
        path = tmp_path_factory.mktemp(spec.family) / f"{spec.name}.onnx"
        return onnx_from_module(small_network(spec), spec, path, provenance=Provenance(weights="random"))

    return lambda *words, **options: export(small_spec(*words, **options))


@pytest.fixture
def residual(tmp_path: Path) -> Artifact:
    """A float graph with one of everything."""
    return residual_onnx(tmp_path)


@pytest.fixture
def table(residual: Artifact) -> RangeTable:
    """The ranges of `residual`."""
    return ranges_from_images(residual.path, frames(8))
