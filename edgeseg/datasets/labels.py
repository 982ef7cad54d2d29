"""The label sets of the known data sets."""

from __future__ import annotations

from edgeseg.datasets.coco_stuff_names import OFFICIAL_NAMES, UNUSED_NAMES
from edgeseg.labels import default_palette
from edgeseg.spec import LabelSet

# Brostow et al., "Semantic object classes in video", 2009: the 11 classes in common use, and its colours.
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

# Cordts et al., "The Cityscapes Dataset", 2016: the 19 classes of its benchmark, with the names, order and colours of
# its scripts.
CITYSCAPES = {
    "road": (128, 64, 128),
    "sidewalk": (244, 35, 232),
    "building": (70, 70, 70),
    "wall": (102, 102, 156),
    "fence": (190, 153, 153),
    "pole": (153, 153, 153),
    "traffic light": (250, 170, 30),
    "traffic sign": (220, 220, 0),
    "vegetation": (107, 142, 35),
    "terrain": (152, 251, 152),
    "sky": (70, 130, 180),
    "person": (220, 20, 60),
    "rider": (255, 0, 0),
    "car": (0, 0, 142),
    "truck": (0, 0, 70),
    "bus": (0, 60, 100),
    "train": (0, 80, 100),
    "motorcycle": (0, 0, 230),
    "bicycle": (119, 11, 32),
}

CITYSCAPES_LABELS = LabelSet(names=tuple(CITYSCAPES), palette=tuple(CITYSCAPES.values()))

# Caesar et al., "COCO-Stuff", 2018: the 171 classes of its label files. It defines no colours: these are by id.
COCO_STUFF_LABELS = LabelSet(
    names=tuple(name for name in OFFICIAL_NAMES if name not in UNUSED_NAMES),
    palette=tuple(
        (int(r), int(g), int(b))
        for name, (r, g, b) in zip(OFFICIAL_NAMES, default_palette(1 + len(OFFICIAL_NAMES))[1:])
        if name not in UNUSED_NAMES
    ),
)
