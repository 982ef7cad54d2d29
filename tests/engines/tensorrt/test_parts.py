"""The parts of a TensorRT build that need no TensorRT: progress, complaints, memory."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper
from small_onnx import onnx_model

from edgeseg.engines.options import BuildOptions
from edgeseg.engines.tensorrt.builder import BuildRequest, shapes_from_options
from edgeseg.engines.tensorrt.log_errors import first_line, node_label
from edgeseg.engines.tensorrt.memory import needed_mib
from edgeseg.engines.tensorrt.monitor import Phases
from edgeseg.errors import SizeError
from edgeseg.spec import Precision

MIB = 1 << 20


@given(st.lists(st.integers(1, 5), min_size=1, max_size=4), st.data())
def test_progress_never_goes_back_and_ends_at_one(steps: list[int], data: st.DataObject) -> None:
    phases, seen = Phases(), [0.0]

    def run(level: int, parent: str | None) -> None:
        name = f"{level} {parent}"
        phases.start(name, parent, steps[level])
        for step in range(steps[level]):
            if level + 1 < len(steps) and data.draw(st.booleans()):
                run(level + 1, name)
            phases.step(name, step)
            seen.append(phases.fraction())
        phases.finish(name)

    run(0, None)
    assert all(a <= b for a, b in itertools.pairwise(seen))
    assert seen[-1] == 1.0


def test_a_phase_takes_one_step_of_its_parent() -> None:
    phases = Phases()
    phases.start("Building engine", None, 4)
    phases.step("Building engine", 0)
    phases.start("Timing", "Building engine", 2)
    phases.step("Timing", 0)
    assert phases.fraction() == pytest.approx(0.25 + 0.5 / 4)


def test_a_node_is_told_with_its_operator_and_its_torch_module() -> None:
    node = helper.make_node("Conv", ["x", "w"], ["y"], "stage4.0.gather.0/Conv")
    assert node_label(node) == "stage4.0.gather.0/Conv (Conv, torch module stage4.0.gather.0)"
    assert node_label(helper.make_node("Relu", ["y"], ["z"])) == "z (Relu)"


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("[checkMacros.cpp::catchCudaError::250] Error Code 1: Cuda Runtime (In f at /_src/x.cpp:25 (no device))",
         "Cuda Runtime"),
        ("IBuilder::buildSerializedNetwork: Error Code 10: Internal Error (Could not find any implementation)",
         "Internal Error (Could not find any implementation)"),
        ("\n\nplain words\nmore", "plain words"),
        ("", "TensorRT gives no reason"),
    ],
)  # fmt: skip
def test_a_complaint_is_one_line_without_places_in_somebody_elses_source(said: str, kept: str) -> None:
    assert first_line(said) == kept


def order(channels: int, options: BuildOptions = BuildOptions()) -> BuildRequest:  # noqa: B008 - frozen
    """One convolution with `channels` filters over a picture of 64x32."""
    weight = np.zeros((channels, 3, 3, 3), np.float32)
    nodes = [
        helper.make_node("Cast", ["rgb"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["x"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["x", "w"], ["logits"], pads=[1] * 4),
    ]
    ends = [("rgb", TensorProto.UINT8, [1, 32, 64, 3])], [("logits", TensorProto.FLOAT, [1, channels, 32, 64])]
    shapes = shapes_from_options(32, 64, options)
    return BuildRequest(onnx_model(nodes, *ends, {"w": weight}), "x.onnx", Precision.FP32, options, shapes)


def test_a_build_is_expected_to_take_more_for_more_weights_and_larger_tensors() -> None:
    small, large = order(1), order(1 << 18)
    for is_rtx in (True, False):
        assert needed_mib(small, is_rtx=is_rtx) < needed_mib(large, is_rtx=is_rtx)
    tensors = (1 << 18) * 32 * 64 * 4 / MIB  # what the convolution writes
    assert needed_mib(large, is_rtx=False) > tensors
    batched = order(1 << 18, BuildOptions(batch=(1, 2, 4)))
    assert needed_mib(batched, is_rtx=False) - needed_mib(large, is_rtx=False) > 3 * tensors


def test_shapes_of_a_profile() -> None:
    assert shapes_from_options(32, 64, BuildOptions()) == ()
    shapes = shapes_from_options(32, 64, BuildOptions(batch=(1, 2, 4)))
    assert shapes == ((1, 32, 64, 3), (2, 32, 64, 3), (4, 32, 64, 3))


@pytest.mark.parametrize("batch", [(0, 1, 1), (2, 1, 3), (1, 3, 2)])
def test_a_batch_that_does_not_rise_is_refused(batch: tuple[int, int, int]) -> None:
    with pytest.raises(SizeError) as caught:
        BuildOptions(batch=batch)
    assert caught.value.code == "ES-SIZE-BATCH"
