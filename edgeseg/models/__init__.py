"""Model families, one per file, which ends in `FAMILY = Family(...)`. This table imports nothing."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from edgeseg.errors import UnknownNameError

if TYPE_CHECKING:
    from edgeseg.models.family import Family

FAMILIES = {
    "ann": "edgeseg.models.ann",
    "attentionunet": "edgeseg.models.attentionunet",
    "bisenetv1": "edgeseg.models.bisenetv1",
    "bisenetv2": "edgeseg.models.bisenetv2",
    "ccnet": "edgeseg.models.ccnet",
    "cgnet": "edgeseg.models.cgnet",
    "dabnet": "edgeseg.models.dabnet",
    "danet": "edgeseg.models.danet",
    "ddrnet": "edgeseg.models.ddrnet",
    "deconvnet": "edgeseg.models.deconvnet",
    "deeplabv1": "edgeseg.models.deeplabv1",
    "deeplabv3": "edgeseg.models.deeplabv3",
    "deeplabv3plus": "edgeseg.models.deeplabv3plus",
    "dpt": "edgeseg.models.dpt",
    "encnet": "edgeseg.models.encnet",
    "enet": "edgeseg.models.enet",
    "espnet": "edgeseg.models.espnet",
    "fastscnn": "edgeseg.models.fastscnn",
    "fcn": "edgeseg.models.fcn",
    "fcnvgg": "edgeseg.models.fcnvgg",
    "gcnet": "edgeseg.models.gcnet",
    "hourglass": "edgeseg.models.hourglass",
    "hrnet": "edgeseg.models.hrnet",
    "icnet": "edgeseg.models.icnet",
    "liteseg": "edgeseg.models.liteseg",
    "nonlocalnet": "edgeseg.models.nonlocalnet",
    "ocrnet": "edgeseg.models.ocrnet",
    "pidnet": "edgeseg.models.pidnet",
    "pointrend": "edgeseg.models.pointrend",
    "ppliteseg": "edgeseg.models.ppliteseg",
    "psanet": "edgeseg.models.psanet",
    "pspnet": "edgeseg.models.pspnet",
    "refinenet": "edgeseg.models.refinenet",
    "segformer": "edgeseg.models.segformer",
    "segmenter": "edgeseg.models.segmenter",
    "segnet": "edgeseg.models.segnet",
    "stdc": "edgeseg.models.stdc",
    "unet": "edgeseg.models.unet",
    "unetplusplus": "edgeseg.models.unetplusplus",
    "upernet": "edgeseg.models.upernet",
}


def open_family(name: str) -> Family:
    """The family `name`. UnknownNameError, with the nearest name, where there is none."""
    if name not in FAMILIES:
        raise UnknownNameError.among("model family", name, FAMILIES)
    family: Family = importlib.import_module(FAMILIES[name]).FAMILY
    return family
