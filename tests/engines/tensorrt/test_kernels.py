"""The GPU's kernels, compiled for the CPU, against edgeseg/pixels; and compiled for each GPU."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from emulated_cuda import EmulatedCuda, library_path, use_cpu_kernels
from hypothesis import given
from hypothesis import strategies as st

from edgeseg.engines.tensorrt.kernels import PixelKernels, RgbFrame, YuvFrame, compile, structs
from edgeseg.errors import SizeError, UnavailableError
from edgeseg.pixels.overlay import IGNORE, overlay_labels
from edgeseg.pixels.planes import KR_KB, Planes, half
from edgeseg.pixels.resize import resize_rgb
from edgeseg.pixels.upsample import labels_from_logits, labels_from_logits_numpy, labels_nearest
from edgeseg.pixels.yuv import resize_planes, rgb_from_planes

GPUS = ("7.5", "8.0", "8.6", "8.7", "8.9", "9.0", "10.0", "11.0", "12.0")  # Turing to Blackwell; 8.7, 11.0: Jetson
SIDE = st.integers(1, 70)
SIZE = st.tuples(SIDE, SIDE)
SEED = st.integers(0, 2**32 - 1)
ARRAY = np.ndarray[Any, Any]


class Bench:
    """Kernels on the emulated device, and arrays to and from it."""

    def __init__(self, cuda: EmulatedCuda) -> None:
        self.cuda = cuda
        self.stream = cuda.stream()
        self.kernels = PixelKernels(cuda)

    def put(self, array: ARRAY) -> int:
        buffer = self.cuda.buffer(array.nbytes)
        self.cuda.upload(buffer, np.ascontiguousarray(array), self.stream)
        return buffer.address

    def resize(self, picture: RgbFrame | YuvFrame, size: tuple[int, int]) -> ARRAY:
        target = self.cuda.buffer(3 * size[0] * size[1])
        self.kernels.resize(picture, target.address, size, self.stream)
        return self.cuda.array(target.address, (*size, 3), np.uint8)

    def labels(self, logits: ARRAY, size: tuple[int, int], *, align_corners: bool) -> ARRAY:
        target = self.cuda.buffer(size[0] * size[1])
        dtype = "fp16" if logits.dtype == np.float16 else "fp32"
        shape = logits.shape
        self.kernels.labels(
            self.put(logits), shape, target.address, size, self.stream, dtype=dtype, align_corners=align_corners
        )
        return self.cuda.array(target.address, size, np.uint8)

    def overlay(self, rgb: ARRAY, labels: ARRAY, palette: ARRAY, opacity: float, *, bgr: bool) -> ARRAY:
        address = self.put(rgb)
        picture = RgbFrame(address, rgb.shape[:2], bgr=bgr)
        labels_at = self.put(labels)
        self.kernels.overlay(picture, labels_at, labels.shape, palette, address, self.stream, opacity=opacity)
        return self.cuda.array(address, rgb.shape, np.uint8)


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    try:
        library_path()
    except UnavailableError as problem:
        from conftest import skip_without

        skip_without("cc", problem.message)
    cuda = EmulatedCuda(memory_mib=4096)
    with pytest.MonkeyPatch.context() as patch, cuda, cuda.current():
        use_cpu_kernels(patch)
        yield Bench(cuda)


def noise(seed: int, *shape: int) -> ARRAY:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


@given(size_in=SIZE, size=SIZE, seed=SEED)
def test_resize_is_that_of_the_runtime_to_the_bit(bench: Bench, size_in: Any, size: Any, seed: int) -> None:
    rgb = noise(seed, *size_in, 3)
    np.testing.assert_array_equal(bench.resize(RgbFrame(bench.put(rgb), size_in), size), resize_rgb(rgb, size))


@pytest.mark.parametrize("size_in", [(1080, 1920), (720, 1280), (1024, 2048), (480, 640)])
def test_resize_of_whole_frames(bench: Bench, size_in: tuple[int, int]) -> None:
    rgb = noise(1, *size_in, 3)
    assert np.array_equal(bench.resize(RgbFrame(bench.put(rgb), size_in), (512, 1024)), resize_rgb(rgb, (512, 1024)))


def test_a_bgr_frame_with_gaps_between_its_rows(bench: Bench) -> None:
    rows = noise(2, 30, 128)
    bgr = rows[:, : 3 * 40].reshape(30, 40, 3)
    picture = RgbFrame(bench.put(rows), (30, 40), pitch=128, bgr=True)
    np.testing.assert_array_equal(bench.resize(picture, (17, 23)), resize_rgb(bgr[..., ::-1].copy(), (17, 23)))


@given(size=SIZE, seed=SEED, matrix=st.sampled_from(sorted(KR_KB)), full_range=st.booleans(), nv12=st.booleans())
def test_planes_become_the_rgb_of_the_cpu(
    bench: Bench, size: Any, seed: int, matrix: Any, full_range: bool, nv12: bool
) -> None:
    y, u, v = noise(seed, *size), *noise(seed + 1, 2, half(size[0]), half(size[1]))
    if nv12:
        picture = YuvFrame.nv12(size, bench.put(y), bench.put(np.stack([u, v], -1)), matrix, full_range)
    else:
        picture = YuvFrame.i420(size, *map(bench.put, (y, u, v)), matrix, full_range)
    planes = Planes("I420", (y, u, v), matrix, full_range)
    np.testing.assert_array_equal(bench.resize(picture, size), rgb_from_planes(planes))
    smaller = (half(size[0]), size[1])
    np.testing.assert_array_equal(bench.resize(picture, smaller), resize_planes(planes, smaller))


@given(
    classes=st.integers(1, 32), low=st.tuples(st.integers(1, 20), st.integers(1, 20)), size=SIZE, seed=SEED,
    half_precision=st.booleans(), align_corners=st.booleans(), steps=st.sampled_from([3, 1000]),
)  # fmt: skip
def test_labels_are_those_of_the_runtime(
    bench: Bench, classes: int, low: Any, size: Any, seed: int, half_precision: bool, align_corners: bool, steps: int
) -> None:
    """steps: how many values logits take; of 3, classes often tie."""
    logits = np.random.default_rng(seed).integers(0, steps, (classes, *low)) / np.float32(7)
    logits = logits.astype(np.float16 if half_precision else np.float32)
    labels = bench.labels(logits, size, align_corners=align_corners)
    expected = labels_from_logits_numpy(logits.astype(np.float32), size, align_corners=align_corners)
    np.testing.assert_array_equal(labels, expected)


@pytest.mark.parametrize("align_corners", [False, True])
def test_labels_of_a_whole_frame(bench: Bench, align_corners: bool) -> None:
    field = np.random.default_rng(6).normal(size=(19, 128, 256)).astype(np.float32)
    logits = np.stack([cv2.GaussianBlur(plane, (0, 0), 4) for plane in field])
    labels = bench.labels(logits, (1080, 1920), align_corners=align_corners)
    assert len(np.unique(labels)) == 19
    assert np.array_equal(labels, labels_from_logits(logits, (1080, 1920), align_corners=align_corners))


def test_every_half_is_below_the_next(bench: Bench) -> None:
    """Each finite half against the next, as two classes of a pixel."""
    halves = np.arange(2**16, dtype=np.uint16).view(np.float16)
    halves = np.sort(halves[np.isfinite(halves)])
    pairs = np.stack([halves, np.roll(halves, -1)]).reshape(2, 31, 2048)
    np.testing.assert_array_equal(bench.labels(pairs, (31, 2048), align_corners=False), pairs[1] > pairs[0])


@given(low=SIZE, size=SIZE, seed=SEED)
def test_masks_change_their_size_as_in_the_runtime(bench: Bench, low: Any, size: Any, seed: int) -> None:
    labels = noise(seed, *low)
    target = bench.cuda.buffer(size[0] * size[1])
    bench.kernels.nearest(bench.put(labels), low, target.address, size, bench.stream)
    np.testing.assert_array_equal(bench.cuda.array(target.address, size, np.uint8), labels_nearest(labels, size))


@given(low=SIZE, size=SIZE, seed=SEED, classes=st.integers(1, 30), opacity=st.floats(0, 1), bgr=st.booleans())
def test_overlays_are_those_of_the_runtime(
    bench: Bench, low: Any, size: Any, seed: int, classes: int, opacity: float, bgr: bool
) -> None:
    rgb, palette, labels = noise(seed, *size, 3), noise(seed + 1, classes, 3), noise(seed + 2, *low) % 32
    labels[labels == 31] = IGNORE
    expected = overlay_labels(rgb, labels, palette, opacity=opacity)
    order = slice(None, None, -1) if bgr else slice(None)
    drawn = bench.overlay(rgb[..., order], labels, palette, opacity, bgr=bgr)
    np.testing.assert_array_equal(drawn[..., order], expected)


def test_a_frame_goes_up_once_and_a_mask_comes_down_once_in_one_graph(bench: Bench) -> None:
    cuda, stream = bench.cuda, bench.stream
    frame, mask = cuda.pinned((60, 80, 3), np.uint8), cuda.pinned((60, 80), np.uint8)
    up, resized, low, down = (cuda.buffer(n) for n in (frame.nbytes, 30 * 40 * 3, 3 * 8 * 10 * 4, mask.nbytes))

    def network() -> None:
        picture = cuda.array(resized.address, (30, 40, 3), np.uint8)
        cuda.array(low.address, (3, 8, 10), np.float32)[:] = cv2.resize(picture, (10, 8)).transpose(2, 0, 1)

    def work() -> None:
        cuda.upload(up, frame, stream)
        bench.kernels.resize(RgbFrame(up.address, (60, 80)), resized.address, (30, 40), stream)
        cuda.submit(stream.handle, network)
        bench.kernels.labels(low.address, (3, 8, 10), down.address, (60, 80), stream)
        cuda.download(mask, down, stream)

    frame[:] = 0
    work()  # the tables are made here
    with cuda.capture(stream) as graph:
        work()
    for seed in (7, 8):
        frame[:] = cv2.GaussianBlur(noise(seed, 60, 80, 3), (0, 0), 5)
        cuda.launch(graph, stream)
        logits = cv2.resize(resize_rgb(frame, (30, 40)), (10, 8)).transpose(2, 0, 1).astype(np.float32)
        np.testing.assert_array_equal(mask, labels_from_logits(logits, (60, 80)))


@pytest.mark.parametrize("size", [(0, 10), (10, 40000)])
def test_sides_that_no_index_holds_are_refused(bench: Bench, size: tuple[int, int]) -> None:
    with pytest.raises(SizeError):
        bench.kernels.nearest(0, (10, 10), 0, size, bench.stream)
    with pytest.raises(SizeError):
        bench.kernels.labels(0, (256, 4, 4), 0, (8, 8), bench.stream)


def test_structs_are_those_of_the_source(bench: Bench) -> None:
    library = ctypes.CDLL(str(library_path()))
    types = {
        "resize_rgb": structs.ResizeRgb, "resize_yuv": structs.ResizeYuv, "labels_float": structs.Labels,
        "labels_half": structs.Labels, "labels_nearest": structs.Nearest, "overlay": structs.Overlay,
    }  # fmt: skip
    assert tuple(types) == compile.KERNELS
    for name, struct in types.items():
        assert ctypes.c_uint.in_dll(library, f"{name}_bytes").value == ctypes.sizeof(struct), name


def test_the_constants_are_those_of_the_source() -> None:
    from edgeseg.engines.tensorrt.kernels import kernels

    text = compile.SOURCE.read_text()
    assert f"const int ROWS = {kernels.ROWS};" in text
    assert f"__launch_bounds__({kernels.THREADS}, 8)" in text


def test_what_is_compiled_is_compiled_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    calls = []

    def compile_to(path: Path) -> None:
        calls.append(path)
        path.write_bytes(b"image")

    assert compile.cached_binary("sm_86.cubin", compile_to).read_bytes() == b"image"
    assert compile.cached_binary("sm_86.cubin", compile_to).is_relative_to(tmp_path)
    assert len(calls) == 1


@pytest.fixture
def no_tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with neither compiler nor cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(compile, "TOOLKIT", tmp_path / "nvcc")
    monkeypatch.setattr(compile, "PIP", ())
    monkeypatch.setattr(compile.importlib, "import_module", _not_installed)


def _not_installed(name: str) -> None:
    raise ModuleNotFoundError(name)


@pytest.mark.usefixtures("no_tools")
def test_a_machine_without_compilers_gets_the_package_to_install() -> None:
    with pytest.raises(UnavailableError) as problem:
        compile.cubin_from_source("8.6")
    assert problem.value.code == "ES-MISSING-COMPILER"
    assert "sm_86" in problem.value.message
    assert "nvidia-cuda-nvrtc" in problem.value.hint


@pytest.mark.parametrize("gpu", GPUS)
def test_nvcc_compiles_every_kernel_without_spilling(
    gpu: str, tmp_path: Path, without: Callable[[str, str], None]
) -> None:
    compiler = compile.find_nvcc()
    if compiler is None or not shutil.which("c++"):
        without("nvcc", "there is no nvcc here, or no C++ compiler for it")
    command = [str(compiler), "-cubin", f"-arch=sm_{gpu.replace('.', '')}", *compile.FLAGS, "-Xptxas", "-v"]
    command += ["-o", str(tmp_path / "cubin"), str(compile.SOURCE)]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    assert "warning" not in made.stderr
    assert made.stderr.count("0 bytes spill stores, 0 bytes spill loads") == len(compile.KERNELS), made.stderr
    image = (tmp_path / "cubin").read_bytes()
    assert all(b".text." + name.encode() + b"\0" in image for name in compile.KERNELS)


def test_nvrtc_compiles_the_same_kernels(tmp_path: Path) -> None:
    pytest.importorskip("cuda.bindings.nvrtc", reason="cuda-bindings is not installed")
    try:
        compile._compile_with_nvrtc("sm_86", tmp_path / "cubin")
    except UnavailableError as problem:
        pytest.skip(problem.message)
    image = (tmp_path / "cubin").read_bytes()
    assert all(b".text." + name.encode() + b"\0" in image for name in compile.KERNELS)
