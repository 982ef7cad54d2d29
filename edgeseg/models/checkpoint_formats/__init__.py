"""Checkpoint formats of other training codes, one per file, which ends in `FORMAT = CheckpointFormat(...)`.

A format knows the names of the weights of a family, its versions and its preprocessing. Tests load random weights into
the original network and into ours: versions with equal keys and shapes give different logits.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import TYPE_CHECKING

from edgeseg.errors import FormatError

if TYPE_CHECKING:
    from edgeseg.models.checkpoint_formats.checkpoint_format import CheckpointFormat

FORMATS: dict[str, str] = {
    "torchseg-bisenetv1": "edgeseg.models.checkpoint_formats.torchseg_bisenetv1",
    "mmseg-bisenetv1": "edgeseg.models.checkpoint_formats.mmseg_bisenetv1",
    "coincheung-bisenetv1": "edgeseg.models.checkpoint_formats.coincheung_bisenetv1",
    "coincheung-bisenetv2": "edgeseg.models.checkpoint_formats.coincheung_bisenetv2",
    "mmseg-bisenetv2": "edgeseg.models.checkpoint_formats.mmseg_bisenetv2",
    "huggingface-segformer": "edgeseg.models.checkpoint_formats.huggingface_segformer",
    "mmseg-icnet": "edgeseg.models.checkpoint_formats.mmseg_icnet",
    "mmseg-segformer": "edgeseg.models.checkpoint_formats.mmseg_segformer",
    "nvlabs-segformer": "edgeseg.models.checkpoint_formats.nvlabs_segformer",
    "davidtvs-enet": "edgeseg.models.checkpoint_formats.davidtvs_enet",
    "huggingface-dpt": "edgeseg.models.checkpoint_formats.huggingface_dpt",
    "huggingface-upernet": "edgeseg.models.checkpoint_formats.huggingface_upernet",
    "michaelfan01-stdc": "edgeseg.models.checkpoint_formats.michaelfan01_stdc",
    "mmseg-ann": "edgeseg.models.checkpoint_formats.mmseg_ann",
    "mmseg-ccnet": "edgeseg.models.checkpoint_formats.mmseg_ccnet",
    "mmseg-cgnet": "edgeseg.models.checkpoint_formats.mmseg_cgnet",
    "mmseg-danet": "edgeseg.models.checkpoint_formats.mmseg_danet",
    "mmseg-ddrnet": "edgeseg.models.checkpoint_formats.mmseg_ddrnet",
    "mmseg-deeplabv3": "edgeseg.models.checkpoint_formats.mmseg_deeplabv3",
    "mmseg-deeplabv3plus": "edgeseg.models.checkpoint_formats.mmseg_deeplabv3plus",
    "mmseg-dpt": "edgeseg.models.checkpoint_formats.mmseg_dpt",
    "mmseg-encnet": "edgeseg.models.checkpoint_formats.mmseg_encnet",
    "mmseg-fastscnn": "edgeseg.models.checkpoint_formats.mmseg_fastscnn",
    "mmseg-fcn": "edgeseg.models.checkpoint_formats.mmseg_fcn",
    "mmseg-gcnet": "edgeseg.models.checkpoint_formats.mmseg_gcnet",
    "mmseg-nonlocalnet": "edgeseg.models.checkpoint_formats.mmseg_nonlocalnet",
    "mmseg-ocrnet": "edgeseg.models.checkpoint_formats.mmseg_ocrnet",
    "mmseg-pidnet": "edgeseg.models.checkpoint_formats.mmseg_pidnet",
    "mmseg-pointrend": "edgeseg.models.checkpoint_formats.mmseg_pointrend",
    "mmseg-psanet": "edgeseg.models.checkpoint_formats.mmseg_psanet",
    "mmseg-pspnet": "edgeseg.models.checkpoint_formats.mmseg_pspnet",
    "mmseg-segmenter": "edgeseg.models.checkpoint_formats.mmseg_segmenter",
    "mmseg-stdc": "edgeseg.models.checkpoint_formats.mmseg_stdc",
    "mmseg-unet": "edgeseg.models.checkpoint_formats.mmseg_unet",
    "mmseg-upernet": "edgeseg.models.checkpoint_formats.mmseg_upernet",
    "mmseg-upernet-resnet": "edgeseg.models.checkpoint_formats.mmseg_upernet_resnet",
    "reagan-dabnet": "edgeseg.models.checkpoint_formats.reagan_dabnet",
    "rstrudel-segmenter": "edgeseg.models.checkpoint_formats.rstrudel_segmenter",
    "sacmehta-espnet": "edgeseg.models.checkpoint_formats.sacmehta_espnet",
    "semseg-psanet": "edgeseg.models.checkpoint_formats.semseg_psanet",
    "semseg-pspnet": "edgeseg.models.checkpoint_formats.semseg_pspnet",
    "smp-deeplabv3plus": "edgeseg.models.checkpoint_formats.smp_deeplabv3plus",
    "smp-pspnet": "edgeseg.models.checkpoint_formats.smp_pspnet",
    "mmseg-hrnet": "edgeseg.models.checkpoint_formats.mmseg_hrnet",
    "hrnet-hrnet": "edgeseg.models.checkpoint_formats.hrnet_hrnet",
    "hrnet-ocrnet": "edgeseg.models.checkpoint_formats.hrnet_ocrnet",
    "smp-unet": "edgeseg.models.checkpoint_formats.smp_unet",
    "smp-unetplusplus": "edgeseg.models.checkpoint_formats.smp_unetplusplus",
    "speedinghzl-ccnet": "edgeseg.models.checkpoint_formats.speedinghzl_ccnet",
    "torchvision-deeplabv3": "edgeseg.models.checkpoint_formats.torchvision_deeplabv3",
    "torchvision-fcn": "edgeseg.models.checkpoint_formats.torchvision_fcn",
    "tramac-fastscnn": "edgeseg.models.checkpoint_formats.tramac_fastscnn",
    "wkentaro-fcnvgg": "edgeseg.models.checkpoint_formats.wkentaro_fcnvgg",
    "wutianyi-cgnet": "edgeseg.models.checkpoint_formats.wutianyi_cgnet",
    "xujiacong-pidnet": "edgeseg.models.checkpoint_formats.xujiacong_pidnet",
    "ydhonghit-ddrnet": "edgeseg.models.checkpoint_formats.ydhonghit_ddrnet",
}


def open_format(name: str) -> CheckpointFormat:
    """The format `name` of the table."""
    checkpoint_format: CheckpointFormat = importlib.import_module(FORMATS[name]).FORMAT
    return checkpoint_format


def recognised(keys: Iterable[str], *, path: str) -> CheckpointFormat:
    """The format whose signature is among `keys`. FormatError, with the nearest formats, where there is none."""
    keys = list(keys)
    scores = {each: each.match_score(keys) for each in map(open_format, FORMATS)}
    ranked = sorted(scores, key=lambda each: -scores[each])
    if scores[ranked[0]] == 1:
        return ranked[0]
    near = ", ".join(f"{each.name} ({scores[each]:.0%} of its keys)" for each in ranked[:3] if scores[each])
    known = f"nearest: {near}" if near else f"known: {', '.join(each.name for each in scores)}"
    examples = ", ".join([*keys[:4], *keys[-2:]] if len(keys) > 6 else keys)
    raise FormatError(
        f"unrecognised checkpoint: {path} has {len(keys)} tensors such as {examples}",
        hint=f"{known}; or export it to ONNX with its own code, then: edgeseg adopt model.onnx",
        code="ES-FORMAT-CHECKPOINT",
    )
