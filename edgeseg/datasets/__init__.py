"""Pictures with ground truth, named by one line of text, `name:PATH?key=value&key=value`. One kind a file.

For example `camvid:/data/camvid?split=test&without=0006R0`, `cityscapes:/data/cityscapes?split=val&limit=50`,
`folder:/data/mine` (a dataset.toml is in it), `street:?seed=100..107&frames=40&size=1024x512&stride=25`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from edgeseg.errors import UnknownNameError

if TYPE_CHECKING:
    from edgeseg.datasets.dataset import Dataset, DatasetKind

DATASETS = {
    "camvid": "edgeseg.datasets.camvid",
    "cityscapes": "edgeseg.datasets.cityscapes",
    "coco_stuff": "edgeseg.datasets.coco_stuff",
    "folder": "edgeseg.datasets.folder",
    "street": "edgeseg.datasets.synthetic",
}


def open_dataset(uri: str) -> Dataset:
    """The data set that `uri` names. UnknownNameError for a name or key in no table, DataError for a bad value."""
    name, colon, rest = uri.partition(":")
    if not colon:
        raise UnknownNameError(
            f"no data set is named in {uri}", hint=f"write NAME:{uri}, NAME being one of {', '.join(DATASETS)}"
        )
    path, _, query = rest.partition("?")
    return open_kind(name).open_uri(path, query)


def open_kind(name: str) -> DatasetKind:
    """The kind `name`: its keys with their defaults, and how it is opened."""
    if name not in DATASETS:
        raise UnknownNameError.among("data set", name, DATASETS)
    kind: DatasetKind = importlib.import_module(DATASETS[name]).KIND
    return kind
