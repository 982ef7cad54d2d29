"""The street camera's world: what stands and moves where, at any second of the drive.

Metres: X to the right of the road's middle, Y up, Z forward. Things of a kind stand in a row of slots
along Z; a hash of (seed, row, slot) says what each slot holds, so every second can be asked for alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeseg.synthetic import texture

Floats = npt.NDArray[np.float64]
Slots = npt.NDArray[np.int64]
Column = Any  # a float, or one float per quad

SKY, BUILDING, POLE, ROAD, PAVEMENT, TREE, SIGN, FENCE, CAR, PEDESTRIAN, BICYCLIST = range(11)
FAR_METRES = 150.0
# Draw order: whatever is nearer to the road's middle hides what is further out; within a band, by Z.
TRAFFIC, PARKED, RAILING, KERB, FENCES, YARD, HOUSES, WOOD, SKYLINE = (1000.0 * band for band in range(9))

# Paint, brick, cloth and plate come from one list: colour alone tells no class.
PAINTS = np.array(
    [
        (128, 128, 128), (96, 98, 100), (165, 165, 162), (200, 198, 192), (60, 62, 66), (225, 224, 220),
        (150, 72, 58), (176, 52, 46), (118, 60, 48), (190, 160, 118), (206, 186, 148), (140, 118, 92),
        (66, 92, 148), (40, 60, 110), (108, 140, 180), (74, 104, 66), (96, 116, 62), (58, 82, 60),
        (214, 178, 62), (34, 34, 38), (110, 84, 62), (150, 150, 138),
    ],
    np.float64,
)  # fmt: skip


def draws(seed: int, row: int, slots: Slots, count: int) -> Floats:
    """(count, slots) hashed numbers in [0, 1): splitmix64 of all four."""
    with np.errstate(over="ignore"):
        key = slots.astype(np.uint64)[None, :] * np.uint64(0x9E3779B97F4A7C15)
        key = key + np.arange(1, count + 1, dtype=np.uint64)[:, None] * np.uint64(0xD1B54A32D192ED03)
        key = key + np.uint64((seed * 0x8CB92BA72F3D8DD7 + row * 0xAEF17502108EF2D9) % 2**64)
        key = (key ^ (key >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        key = (key ^ (key >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        key = key ^ (key >> np.uint64(31))
    numbers: Floats = (key >> np.uint64(11)).astype(np.float64) / 2.0**53
    return numbers


def wave(turns: float) -> float:
    """A sine-like wave of period 1 in [-1, 1], of arithmetic that is exact everywhere."""
    t = turns - math.floor(turns)
    return 16.0 * t * (0.5 - t) if t < 0.5 else -16.0 * (t - 0.5) * (1.0 - t)


@dataclass(frozen=True)
class Look:
    """What one seed fixes for its whole drive."""

    side: float  # of the road on which the camera drives: +1 right, -1 left
    speed: float  # metres per second
    eye: float  # metres above the road
    pitch: float  # the horizon, as a share of the image's height
    bend: float  # metres aside per metre ahead squared
    half_road: float
    pavement: float
    sun: float  # the side that shadows fall towards, times their length per metre of height
    shadow: float
    dusk: bool
    building: float  # shares of slots that hold one
    wood: float
    people: float
    tree: Floats
    metal: Floats
    road: Floats
    slab: Floats

    @property
    def lane(self) -> float:
        """Where the camera's lane is across the road, clear of bicyclists and of oncoming cars."""
        return self.side * (0.42 * self.half_road - 0.8)

    @property
    def wall(self) -> float:
        """Distance from the road's middle to the houses."""
        return self.half_road + self.pavement


def look_of(seed: int) -> Look:
    """The drive's fixed properties, hashed from its seed."""
    d = draws(seed, 0, np.zeros(1, np.int64), 40)[:, 0]
    road, slab, metal = 70.0 + 75.0 * d[14], 95.0 + 85.0 * d[15], 70.0 + 110.0 * d[16]
    warm = d[20] * 12.0
    return Look(
        side=1.0 if d[0] < 0.5 else -1.0,
        speed=3.0 + 4.5 * d[1],
        eye=1.25 + 0.75 * d[2],
        pitch=0.40 + 0.13 * d[3],
        bend=0.0009 * (d[4] - 0.5),
        half_road=4.6 + 1.4 * d[5],
        pavement=3.8 + 2.6 * d[6],
        sun=(1.0 if d[7] < 0.5 else -1.0) * (0.15 + 0.45 * d[8]),
        shadow=40.0 + 90.0 * d[9],
        dusk=bool(d[10] < 0.33),
        building=0.45 + 0.3 * d[11],
        wood=0.3 + 0.4 * d[12],
        people=0.55 + 0.4 * d[13],
        tree=np.array((70.0 + 70.0 * d[17], 100.0 + 45.0 * d[18], 45.0 + 35.0 * d[19])),
        metal=np.array((metal, metal + 4.0, metal + 4.0)),
        road=np.array((road + warm, road + 0.5 * warm, road)),
        slab=np.array((slab + warm * d[21], slab, slab - warm * d[21])),
    )


class Scene:
    """All quads and shadows of one moment."""

    def __init__(self, look: Look, seed: int, seconds: float, reach: float) -> None:
        """reach: half the image's width over the focal length, for the skyline's extent."""
        self.look, self.seed, self.seconds = look, seed, seconds
        self.travelled = look.speed * seconds
        self._quads: list[Floats] = []
        self._shadows: list[Floats] = []
        for side in (-1.0, 1.0):
            self._add_lots(side)
            self._add_kerb(side)
            self._add_parked(side)
            self._add_pedestrians(side)
            self._add_bicyclists(side)
        self._add_traffic()
        self._add_crossing()
        self._add_skyline(reach)

    def quads(self, bend: float, eye_x: float) -> Floats:
        """Rows for `paint_quads`, near to far, in the camera's bent frame."""
        quads = np.concatenate(self._quads)
        quads = quads[np.argsort(quads[:, 16], kind="stable")]
        for x, z in ((0, 1), (2, 3)):
            quads[:, x] += bend * quads[:, z] * quads[:, z] - eye_x
        return quads

    def shadows(self) -> Floats:
        """Rows for `paint_shadows`."""
        return np.concatenate(self._shadows)

    def _row(
        self, row: int, side: float, step: float, far: float, count: int, *, speed: float = 0.0, near: float = 1.0
    ) -> tuple[Floats, Floats]:
        """Z from the camera and `count` draws of each slot of a row that moves at `speed`."""
        shift = speed * self.seconds - self.travelled
        first, last = math.floor((near - shift) / step) - 1, math.ceil((far - shift) / step) + 1
        slots = np.arange(first, last, dtype=np.int64)
        d = draws(self.seed, 2 * row + (side > 0) + 1, slots, count)
        z = slots * step + shift + d[0] * step * 0.45
        visible = (z > near) & (z < far)
        return z[visible], d[:, visible]

    def _add(
        self, x0: Column, z0: Column, x1: Column, z1: Column, y0: Column, y1: Column, label: int, tex: Column,
        rgb: Floats, rgb2: Floats, seed: Column, band: float, *, phase: Column = 0.0, order: Column = None,
    ) -> None:  # fmt: skip
        """Upright quads from (x0, z0) to (x1, z1) on the ground, from y0 up to y1."""
        out = np.empty((np.size(z0), 17))
        columns = (x0, z0, x1, z1, y0, y1, label, tex)
        for n, column in enumerate(columns):
            out[:, n] = column
        out[:, 8:11], out[:, 11:14] = rgb, rgb2
        out[:, 14] = np.floor(np.asarray(seed) * 65536.0)
        out[:, 15] = phase
        out[:, 16] = band + (z0 if order is None else order)
        self._quads.append(out)

    def _stand(
        self, x: Column, z: Floats, width: Column, y0: Column, y1: Column, label: int, tex: Column,
        rgb: Floats, rgb2: Floats, seed: Column, band: float, *, phase: Column = 0.0,
    ) -> None:  # fmt: skip
        """Quads that face the camera, `width` metres about x."""
        half = 0.5 * np.asarray(width)
        self._add(x - half, z, x + half, z, y0, y1, label, tex, rgb, rgb2, seed, band, phase=phase)

    def _shade(self, x0: Column, x1: Column, z0: Column, z1: Column, is_round: bool, strength: float) -> None:
        """Shadows on the ground."""
        out = np.empty((np.size(z0), 6))
        for n, column in enumerate((np.minimum(x0, x1), np.maximum(x0, x1), z0, z1, is_round, strength)):
            out[:, n] = column
        self._shadows.append(out)

    def _add_lots(self, side: float) -> None:
        """Lots of 16 m: a house at the pavement, or a fence with a house, trees or a wood behind it."""
        look, lot = self.look, 16.0
        z, d = self._row(1, side, lot, FAR_METRES, 12, near=-2.0 * lot)
        z = z - d[0] * lot * 0.45  # lots stand in a strict row
        edge = d[1] < look.building
        wood = ~edge & (d[2] < look.wood)
        set_back = np.where(edge, 0.0, 5.0 + 3.0 * d[3])
        self._add_houses(side, z[~wood], lot, set_back[~wood], d[:, ~wood])
        self._add_fences(side, z[~edge], lot, d[:, ~edge])
        wall = side * (look.wall + 7.0)
        self._add(
            wall, z[wood], wall, z[wood] + lot, 0.0, 6.0 + 6.0 * d[4, wood], TREE, texture.HEDGE,
            look.tree * (0.8 + 0.2 * d[5, wood])[:, None], look.tree, d[6, wood], WOOD,
        )  # fmt: skip
        yard = ~edge & (d[7] < 0.75)
        self._add_trees(side * (look.wall + 2.5), z[yard] + 4.0 + 8.0 * d[8, yard], d[:, yard], YARD)

    def _add_houses(self, side: float, z: Floats, lot: float, set_back: Floats, d: Floats) -> None:
        """Fronts along the street, and the end walls that face the camera."""
        look = self.look
        x = side * (look.wall + set_back)
        height = 3.0 * np.floor(2.0 + 4.5 * d[4]) + 0.5
        sunny = 1.06 if look.sun * side < 0 else 0.8
        rgb, rgb2 = paints(d[5]) * (0.85 + 0.3 * d[6])[:, None], paints(d[7])
        end = z + lot * np.where(d[9] < 0.6, 1.0, 0.8)
        self._add(
            x, z, x, end, 0.0, height, BUILDING, texture.FACADE, rgb * sunny, rgb2, d[8], HOUSES, order=z + 0.01
        )  # fmt: skip
        self._add(
            x, z, x + side * 11.0, z, 0.0, height, BUILDING, texture.FACADE, rgb * 0.88, rgb2, d[8], HOUSES
        )  # fmt: skip
        if look.sun * side < 0:
            self._shade(x, x + look.sun * height, z, end, False, look.shadow)

    def _add_fences(self, side: float, z: Floats, lot: float, d: Floats) -> None:
        """Fences between pavement and yard, and some railings at the kerb."""
        x, height = side * self.look.wall, 1.3 + 1.1 * d[9]
        rgb = paints(d[10]) * 0.9
        self._add(x, z, x, z + lot, 0.0, height, FENCE, texture.FENCE, rgb, rgb, d[11], FENCES)
        rail = d[5] < 0.3
        x = side * (self.look.half_road + 0.25)
        self._add(
            x, z[rail], x, z[rail] + 8.0, 0.0, 1.1, FENCE, texture.FENCE,
            rgb[rail], rgb[rail], d[11, rail], RAILING,
        )  # fmt: skip

    def _add_trees(self, x: Column, z: Floats, d: Floats, band: float) -> None:
        """A trunk and a compact crown, both Tree, and the crown's shadow."""
        look = self.look
        width, foot = 3.2 + 2.2 * d[9], 2.0 + 0.7 * d[10]
        bark = np.array((92.0, 78.0, 62.0)) * (0.6 + 0.6 * d[11])[:, None]
        self._stand(x, z, 0.3 + 0.15 * d[10], 0.0, foot + 0.8, TREE, texture.POLE, bark, bark, d[11], band)
        leaf = look.tree * (0.75 + 0.5 * d[11])[:, None]
        self._stand(
            x, z - 0.02, width, foot, foot + width * (0.9 + 0.4 * d[8]), TREE, texture.CROWN,
            leaf, leaf, d[11], band,
        )  # fmt: skip
        middle = x + look.sun * (foot + 0.5 * width)
        self._shade(
            middle - 0.5 * width, middle + 0.5 * width, z - 0.5 * width, z + 0.5 * width, True, look.shadow
        )  # fmt: skip

    def _add_kerb(self, side: float) -> None:
        """Street trees, lamp posts and signs between road and pavement."""
        look = self.look
        x = side * (look.half_road + 0.6)
        z, d = self._row(2, side, 17.0, 90.0, 12)
        keep = d[1] < look.wood
        self._add_trees(x, z[keep], d[:, keep], KERB)
        z, d = self._row(3, side, 13.0, 32.0, 8)
        height, rgb = 5.5 + 2.5 * d[2], (look.metal if look.shadow < 90 else paints(d[3])) * 0.9
        self._stand(x, z, 0.26 + 0.1 * d[4], 0.0, height, POLE, texture.POLE, rgb, rgb, d[5], KERB)
        self._stand(
            x - side * 0.7, z, 1.5, height - 0.25, height, POLE, texture.LAMP, rgb * np.ones(3), rgb, d[5], KERB
        )  # fmt: skip
        self._shade(x, x + look.sun * 8.0, z - 0.12, z + 0.12, False, look.shadow)
        self._add_signs(side, x)

    def _add_signs(self, side: float, x: float) -> None:
        """A plate on a post; some are boards, twice as wide as high."""
        z, d = self._row(4, side, 11.0, 30.0, 9, near=2.0)
        keep = d[1] < 0.8
        z, d = z[keep], d[:, keep]
        x, board = x + side * 0.5 * d[2], d[3] < 0.3
        height = 0.8 + 0.45 * d[4]
        width = np.where(board, 2.0, 1.0) * height
        foot = 1.9 + 0.7 * d[5]
        grey = self.look.metal
        self._stand(x, z, 0.2, 0.0, foot + 0.1, POLE, texture.POLE, grey, grey, d[6], KERB)
        self._stand(
            x, z - 0.05, width, foot, foot + height, SIGN, texture.SIGN, paints(d[7]), paints(d[8]), d[6], KERB
        )  # fmt: skip

    def _add_cars(self, x: Column, z: Floats, d: Floats, band: float, oncoming: float) -> None:
        """The end that faces the camera, the flank that does, and the shadow under them."""
        look = self.look
        van = d[1] < 0.2
        width = np.where(van, 1.95, 1.75 + 0.1 * d[2])
        height = np.where(van, 2.1 + 0.4 * d[3], 1.42 + 0.16 * d[3])
        length = np.where(van, 5.0, 4.1 + 0.5 * d[2])
        rgb, flank = paints(d[4]), x - np.sign(x - self.eye_x) * 0.5 * width
        self._stand(x, z, width, 0.0, height, CAR, texture.CAR_END, rgb, rgb, d[5], band, phase=oncoming)
        self._add(flank, z, flank, z + length, 0.0, height, CAR, texture.CAR_SIDE, rgb * 0.92, rgb, d[5], band)
        lean = look.sun * height
        self._shade(x - 0.5 * width, x + 0.5 * width, z - 0.1, z + length, False, 150.0)
        self._shade(
            x + np.minimum(lean, 0.0) - 0.5 * width, x + np.maximum(lean, 0.0) + 0.5 * width, z, z + length,
            False, look.shadow,
        )  # fmt: skip

    @property
    def eye_x(self) -> float:
        """Where the camera is across the road."""
        return self.look.lane + 0.15 * wave(self.seconds / 7.0)

    def _add_parked(self, side: float) -> None:
        """Cars at the kerb."""
        look = self.look
        z, d = self._row(5, side, 6.6, 70.0, 8, near=-5.5)
        keep = d[6] < (0.5 if side == look.side else 0.35)
        self._add_cars(side * (look.half_road - 0.95), z[keep], d[:, keep], PARKED, 0.0)

    def _add_traffic(self) -> None:
        """Cars ahead in the camera's lane, which keep their distance, and oncoming ones."""
        look = self.look
        z, d = self._row(6, 0.0, 26.0, 95.0, 8, speed=look.speed, near=9.0)
        z = z + 1.5 * wave(self.seconds / 9.0)
        self._add_cars(look.lane + 0.1 * look.side, z, d, TRAFFIC, 0.0)
        z, d = self._row(7, 0.0, 22.0, 95.0, 8, speed=-1.1 * look.speed, near=-5.5)
        self._add_cars(-look.side * (0.42 * look.half_road - 0.5), z, d, TRAFFIC, 1.0)

    def _add_people(self, x: Column, z: Floats, d: Floats, band: float, walked: float) -> None:
        """Pedestrians; `walked` metres set their step."""
        rgb, rgb2 = paints(d[3]), paints(d[4]) * 0.8
        stride = walked / 1.4 + d[5]
        self._stand(
            x, z, 0.62 + 0.12 * d[6], 0.0, 1.55 + 0.3 * d[7], PEDESTRIAN, texture.PERSON, rgb, rgb2, d[5], band,
            phase=stride - np.floor(stride),
        )  # fmt: skip
        lean = self.look.sun * 1.7
        self._shade(
            x + np.minimum(lean, 0.0), x + np.maximum(lean, 0.0), z - 0.15, z + 0.15, True, self.look.shadow
        )  # fmt: skip

    def _add_pedestrians(self, side: float) -> None:
        """Walkers on the pavement, towards the camera and away from it."""
        look = self.look
        for row, speed in ((8, 1.3), (9, -1.3)):
            z, d = self._row(row, side, 5.5, 38.0, 8, speed=speed, near=2.0)
            keep = d[1] < look.people
            x = side * (look.half_road + 1.1 + (look.pavement - 1.7) * d[2, keep])
            self._add_people(x, z[keep], d[:, keep], KERB, self.seconds * 1.3)

    def _add_crossing(self) -> None:
        """People who cross the road to and fro."""
        z, d = self._row(10, 0.0, 16.0, 40.0, 8, near=7.0)
        reach = self.look.half_road + 1.5
        x = np.array([reach * wave(self.seconds / 22.0 + turn) for turn in d[2]])
        self._add_people(x, z, d, TRAFFIC, self.seconds * 1.3)

    def _add_bicyclists(self, side: float) -> None:
        """Bicyclists between the parked cars and the lane."""
        look = self.look
        away = side == look.side
        z, d = self._row(11, side, 9.0, 42.0, 8, speed=4.2 if away else -4.2, near=1.0)
        keep = d[1] < 0.75
        z, d = z[keep], d[:, keep]
        x = side * (look.half_road - 1.95 - 0.3 * d[2])
        turn = self.seconds * 1.1 + d[5]
        self._stand(
            x, z, 1.15, 0.0, 1.78, BICYCLIST, texture.CYCLIST, paints(d[3]), paints(d[4]) * 0.8, d[5], TRAFFIC,
            phase=turn - np.floor(turn),
        )  # fmt: skip
        self._shade(x - 0.4, x + 0.4, z - 0.2, z + 0.5, True, 100.0)

    def _add_skyline(self, reach: float) -> None:
        """Houses and woods at the end of the view, which never come nearer."""
        count = 2 * math.ceil(reach * FAR_METRES * 1.1 / 14.0) + 4
        slots = np.arange(count, dtype=np.int64) - count // 2
        d = draws(self.seed, 99, slots, 6)
        wood = d[0] < 0.4
        for label, tex, some in ((TREE, texture.HEDGE, wood), (BUILDING, texture.FACADE, ~wood)):
            x = slots[some] * 14.0
            rgb = np.where(label == TREE, self.look.tree * np.ones((len(x), 1)), paints(d[1, some]))
            height = 5.0 + 12.0 * d[2, some]
            z = np.full(len(x), FAR_METRES)
            self._add(x, z, x + 14.0, z, 0.0, height, label, tex, rgb, rgb, d[3, some], SKYLINE)


def paints(draw: Floats) -> Floats:
    """(n, 3) colours of the shared list, each a little lighter or darker."""
    at = draw * len(PAINTS)
    index = np.floor(at)
    chosen: Floats = PAINTS[index.astype(np.int64)] * (0.85 + 0.3 * (at - index))[:, None]
    return chosen
