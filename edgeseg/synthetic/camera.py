"""A procedural street camera with ground truth: training images and a test source without a download."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from edgeseg.errors import SizeError
from edgeseg.synthetic import paint
from edgeseg.synthetic.layout import Look, Scene, draws, look_of, wave

STREET_LABELS = (
    "Sky", "Building", "Pole", "Road", "Pavement", "Tree", "SignSymbol", "Fence", "Car", "Pedestrian", "Bicyclist",
)  # fmt: skip
SMALLEST = 32
FOCAL = 1.1  # focal length over the root of the image's area: 66 degrees across at 2:1

Floats = npt.NDArray[np.float64]
Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class StreetCamera:
    """A dash camera on one endless drive per seed, with CamVid's 11 classes.

    Frame n depends on the fields and n alone: any order of calls gives the same bytes.
    """

    seed: int = 0
    width: int = 1024
    height: int = 512
    fps: float | Fraction = 25.0

    def __post_init__(self) -> None:
        if self.width < SMALLEST or self.height < SMALLEST:
            raise SizeError(
                f"{self.width}x{self.height} is too small for the street camera",
                hint=f"ask for at least {SMALLEST}x{SMALLEST}",
            )
        if not self.fps > 0:
            raise SizeError(f"invalid frame rate of the street camera: {self.fps} fps", hint="ask for more than 0 fps")

    def render(self, index: int) -> tuple[Bytes, Bytes]:
        """Frame `index`: rgb (H, W, 3) uint8 and its labels (H, W) uint8, both new arrays."""
        seconds = float(index / self.fps)
        look, light = look_of_seed(self.seed), light_of(self.seed)
        focal = FOCAL * math.sqrt(self.width * self.height)
        scene = Scene(look, self.seed, seconds, 0.5 * self.width / focal)
        view = self._view(look, scene, focal)
        rgb, labels, painted, shade = paint.buffers(self.height, self.width)
        paint.paint_quads(rgb, labels, painted, scene.quads(view[5], view[4]), view, light.ambient)
        paint.paint_shadows(shade, scene.shadows(), view)
        paint.paint_ground(rgb, labels, painted, shade, view, light.ambient, ground_of(look))
        paint.paint_sky(rgb, labels, painted, view, light.sky, 0.02 * seconds)
        out = np.empty_like(rgb)
        flat = (self.height, 3 * self.width)
        paint.expose(rgb.reshape(flat), light.tone, light.grain, index, out.reshape(flat))
        return out, labels

    def _view(self, look: Look, scene: Scene, focal: float) -> Floats:
        """The `view` row of paint.py; the camera nods and the road bends slowly."""
        nod = 0.004 * wave(scene.seconds * 0.9) + 0.003 * wave(scene.seconds * 0.37)
        horizon = (look.pitch + nod) * self.height
        bend = look.bend + 0.0003 * wave(scene.travelled / 310.0)
        return np.array(
            (focal, 0.5 * self.width, horizon, look.eye, scene.eye_x, bend, scene.travelled), np.float64
        )  # fmt: skip


@dataclass(frozen=True)
class Light:
    """Ambient light, sky and sensor of one seed, as paint.py takes them."""

    ambient: Floats
    sky: Floats
    tone: Bytes
    grain: npt.NDArray[np.int16]


@lru_cache(maxsize=256)
def look_of_seed(seed: int) -> Look:
    """`look_of`, cached: it is needed once per frame."""
    return look_of(seed)


@lru_cache(maxsize=256)
def light_of(seed: int) -> Light:
    """Day or dusk, clear or overcast, and the sensor's white balance, gain and noise."""
    look = look_of_seed(seed)
    d = draws(seed, 1000, np.zeros(1, np.int64), 16)[:, 0]
    bright = 0.48 + 0.2 * d[0] if look.dusk else 0.85 + 0.25 * d[0]
    cast = np.array((1.0 + 0.12 * (d[1] - 0.5), 1.0, 1.0 + 0.16 * (d[2] - 0.5)))
    top, low, cloud = sky_colours(look.dusk, d)
    haze = 0.5 * (low + cloud) * (0.75 if look.dusk else 0.95)
    ambient = np.array((*(bright * cast), *haze, 0.0012 + 0.0026 * d[6], float(look.dusk)))
    sky = np.array((*top, *low, *cloud, 0.25 + 0.75 * d[7], np.floor(d[8] * 65536.0)))
    grain = 4.0 + 10.0 * d[9] + (6.0 if look.dusk else 0.0)
    noise = draws(seed, 1001, np.arange(1 << 16), 2).sum(axis=0) - 1.0
    return Light(ambient, sky, tone_curve(d), np.round(noise * grain).astype(np.int16))


def sky_colours(dusk: bool, d: Floats) -> tuple[Floats, Floats, Floats]:
    """Zenith, horizon and cloud."""
    grey = 120.0 + 115.0 * d[3]
    if dusk:
        return (
            np.array((60.0, 70.0, 105.0)) + 30.0 * d[4],
            np.array((170.0 + 50.0 * d[5], 130.0 + 25.0 * d[4], 120.0)),
            np.array((110.0, 105.0, 115.0)) * (0.8 + 0.4 * d[3]),
        )
    if d[4] < 0.5:  # overcast: the grey of road, pavement and render
        return np.full(3, grey), np.full(3, min(245.0, grey + 25.0)), np.full(3, grey * 0.88)
    return (
        np.array((85.0 + 50.0 * d[5], 130.0 + 40.0 * d[5], 195.0 + 30.0 * d[3])),
        np.array((180.0, 200.0, 220.0)) * (0.85 + 0.2 * d[3]),
        np.full(3, 205.0 + 40.0 * d[3]),
    )


def tone_curve(d: Floats) -> Bytes:
    """(3, 256): gain, contrast about mid-grey and white balance per channel."""
    level = np.arange(256, dtype=np.float64)
    gain, contrast = 0.85 + 0.35 * d[10], 0.85 + 0.35 * d[11]
    balance = (0.92 + 0.16 * d[12], 1.0, 0.92 + 0.16 * d[13])
    curves = [(level * gain * b - 118.0) * contrast + 118.0 for b in balance]
    tone: Bytes = np.clip(np.stack(curves), 0, 255).astype(np.uint8)
    return tone


def ground_of(look: Look) -> Floats:
    """The `ground` row of paint.py."""
    return np.array((look.half_road, look.pavement, *look.road, *look.slab, 6.0, 0.6), np.float64)
