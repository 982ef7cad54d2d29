"""The label sets of the data sets that edgeseg knows."""

from __future__ import annotations

from edgeseg.spec import LabelSet

# Brostow et al., "Semantic object classes in video", 2009: the 11 classes that are commonly evaluated, its colours.
CAMVID = {
    "Sky": (128, 128, 128),
    "Building": (128, 0, 0),
    "Pole": (192, 192, 128),
    "Road": (128, 64, 128),
    "Pavement": (0, 0, 192),
    "Tree": (128, 128, 0),
    "SignSymbol": (192, 128, 128),
    "Fence": (64, 64, 128),
    "Car": (64, 0, 128),
    "Pedestrian": (64, 64, 0),
    "Bicyclist": (0, 128, 192),
}

CAMVID_LABELS = LabelSet(names=tuple(CAMVID), palette=tuple(CAMVID.values()))
