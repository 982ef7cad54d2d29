"""Rasterisers of the street camera: upright quads, shadows on the ground, ground, sky, sensor.

All work near to far into three buffers of one frame: `rgb` (H, W, 3) uint8, `labels` (H, W) uint8
(255: not yet known) and `painted` (H, W) uint8 (1: the colour is final). A gap in a fence has its label
and waits for the colour of what lies behind.

view: float64 (focal_px, centre_px, horizon_px, eye_metres, eye_x_metres, bend, travelled_metres).
light: float64 (ambient r, g, b; haze r, g, b; haze per metre; dusk).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from edgeseg.jit import jit
from edgeseg.synthetic import texture as texel
from edgeseg.synthetic.texture import GLOWING, OUTSIDE, SEE_THROUGH, hashed, smooth_noise

Floats = npt.NDArray[np.float64]
Bytes = npt.NDArray[np.uint8]

UNKNOWN = 255
SKY, ROAD, PAVEMENT = 0, 3, 4
NEAR_METRES = 0.9


@jit
def byte(value: float) -> int:
    """`value` as a colour byte."""
    return int(min(255.0, max(0.0, value)))


@jit
def paint_quads(rgb: Bytes, labels: Bytes, painted: Bytes, quads: Floats, view: Floats, light: Floats) -> None:
    """Paint upright quads, nearest first; one row of `quads` is laid out by `street_layout.Scene`."""
    columns = np.empty((4, labels.shape[1]))
    for n in range(quads.shape[0]):
        paint_quad(rgb, labels, painted, quads[n], view, light, columns)


@jit
def paint_quad(
    rgb: Bytes, labels: Bytes, painted: Bytes, quad: Floats, view: Floats, light: Floats, columns: Floats
) -> None:  # fmt: skip
    """Paint one quad where nothing nearer is: 1/Z and u/Z are linear in the image column."""
    H, W = labels.shape
    focal, centre, horizon, eye = view[0], view[1], view[2], view[3]
    x0, z0, x1, z1 = quad[0], quad[1], quad[2], quad[3]
    length = math.sqrt((x1 - x0) * (x1 - x0) + (z1 - z0) * (z1 - z0))
    u0, u1 = 0.0, length
    if z0 < NEAR_METRES and z1 < NEAR_METRES:
        return
    if z0 < NEAR_METRES:
        t = (NEAR_METRES - z0) / (z1 - z0)
        x0, z0, u0 = x0 + t * (x1 - x0), NEAR_METRES, t * length
    elif z1 < NEAR_METRES:
        t = (NEAR_METRES - z1) / (z0 - z1)
        x1, z1, u1 = x1 + t * (x0 - x1), NEAR_METRES, length - t * length
    i0, i1 = 1.0 / z0, 1.0 / z1
    s0, s1 = centre + focal * x0 * i0, centre + focal * x1 * i1
    if s0 > s1:
        s0, s1, i0, i1, u0, u1 = s1, s0, i1, i0, u1, u0
    left, right = max(0, math.ceil(s0 - 0.5)), min(W, math.ceil(s1 - 0.5))
    if left >= right:
        return
    top, low = float(H), 0.0
    for x in range(left, right):
        t = (x + 0.5 - s0) / (s1 - s0)
        inverse = i0 + t * (i1 - i0)
        columns[0, x] = (u0 * i0 + t * (u1 * i1 - u0 * i0)) / inverse
        columns[1, x] = 1.0 / (focal * inverse)
        columns[2, x] = horizon + (eye - quad[5]) * focal * inverse
        columns[3, x] = horizon + (eye - quad[4]) * focal * inverse
        top, low = min(top, columns[2, x]), max(low, columns[3, x])
    paint_columns(
        rgb, labels, painted, quad, view, light, columns, length,
        max(0, math.ceil(top - 0.5)), min(H, math.ceil(low - 0.5)), left, right,
    )  # fmt: skip


@jit
def paint_columns(
    rgb: Bytes, labels: Bytes, painted: Bytes, quad: Floats, view: Floats, light: Floats, columns: Floats,
    length: float, top: int, low: int, left: int, right: int,
) -> None:  # fmt: skip
    """Fill a quad's pixels from its per-column u, metres per pixel, top and bottom row."""
    label, texture, seed, phase = int(quad[6]), int(quad[7]), int(quad[14]), quad[15]
    height, dusk = quad[5] - quad[4], light[7] > 0.5
    r1, g1, b1, r2, g2, b2 = quad[8], quad[9], quad[10], quad[11], quad[12], quad[13]
    # Held in locals: the compiler must take any store of a pixel for a change of these arrays.
    ambient_r, ambient_g, ambient_b = light[0], light[1], light[2]
    haze_r, haze_g, haze_b = light[3], light[4], light[5]
    base, horizon, thickness = view[3] - quad[4], view[2], view[0] * light[6]
    us, scales = columns[0, left:right], columns[1, left:right]
    tops, lows = columns[2, left:right], columns[3, left:right]
    for y in range(top, low):
        row = y + 0.5
        line, line_labels, line_painted = rgb[y, left:right], labels[y, left:right], painted[y, left:right]
        for x in range(right - left):
            if line_painted[x] != 0 or row < tops[x] or row >= lows[x]:
                continue
            scale = scales[x]
            u, v = us[x], base - (row - horizon) * scale
            detail = min(1.0, 0.025 / scale)
            if texture == texel.FACADE:
                cover, r, g, b = texel.facade(u, v, height, detail, seed, dusk, r1, g1, b1, r2, g2, b2)
            elif texture == texel.FENCE:
                cover, r, g, b = texel.fence(u, v, height, detail, seed, r1, g1, b1)
            elif texture == texel.POLE:
                cover, r, g, b = texel.round_post(u, v, length, r1, g1, b1)
            elif texture == texel.SIGN:
                cover, r, g, b = texel.sign(u, v, length, height, seed, r1, g1, b1, r2, g2, b2)
            elif texture == texel.CROWN:
                cover, r, g, b = texel.crown(u, v, length, height, detail, seed, r1, g1, b1)
            elif texture == texel.HEDGE:
                cover, r, g, b = texel.leaves(u, v, v / height, detail, seed, r1, g1, b1)
            elif texture == texel.CAR_END:
                cover, r, g, b = texel.car_end(u, v, length, height, dusk, phase > 0.5, r1, g1, b1)
            elif texture == texel.CAR_SIDE:
                cover, r, g, b = texel.car_side(u, v, length, height, r1, g1, b1)
            elif texture == texel.PERSON:
                cover, r, g, b = texel.person(u, v, length, height, seed, phase, r1, g1, b1, r2, g2, b2)
            elif texture == texel.CYCLIST:
                cover, r, g, b = texel.cyclist(u, v, length, height, seed, phase, r1, g1, b1, r2, g2, b2)
            else:
                cover, r, g, b = texel.lamp(v, height, dusk, r1, g1, b1)
            if cover == OUTSIDE:
                continue
            if line_labels[x] == UNKNOWN:
                line_labels[x] = label
            if cover == SEE_THROUGH:
                continue
            line_painted[x] = 1
            if cover != GLOWING:
                r, g, b = r * ambient_r, g * ambient_g, b * ambient_b
            haze = min(0.6, scale * thickness)
            line[x, 0] = byte(r + (haze_r - r) * haze)
            line[x, 1] = byte(g + (haze_g - g) * haze)
            line[x, 2] = byte(b + (haze_b - b) * haze)


@jit
def paint_shadows(shade: Bytes, shadows: Floats, view: Floats) -> None:
    """Darken the ground under things: rows (x0, x1, z0, z1, round, strength 0..255) into `shade` (H, W)."""
    H, W = shade.shape
    focal, centre, horizon, eye, eye_x, bend = view[0], view[1], view[2], view[3], view[4], view[5]
    for n in range(shadows.shape[0]):
        x0, x1, z0, z1, is_round = shadows[n, 0], shadows[n, 1], shadows[n, 2], shadows[n, 3], shadows[n, 4]
        strength = int(shadows[n, 5])
        if z1 < 0.5:
            continue
        top = max(0, math.ceil(horizon + focal * eye / z1 - 0.5))
        low = min(H, math.ceil(horizon + focal * eye / max(z0, 0.5) - 0.5))
        for y in range(top, low):
            z = focal * eye / (y + 0.5 - horizon)
            middle, half = 0.5 * (x0 + x1), 0.5 * (x1 - x0)
            if is_round > 0.5:
                p = (2.0 * z - z0 - z1) / (z1 - z0)
                half *= math.sqrt(max(0.0, 1.0 - p * p)) * (0.8 + 0.4 * hashed(math.floor(z * 3.0), n, 3))
            middle += bend * z * z - eye_x
            left = max(0, math.ceil(centre + focal * (middle - half) / z - 0.5))
            right = min(W, math.ceil(centre + focal * (middle + half) / z - 0.5))
            for x in range(left, right):
                shade[y, x] = max(shade[y, x], strength)


@jit
def paint_ground(
    rgb: Bytes, labels: Bytes, painted: Bytes, shade: Bytes, view: Floats, light: Floats, ground: Floats
) -> None:  # fmt: skip
    """Road and pavement by inverse perspective, row by row below the horizon.

    ground: (road half width, kerb-to-wall width, road r, g, b, pavement r, g, b, dash metres, slab metres).
    """
    H, W = labels.shape
    focal, centre, horizon, eye = view[0], view[1], view[2], view[3]
    ambient_r, ambient_g, ambient_b = light[0], light[1], light[2]
    haze_r, haze_g, haze_b = light[3], light[4], light[5]
    for y in range(max(0, math.ceil(horizon - 0.5)), H):
        z = min(400.0, focal * eye / max(0.2, y + 0.5 - horizon))
        haze = min(0.6, z * light[6])
        detail = min(1.0, 7.0 / z)
        along, step = z + view[6], z / focal
        start = view[4] - view[5] * z * z - centre * step
        for x in range(W):
            if painted[y, x] != 0:
                continue
            across = start + (x + 0.5) * step
            label, r, g, b = ground_texel(across, along, detail, step, ground)
            if labels[y, x] == UNKNOWN:
                labels[y, x] = label
            dark = 1.0 - shade[y, x] / 255.0
            r, g, b = r * ambient_r * dark, g * ambient_g * dark, b * ambient_b * dark
            rgb[y, x, 0] = byte(r + (haze_r - r) * haze)
            rgb[y, x, 1] = byte(g + (haze_g - g) * haze)
            rgb[y, x, 2] = byte(b + (haze_b - b) * haze)


@jit
def ground_texel(
    across: float, along: float, detail: float, step: float, ground: Floats
) -> tuple[int, float, float, float]:  # fmt: skip
    """Label and colour of the ground at (across, along) metres of the world."""
    side = abs(across)
    half = ground[0]
    grain = detail * (hashed(math.floor(across * 25.0), math.floor(along * 25.0), 5) - 0.5)
    if side < half:
        wear = hashed(math.floor(across * 0.4 + 50.0), math.floor(along * 0.15), 11)
        line = max(0.07, 0.7 * step)
        dashes = along / ground[8]
        if (side < line and dashes - math.floor(dashes) < 0.5) or abs(side - half + 0.25) < line * 0.8:
            return ROAD, 205.0 + 30.0 * grain, 203.0 + 30.0 * grain, 196.0 + 30.0 * grain
        tone = 0.94 + 0.12 * wear + 0.24 * grain
        return ROAD, ground[2] * tone, ground[3] * tone, ground[4] * tone
    if side < half + 0.16:
        return PAVEMENT, ground[5] * 1.12, ground[6] * 1.12, ground[7] * 1.12
    a, b = across / ground[9], along / ground[9]
    i, j = math.floor(a), math.floor(b)
    joint = min(a - i, b - j) < 0.05
    tone = 1.0 + 0.14 * grain + 0.12 * (hashed(i, j, 6) - 0.5) - (0.22 * detail if joint else 0.0)
    return PAVEMENT, ground[5] * tone, ground[6] * tone, ground[7] * tone


@jit
def paint_sky(rgb: Bytes, labels: Bytes, painted: Bytes, view: Floats, sky: Floats, drift: float) -> None:
    """What is left above the horizon; sky: (top r, g, b, horizon r, g, b, cloud r, g, b, cover, seed)."""
    W = labels.shape[1]
    horizon = min(labels.shape[0], max(0, math.ceil(view[2] - 0.5)))
    seed = int(sky[10])
    for y in range(horizon):
        up = (view[2] - y) / view[0]
        t = min(1.0, up * 2.2)
        r0, g0 = sky[3] + (sky[0] - sky[3]) * t, sky[4] + (sky[1] - sky[4]) * t
        b0 = sky[5] + (sky[2] - sky[5]) * t
        for x in range(W):
            if painted[y, x] != 0:
                continue
            p = (x - view[1]) / view[0] * 5.0 + drift
            cloud = smooth_noise(p, up * 14.0, seed) * 0.65 + smooth_noise(p * 3.1, up * 40.0, seed + 1) * 0.35
            mix = min(0.9, max(0.0, (cloud - 1.0 + sky[9]) * 3.0))
            if labels[y, x] == UNKNOWN:
                labels[y, x] = SKY
            rgb[y, x, 0] = byte(r0 + (sky[6] - r0) * mix)
            rgb[y, x, 1] = byte(g0 + (sky[7] - g0) * mix)
            rgb[y, x, 2] = byte(b0 + (sky[8] - b0) * mix)


@jit
def expose(scene: Bytes, tone: Bytes, grain: npt.NDArray[np.int16], frame: int, out: Bytes) -> None:
    """The sensor: a slightly soft lens, the tone curve (3, 256) with its white balance, noise.

    scene and out are (H, 3 W). grain holds noise to add: each row of each frame reads a stretch of it from
    a hashed place on, so it is longer than a row.
    """
    H, N = scene.shape
    places = grain.shape[0] - N
    for y in range(H):
        line = out[y]
        soften(line, scene[y], scene[max(0, y - 1)], scene[min(H - 1, y + 1)])
        for i in range(0, N, 3):
            line[i], line[i + 1], line[i + 2] = tone[0, line[i]], tone[1, line[i + 1]], tone[2, line[i + 2]]
        place = int(hashed(y, frame, 77) * places)
        add_grain(line, grain[place : place + N])


# Both loops run over slices that start at 0 and in 16 bits: so they become vector instructions.
@jit
def soften(line: Bytes, row: Bytes, above: Bytes, below: Bytes) -> None:
    """Half of each pixel, an eighth of each neighbour; the first and last pixel as they are."""
    N = row.shape[0]
    line[:3], line[N - 3 :] = row[:3], row[N - 3 :]
    inner, middle, left, right = line[3 : N - 3], row[3 : N - 3], row[: N - 6], row[6:]
    upper, lower = above[3 : N - 3], below[3 : N - 3]
    for i in range(inner.shape[0]):
        around = np.uint16(left[i]) + np.uint16(right[i]) + np.uint16(upper[i]) + np.uint16(lower[i])
        inner[i] = np.uint8(np.uint16(np.uint16(middle[i]) * np.uint16(4) + around) >> np.uint16(3))


@jit
def add_grain(line: Bytes, grain: npt.NDArray[np.int16]) -> None:
    """Add noise, held to 0..255."""
    for i in range(line.shape[0]):
        line[i] = np.uint8(min(255, max(0, np.int16(line[i]) + grain[i])))


def buffers(H: int, W: int) -> tuple[Bytes, Bytes, Bytes, Bytes]:
    """Fresh rgb, labels, painted and shade for one frame."""
    return (
        np.zeros((H, W, 3), np.uint8),
        np.full((H, W), UNKNOWN, np.uint8),
        np.zeros((H, W), np.uint8),
        np.zeros((H, W), np.uint8),
    )
