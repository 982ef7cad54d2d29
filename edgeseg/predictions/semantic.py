"""One class for each pixel: labels, shares, outlines, run lengths, a label image."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeseg.errors import MismatchError
from edgeseg.files import whole_file
from edgeseg.pixels.overlay import overlay_labels
from edgeseg.pixels.overlay_planes import overlay_planes
from edgeseg.pixels.planes import Planes
from edgeseg.predictions.label_png import png_from_labels
from edgeseg.predictions.prediction import Prediction
from edgeseg.predictions.regions import coco_annotation, geojson_feature, regions_of, run_lengths
from edgeseg.spec import LabelSet, Task

Labels = NDArray[np.uint8]


@dataclass(frozen=True)
class Polygon:
    """The outline of one connected region, as (N, 2) int32 arrays of (x, y) pixels that belong to the region.

    holes: outlines of its holes; their pixels belong to the region, too.
    """

    outer: NDArray[np.int32]
    holes: tuple[NDArray[np.int32], ...] = ()


@dataclass(frozen=True, eq=False)
class SemanticMask(Prediction):
    """The labels of one image: (H, W) uint8, ids of `classes`."""

    labels: Labels
    classes: LabelSet

    @property
    def size(self) -> tuple[int, int]:
        """(H, W)."""
        return self.labels.shape[0], self.labels.shape[1]

    @property
    def palette(self) -> NDArray[np.uint8]:
        """(K, 3) uint8 rgb, one colour for each class."""
        return np.array(self.classes.palette, np.uint8)

    def render(self, rgb: NDArray[np.uint8], *, opacity: float = 0.5) -> NDArray[np.uint8]:
        """`rgb` (H, W, 3), of any size, with the classes' colours blended in; a new array."""
        return overlay_labels(rgb, self.labels, self.palette, opacity=opacity)

    def render_planes(self, planes: Planes, *, opacity: float = 0.5) -> Planes:
        """`planes` with the classes' colours blended in; new memory."""
        return overlay_planes(planes, self.labels, self.palette, opacity=opacity)

    def shares(self) -> dict[str, float]:
        """The share of pixels of each class, by name."""
        counts = np.bincount(self.labels.ravel(), minlength=len(self.classes))
        return {name: float(count) / self.labels.size for name, count in zip(self.classes.names, counts)}

    def polygons(self) -> dict[str, list[Polygon]]:
        """The outlines of each class that occurs, by name: one polygon for each 8-connected region."""
        return {name: _polygons(self.labels == label) for label, name in self._occurring()}

    def to_rle(self) -> dict[str, dict[str, Any]]:
        """Run lengths of each class that occurs, by name, in COCO's uncompressed format.

        `size` is [H, W]; `counts` are the lengths of runs in column order, outside and inside in turn.
        """
        return {name: run_lengths(self.labels == label) for label, name in self._occurring()}

    def to_coco(self, *, image_id: int = 0, first_id: int = 1, polygons: bool = False) -> list[dict[str, Any]]:
        """One COCO annotation for each 8-connected region, with ids from `first_id` on; `category_id` is the class id.

        polygons: instead of run lengths, where the region has no hole. Corners of pixels are integers.
        """
        regions = regions_of(self.labels, len(self.classes))
        return [
            {"id": number, "image_id": image_id, **coco_annotation(region, self.size, polygons=polygons)}
            for number, region in enumerate(regions, first_id)
        ]

    def to_geojson(self) -> dict[str, Any]:
        """A FeatureCollection with one polygon for each 8-connected region, in pixels: x to the right, y downwards."""
        names = self.classes.names
        features = [geojson_feature(region, names[region.label]) for region in regions_of(self.labels, len(names))]
        return {"type": "FeatureCollection", "features": features}

    def outlines(self) -> dict[str, list[list[list[list[int]]]]]:
        """The regions of each class that occurs, by name, as the coordinates of a MultiPolygon of GeoJSON."""
        outlines: dict[str, list[list[list[list[int]]]]] = {}
        for region in regions_of(self.labels, len(self.classes)):
            rings = [ring.tolist() for ring in region.rings]
            outlines.setdefault(self.classes.names[region.label], []).append(rings)
        return outlines

    def to_dict(self) -> dict[str, Any]:
        """Plain data: task, size, shares, and run lengths by class name."""
        return {**self.summary(), "rle": self.to_rle()}

    def summary(self) -> dict[str, Any]:
        """Plain data without the pixels: task, size and shares by class name."""
        return {"task": str(Task.SEMANTIC), "size": list(self.size), "shares": self.shares()}

    def save(self, path: str | Path) -> Path:
        """Write a PNG of 8-bit class ids with the palette: viewers show colours, readers get ids."""
        with whole_file(path) as partial:
            partial.write_bytes(png_from_labels(self.labels, self.palette))
        return Path(path)

    def _occurring(self) -> list[tuple[int, str]]:
        """(id, name) of the classes that the labels hold."""
        counts = np.bincount(self.labels.ravel(), minlength=len(self.classes))
        return [(label, name) for label, name in enumerate(self.classes.names) if counts[label]]


def semantic_mask(prediction: Prediction) -> SemanticMask:
    """`prediction` as a semantic mask. MismatchError for another task."""
    if not isinstance(prediction, SemanticMask):
        kind = type(prediction).__name__
        raise MismatchError(
            f"this model predicts {kind}, not a semantic mask", hint="call predict, not segment", code="ES-TASK"
        )
    return prediction


def _polygons(inside: NDArray[np.bool_]) -> list[Polygon]:
    """The regions of a mask (H, W)."""
    contours, hierarchy = cv2.findContours(inside.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    if hierarchy is None:
        return []
    outlines = [np.asarray(contour, np.int32).reshape(-1, 2) for contour in contours]
    parents = [int(parent) for parent in np.asarray(hierarchy).reshape(-1, 4)[:, 3]]
    return [
        Polygon(outline, tuple(hole for hole, parent in zip(outlines, parents) if parent == index))
        for index, outline in enumerate(outlines)
        if parents[index] < 0
    ]
