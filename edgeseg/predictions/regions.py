"""Connected regions of a semantic mask, in the exchange formats COCO and GeoJSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Ring = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Region:
    """One 8-connected region of a class.

    label: id of the class. area: pixels. box: x, y, width, height. inside: (height, width) bool, within the box.
    rings: the outline and then those of the holes, each (N, 2) int32 (x, y) of corners of pixels, so that the areas
    of the rings add up to the pixels. Rings are closed; that of the outline has a positive area, holes a negative one.
    A ring may touch itself in a corner, where pixels meet diagonally, but does not cross itself.
    """

    label: int
    area: int
    box: tuple[int, int, int, int]
    inside: NDArray[np.bool_]
    rings: tuple[Ring, ...]


def regions_of(labels: NDArray[np.uint8], classes: int) -> Iterator[Region]:
    """The regions of each id below `classes`, by id and then by their first pixel."""
    counts = np.bincount(labels.ravel(), minlength=classes)[:classes]
    for label in np.flatnonzero(counts):
        numbers, stats = cv2.connectedComponentsWithStats((labels == label).astype(np.uint8), connectivity=8)[1:3]
        for number in range(1, len(stats)):
            x, y, width, height, area = (int(value) for value in stats[number])
            inside = numbers[y : y + height, x : x + width] == number
            yield Region(int(label), area, (x, y, width, height), inside, _rings(inside, x, y))


def _rings(inside: NDArray[np.bool_], x: int, y: int) -> tuple[Ring, ...]:
    """The outlines of one region. At twice the size, a border pixel at c lies beside the corner (c + 1) // 2."""
    doubled = inside.astype(np.uint8).repeat(2, 0).repeat(2, 1)
    contours, hierarchy = cv2.findContours(doubled, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    outlines = [_corners(np.asarray(contour, np.int32).reshape(-1, 2), x, y) for contour in contours]
    is_hole = np.asarray(hierarchy).reshape(-1, 4)[:, 3] >= 0
    ordered = sorted(zip(is_hole, range(len(outlines))))
    return tuple(_oriented(outlines[index].astype(np.int32), positive=not hole) for hole, index in ordered)


def _corners(border: Ring, x: int, y: int) -> Ring:
    """A closed ring through the corners of pixels, moved by (x, y), without points on straight lines."""
    points = (border + 1) // 2 + np.array([x, y])
    points = points[np.any(points != np.roll(points, 1, 0), 1)]
    before, after = points - np.roll(points, 1, 0), np.roll(points, -1, 0) - points
    points = points[before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]]
    return np.concatenate([points, points[:1]])


def _oriented(ring: Ring, *, positive: bool) -> Ring:
    return ring if (ring_area(ring) > 0) == positive else ring[::-1]


def ring_area(ring: Ring) -> float:
    """The signed area of a closed ring (shoelace formula)."""
    x, y = ring[:, 0].astype(np.int64), ring[:, 1].astype(np.int64)
    return float((x[:-1] * y[1:] - x[1:] * y[:-1]).sum()) / 2


def run_lengths(inside: NDArray[np.bool_]) -> dict[str, Any]:
    """COCO's uncompressed run lengths of a mask (H, W): the first run is outside, and may be 0 long."""
    flat = inside.ravel(order="F")
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    ends = np.concatenate([[0] if flat[0] else [], [0], edges, [flat.size]]).astype(np.int64)
    return {"size": [int(side) for side in inside.shape], "counts": np.diff(ends).tolist()}


def coco_annotation(region: Region, size: tuple[int, int], *, polygons: bool) -> dict[str, Any]:
    """`region` of an image of `size` (H, W) as an annotation of COCO, without ids.

    Polygons of COCO have no holes, so that a region with a hole is given as run lengths all the same.
    """
    x, y, width, height = region.box
    if polygons and len(region.rings) == 1:
        segmentation: Any = [region.rings[0][:-1].ravel().tolist()]
    else:
        mask = np.zeros(size, np.bool_)
        mask[y : y + height, x : x + width] = region.inside
        segmentation = run_lengths(mask)
    return {
        "category_id": region.label,
        "segmentation": segmentation,
        "area": region.area,
        "bbox": [x, y, width, height],
        "iscrowd": 0,
    }


def geojson_feature(region: Region, name: str) -> dict[str, Any]:
    """`region` as a feature of GeoJSON (RFC 7946), in pixels: x to the right, y downwards."""
    return {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [ring.tolist() for ring in region.rings]},
        "properties": {"class": name, "class_id": region.label, "area": region.area},
    }
