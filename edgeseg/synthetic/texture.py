"""What each upright surface of the street camera looks like, point by point.

Every texture takes a point on its surface, `u` metres along and `v` metres up, and answers
(cover, red, green, blue), colours in 0..255. Surfaces are `length` by `height` metres. `detail` is 1 near by
and falls to 0 where a texture finer than a pixel would only flicker. `r2, g2, b2` is a second colour.
"""

# ruff: noqa: PLR0911 - one return per part of a surface

from __future__ import annotations

import math

from edgeseg.jit import jit

OUTSIDE, SEE_THROUGH, LIT, GLOWING = 0, 1, 2, 3  # glowing: has its own light, at dusk too

FACADE, FENCE, POLE, SIGN, CROWN, HEDGE, CAR_END, CAR_SIDE, PERSON, CYCLIST, LAMP = range(11)

Texel = tuple[int, float, float, float]


@jit
def hashed(x: int, y: int, seed: int) -> float:
    """Noise in [0, 1) from three integers, the same on every machine."""
    h = (x * 374761393 + y * 668265263 + seed * 1442695041) & 0xFFFFFFFF
    h = ((h ^ (h >> 13)) * 1274126177) & 0xFFFFFFFF
    h = ((h ^ (h >> 15)) * 668265261) & 0xFFFFFFFF
    return ((h ^ (h >> 16)) & 0xFFFFFF) / 16777216.0


@jit
def smooth_noise(x: float, y: float, seed: int) -> float:
    """Hashed values at the whole numbers, blended between them: [0, 1)."""
    i, j = math.floor(x), math.floor(y)
    s, t = x - i, y - j
    s, t = s * s * (3.0 - 2.0 * s), t * t * (3.0 - 2.0 * t)
    top = hashed(i, j, seed) * (1.0 - s) + hashed(i + 1, j, seed) * s
    low = hashed(i, j + 1, seed) * (1.0 - s) + hashed(i + 1, j + 1, seed) * s
    return top * (1.0 - t) + low * t


@jit
def near_line(u: float, v: float, au: float, av: float, bu: float, bv: float, radius: float) -> bool:
    """Whether (u, v) is within `radius` of the line from a to b: limbs, tubes, spokes."""
    du, dv = bu - au, bv - av
    t = ((u - au) * du + (v - av) * dv) / (du * du + dv * dv + 1e-9)
    t = min(1.0, max(0.0, t))
    eu, ev = u - au - t * du, v - av - t * dv
    return eu * eu + ev * ev < radius * radius


@jit
def facade(
    u: float, v: float, height: float, detail: float, seed: int, dusk: bool,
    r: float, g: float, b: float, r2: float, g2: float, b2: float,
) -> Texel:  # fmt: skip
    """Storeys of 3 m with windows, a shop or plinth below, a cornice above, brick or render."""
    pitch = 1.9 + 1.3 * hashed(1, 2, seed)
    column, storey = math.floor(u / pitch), math.floor(v / 3.0)
    fu, fv = u / pitch - column, v / 3.0 - storey
    if v > height - 0.35:
        return LIT, r * 0.7, g * 0.7, b * 0.7
    if storey == 0 and hashed(5, 5, seed) < 0.5:  # a shop: wide panes under a coloured band
        if fv > 0.78:
            return LIT, r2, g2, b2
        glass = 0.06 < fu < 0.94 and fv > 0.15
    else:
        glass = 0.24 < fu < 0.76 and 0.27 < fv < 0.82
    if glass:
        pane = hashed(column, storey, seed + 7)
        if dusk and pane < 0.4:
            return GLOWING, 235.0 - 60.0 * pane, 195.0 - 60.0 * pane, 120.0
        sheen = 45.0 + 90.0 * pane + 35.0 * fv
        if abs(fu - 0.5) < 0.025:
            return LIT, r2, g2, b2
        return LIT, sheen * 0.86, sheen * 0.95, sheen
    row = math.floor(v * 9.0)
    brick = hashed(math.floor(u * 4.0 + 0.5 * (row & 1)), row, seed) - 0.5
    tone = 1.0 + detail * 0.26 * brick + 0.10 * (hashed(column, storey, seed + 3) - 0.5)
    return LIT, r * tone, g * tone, b * tone


@jit
def fence(
    u: float, v: float, height: float, detail: float, seed: int, r: float, g: float, b: float
) -> Texel:  # fmt: skip
    """Posts, two rails and bars, or boards; what lies between the bars is seen, and is still Fence."""
    style = hashed(3, 1, seed)
    fu = u * 0.5 - math.floor(u * 0.5)
    if fu < 0.06:
        return LIT, r * 0.75, g * 0.75, b * 0.75
    if style < 0.4:  # boards
        board = math.floor(u * 6.0)
        gap = u * 6.0 - board < 0.12
        tone = 0.55 if gap else 0.85 + 0.3 * detail * (hashed(board, 0, seed) - 0.5)
        return LIT, r * tone, g * tone, b * tone
    if v > height - 0.1 or abs(v - 0.2) < 0.06:
        return LIT, r * 0.9, g * 0.9, b * 0.9
    bars = u * (5.0 if style < 0.7 else 8.0)
    if bars - math.floor(bars) < 0.45:
        return LIT, r, g, b
    return SEE_THROUGH, 0.0, 0.0, 0.0


@jit
def round_post(u: float, v: float, length: float, r: float, g: float, b: float) -> Texel:
    """A cylinder: light on one flank, a darker band near the foot."""
    p = u / length
    tone = (0.6 + 1.6 * p * (1.0 - p) + 0.15 * p) * (0.75 if v < 0.9 else 1.0)
    return LIT, r * tone, g * tone, b * tone


@jit
def sign(
    u: float, v: float, length: float, height: float, seed: int,
    r: float, g: float, b: float, r2: float, g2: float, b2: float,
) -> Texel:  # fmt: skip
    """A round, triangular, diamond or rectangular plate with a border and a glyph."""
    p, q = 2.0 * u / length - 1.0, 2.0 * v / height - 1.0
    style = hashed(9, 4, seed)
    if length > 1.25 * height or style < 0.3:
        edge = max(abs(p), abs(q))
    elif style < 0.65:
        edge = math.sqrt(p * p + q * q)
    elif style < 0.85:
        edge = max(-q, abs(p) + 0.5 * (q + 1.0))
    else:
        edge = abs(p) + abs(q)
    if edge > 1.0:
        return OUTSIDE, 0.0, 0.0, 0.0
    if edge > 0.76:
        return LIT, r, g, b
    glyph = hashed(math.floor(p * 4.0), math.floor(abs(q) * 3.5), seed) < 0.35 and edge < 0.6
    if glyph:
        return LIT, r2 * 0.25, g2 * 0.25, b2 * 0.25
    return LIT, r2, g2, b2


@jit
def leaves(u: float, v: float, lift: float, detail: float, seed: int, r: float, g: float, b: float) -> Texel:
    """Clumps of foliage, lighter towards the top (`lift` 0 to 1), with a few holes."""
    clump = smooth_noise(u * 2.2, v * 2.2, seed)
    leaf = hashed(math.floor(u * 11.0), math.floor(v * 11.0), seed)
    if clump < 0.16 and leaf < 0.5:
        return SEE_THROUGH, 0.0, 0.0, 0.0
    tone = 0.45 + 0.4 * lift + 0.5 * (clump - 0.4) + detail * 0.5 * (leaf - 0.5)
    return LIT, r * tone, g * tone, b * tone


@jit
def crown(
    u: float, v: float, length: float, height: float, detail: float, seed: int, r: float, g: float, b: float
) -> Texel:  # fmt: skip
    """A rounded, lobed tree crown."""
    p, q = 2.0 * u / length - 1.0, 2.0 * v / height - 1.0
    square = p * p + q * q
    if square > 1.0:
        return OUTSIDE, 0.0, 0.0, 0.0
    if square > 0.49 and square > 0.49 + 0.5 * smooth_noise(p * 3.0 + 9.0, q * 3.0 + 9.0, seed + 1):
        return OUTSIDE, 0.0, 0.0, 0.0
    return leaves(u, v, v / height, detail, seed, r, g, b)


@jit
def car_end(
    u: float, v: float, length: float, height: float, dusk: bool, oncoming: bool,
    r: float, g: float, b: float,
) -> Texel:  # fmt: skip
    """A car seen from behind, or from the front when `oncoming`; tall ones are vans."""
    p, q = abs(2.0 * u / length - 1.0), v / height
    van = height > 1.8
    if q < 0.16:
        if 0.62 < p < 0.95:
            return LIT, 22.0, 22.0, 24.0
        if q < 0.1:
            return OUTSIDE, 0.0, 0.0, 0.0
        return LIT, 30.0, 30.0, 32.0
    if q > 0.56:
        side = 1.0 - (q - 0.56) * (0.2 if van else 0.75)
        if p > side or (q > 0.96 and p > side - 0.12):
            return OUTSIDE, 0.0, 0.0, 0.0
        if p < side - 0.12 and 0.6 < q < 0.92:
            glare = 40.0 + 110.0 * (q - 0.56) + 25.0 * p
            return LIT, glare, glare * 1.05, glare * 1.12
        return LIT, r * 1.08, g * 1.08, b * 1.08
    if 0.38 < q < 0.5 and p > 0.68:
        if oncoming:
            return (GLOWING if dusk else LIT), 250.0, 245.0, 215.0
        return (GLOWING if dusk else LIT), (230.0 if dusk else 170.0), 25.0, 28.0
    if 0.26 < q < 0.34 and p < 0.28:
        return LIT, 225.0, (222.0 if oncoming else 200.0), (215.0 if oncoming else 90.0)
    if q < 0.24 or (oncoming and 0.38 < q < 0.48 and p < 0.5):
        return LIT, r * 0.45, g * 0.45, b * 0.45
    tone = 0.78 + 0.4 * q
    return LIT, r * tone, g * tone, b * tone


@jit
def car_side(u: float, v: float, length: float, height: float, r: float, g: float, b: float) -> Texel:
    """A car's flank: wheels, doors, a cabin of glass; tall ones are vans."""
    q, p = v / height, u / length
    for axle in (0.19 * length, 0.81 * length):
        du, dv = u - axle, v - 0.31
        d = du * du + dv * dv
        if d < 0.034:
            return LIT, 140.0, 140.0, 145.0
        if d < 0.1:
            return LIT, 20.0, 20.0, 22.0
    if q < 0.17:
        return OUTSIDE, 0.0, 0.0, 0.0
    if q > 0.58:
        slope = (q - 0.58) * (0.15 if height > 1.8 else 0.45)
        if p < 0.06 + slope or p > 0.93 - slope * 1.3 - (0.0 if height > 1.8 else 0.12):
            return OUTSIDE, 0.0, 0.0, 0.0
        if 0.62 < q < 0.92 and 0.11 + slope < p < 0.78 - slope and abs(p - 0.45) > 0.015:
            glare = 35.0 + 90.0 * (q - 0.5)
            return LIT, glare, glare * 1.05, glare * 1.12
    tone = 0.68 + 0.35 * q - (0.25 if abs(p - 0.45) < 0.006 or q < 0.22 else 0.0)
    return LIT, r * tone, g * tone, b * tone


@jit
def person(
    u: float, v: float, length: float, height: float, seed: int, phase: float,
    r: float, g: float, b: float, r2: float, g2: float, b2: float,
) -> Texel:  # fmt: skip
    """Someone on foot; `phase` 0 to 1 is one double step."""
    p, q = 2.0 * u / length - 1.0, v / height
    swing = 4.0 * abs(phase - 0.5) - 1.0
    pu, pv = p * 0.5 * length, (q - 0.915) * height
    if pu * pu + pv * pv * 0.7 < 0.0145:
        skin = 0.45 + 0.55 * hashed(2, 8, seed)
        if q > 0.94:
            return LIT, r2 * 0.5, g2 * 0.4, b2 * 0.4
        return LIT, 225.0 * skin, 180.0 * skin, 150.0 * skin
    if 0.46 < q < 0.85:
        if abs(p) > 0.78 - max(0.0, q - 0.74) * 4.0 + 0.1 * swing * (0.7 - q):
            return OUTSIDE, 0.0, 0.0, 0.0
        tone = 0.8 if abs(abs(p) - 0.5) < 0.05 else 1.0 - 0.3 * (p + 0.2) * (p + 0.2)
        return LIT, r * tone, g * tone, b * tone
    if q <= 0.46:
        spread = (0.5 - q) * 0.9 * swing
        if abs(p - 0.26 - spread) < 0.27 or abs(p + 0.26 + spread) < 0.27:
            tone = 0.3 if q < 0.04 else 0.85 + 0.2 * q
            return LIT, r2 * tone, g2 * tone, b2 * tone
    return OUTSIDE, 0.0, 0.0, 0.0


@jit
def cyclist(
    u: float, v: float, length: float, height: float, seed: int, phase: float,
    r: float, g: float, b: float, r2: float, g2: float, b2: float,
) -> Texel:  # fmt: skip
    """A rider on a bicycle, half from the side; the wheels' discs belong to the class whole."""
    u, v = u * 1.4 / length, v * 1.75 / height
    if hashed(4, 4, seed) < 0.5:
        u = 1.4 - u
    du, dv = u - 0.98, v - 1.55
    if du * du + dv * dv < 0.0215:
        if v > 1.6:
            return LIT, r2, g2, b2
        skin = 0.45 + 0.55 * hashed(2, 8, seed)
        return LIT, 225.0 * skin, 180.0 * skin, 150.0 * skin
    if near_line(u, v, 0.52, 0.98, 0.86, 1.32, 0.2):
        return LIT, r, g, b
    if near_line(u, v, 0.86, 1.3, 1.08, 1.02, 0.07):
        return LIT, r * 0.8, g * 0.8, b * 0.8
    foot = 0.4 + 0.16 * (4.0 * abs(phase - 0.5) - 1.0)
    if near_line(u, v, 0.55, 0.92, 0.86, foot + 0.32, 0.11) or near_line(
        u, v, 0.86, foot + 0.3, 0.7, foot - 0.08, 0.09
    ):
        return LIT, r2 * 0.8, g2 * 0.8, b2 * 0.8
    if near_line(u, v, 0.36, 0.36, 0.62, 0.82, 0.05) or near_line(u, v, 0.62, 0.8, 1.05, 0.95, 0.05):
        return LIT, r * 0.7, g * 0.7, b * 0.7
    for hub in (0.36, 1.04):
        du, dv = u - hub, v - 0.34
        d = du * du + dv * dv
        if d < 0.1156:
            if d > 0.073 or d < 0.004 or abs(du) < 0.02 or abs(dv) < 0.02:
                return LIT, 26.0, 26.0, 28.0
            return SEE_THROUGH, 0.0, 0.0, 0.0
    return OUTSIDE, 0.0, 0.0, 0.0


@jit
def lamp(v: float, height: float, dusk: bool, r: float, g: float, b: float) -> Texel:
    """A street lamp's arm and head: it glows at dusk along its lower half."""
    if dusk and v < 0.6 * height:
        return GLOWING, 255.0, 225.0, 160.0
    return LIT, r, g, b
