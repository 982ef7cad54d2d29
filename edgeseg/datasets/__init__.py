"""Images with ground truth, opened by a URI: `kind:PATH?key=value&key=value`. One kind per file.

For example `camvid:/data/camvid?split=test&without=0006R0`, `cityscapes:/data/cityscapes?split=val&limit=50`,
`folder:/data/mine` (with a dataset.toml in it), `street:?seed=100..107&frames=40&size=1024x512&stride=25`.
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
    """Open a data set. UnknownNameError for an unknown kind or option, FormatError for an invalid value."""
    name, colon, rest = uri.partition(":")
    if not colon:
        raise UnknownNameError(
            f"no kind of data set in {uri}", hint=f"write KIND:{uri}; KIND is one of {', '.join(DATASETS)}"
        )
    path, _, query = rest.partition("?")
    return open_kind(name).open_uri(path, query)


def open_kind(name: str) -> DatasetKind:
    """The kind `name`: its options with defaults, and how to open it."""
    if name not in DATASETS:
        raise UnknownNameError.among("data set", name, DATASETS)
    kind: DatasetKind = importlib.import_module(DATASETS[name]).KIND
    return kind
