"""COCO and GeoJSON of a mask, held against an independent count of its pixels."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from small_streams import result_of

from edgeseg.datasets.labels import CAMVID_LABELS
from edgeseg.predictions import SemanticMask
from edgeseg.predictions.regions import ring_area
from edgeseg.video.frame import Frame
from edgeseg.video.sink import open_sink

# Few values on few pixels, so that regions touch in corners, have holes and lie within holes.
MASKS = arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 2))


def mask_of(labels: np.ndarray) -> SemanticMask:
    return SemanticMask(labels, CAMVID_LABELS)


def pixels_of_runs(segmentation: dict[str, Any]) -> np.ndarray:
    """COCO's definition: runs in column order, outside first."""
    values = [number % 2 for number, count in enumerate(segmentation["counts"]) for _ in range(count)]
    return np.array(values, bool).reshape(segmentation["size"], order="F")


def pixels_of_rings(rings: list[list[list[int]]], size: tuple[int, int]) -> np.ndarray:
    """By the even-odd rule at the centre of each pixel: how many vertical edges lie to its left."""
    inside = np.zeros(size, bool)
    for ring in rings:
        assert ring[0] == ring[-1]
        for (x0, y0), (x1, y1) in itertools.pairwise(ring):
            assert (x0 == x1) != (y0 == y1), "edges of pixels"
            if x0 == x1:
                inside[min(y0, y1) : max(y0, y1), x0:] ^= True
    return inside


@given(MASKS)
def test_coco_regions_are_the_pixels_of_the_mask(labels: np.ndarray) -> None:
    annotations = mask_of(labels).to_coco(image_id=7, first_id=10)
    assert [a["id"] for a in annotations] == list(range(10, 10 + len(annotations)))
    whole = np.full(labels.shape, 255, np.uint8)
    for annotation in annotations:
        inside = pixels_of_runs(annotation["segmentation"])
        assert (whole[inside] == 255).all()  # no pixel in two regions
        whole[inside] = annotation["category_id"]
        rows, columns = np.nonzero(inside)
        width, height = np.ptp(columns) + 1, np.ptp(rows) + 1
        assert annotation["bbox"] == [columns.min(), rows.min(), width, height]
        assert (annotation["area"], annotation["image_id"], annotation["iscrowd"]) == (len(rows), 7, 0)
        assert cv2.connectedComponents(inside.astype(np.uint8), connectivity=8)[0] == 2  # background and one region
    assert np.array_equal(whole, labels)


@given(MASKS)
def test_geojson_polygons_are_the_pixels_of_the_mask(labels: np.ndarray) -> None:
    collection = json.loads(json.dumps(mask_of(labels).to_geojson()))
    assert collection["type"] == "FeatureCollection"
    whole = np.full(labels.shape, 255, np.uint8)
    for feature in collection["features"]:
        rings = feature["geometry"]["coordinates"]
        inside = pixels_of_rings(rings, labels.shape)
        areas = [ring_area(np.array(ring)) for ring in rings]
        assert areas[0] > 0
        assert all(area < 0 for area in areas[1:])  # RFC 7946: holes turn the other way
        assert sum(areas) == inside.sum() == feature["properties"]["area"]
        assert (whole[inside] == 255).all()
        whole[inside] = feature["properties"]["class_id"]
        assert feature["properties"]["class"] == CAMVID_LABELS.names[feature["properties"]["class_id"]]
    assert np.array_equal(whole, labels)


@given(MASKS)
def test_coco_polygons_have_the_area_that_they_state(labels: np.ndarray) -> None:
    for annotation in mask_of(labels).to_coco(polygons=True):
        segmentation = annotation["segmentation"]
        if isinstance(segmentation, dict):  # a hole, which polygons of COCO cannot have
            outside = np.pad(~pixels_of_runs(segmentation), 1, constant_values=True).astype(np.uint8)
            assert cv2.connectedComponents(outside, connectivity=4)[0] > 2
            continue
        ((*points,),) = segmentation
        ring = np.array(points).reshape(-1, 2).tolist()
        assert pixels_of_rings([[*ring, ring[0]]], labels.shape).sum() == annotation["area"]


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of pycocotools, with NumPy 2
def test_pycocotools_reads_the_same_pixels() -> None:
    coco = pytest.importorskip("pycocotools.mask")
    labels = np.random.default_rng(3).integers(0, 3, (12, 16), np.uint8).repeat(5, 0).repeat(5, 1)
    for annotation in mask_of(labels).to_coco():
        runs = coco.frPyObjects(annotation["segmentation"], 60, 80)
        assert np.array_equal(coco.decode(runs).astype(bool), pixels_of_runs(annotation["segmentation"]))
        assert (coco.area(runs), coco.toBbox(runs).tolist()) == (annotation["area"], annotation["bbox"])
    for annotation in mask_of(labels).to_coco(polygons=True):
        if isinstance(annotation["segmentation"], list):
            runs = coco.merge(coco.frPyObjects(annotation["segmentation"], 60, 80))
            assert (coco.area(runs), coco.toBbox(runs).tolist()) == (annotation["area"], annotation["bbox"])


def test_json_lines_have_polygons_where_they_are_asked_for(tmp_path: Path) -> None:
    frame = Frame.from_rgb(0, 0.0, np.zeros((4, 6, 3), np.uint8))
    for uri in ("a.jsonl?polygons=1", "b.jsonl"):
        with open_sink(f"{tmp_path}/{uri}") as sink:
            sink.write(result_of(frame, label=2))
    first, second = (json.loads((tmp_path / name).read_text()) for name in ("a.jsonl", "b.jsonl"))
    (name,) = first["rle"]
    assert {tuple(point) for point in first["polygons"][name][0][0]} == {(0, 0), (6, 0), (6, 4), (0, 4)}
    assert "polygons" not in second
