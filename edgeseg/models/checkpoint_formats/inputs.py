"""The input size and normalisation of a checkpoint, by its training code and number of classes."""

from __future__ import annotations

from edgeseg.spec import InputSpec

CITYSCAPES_CLASSES = 19
CAMVID_CLASSES = 11
# CoinCheung/BiSeNet's own statistics by number of classes: Cityscapes, COCO-Stuff, ADE20K (lib/data/*.py). Its TensorRT
# demos have those of ImageNet, which its networks were not trained with.
COINCHEUNG = {
    19: InputSpec(2048, 1024, mean=(0.3257, 0.3690, 0.3223), std=(0.2112, 0.2148, 0.2115)),
    171: InputSpec(640, 640, mean=(0.46962251, 0.4464104, 0.40718787), std=(0.27469736, 0.27012361, 0.28515933)),
    150: InputSpec(640, 640, mean=(0.49343230, 0.46819794, 0.43106043), std=(0.25680755, 0.25506608, 0.27422913)),
}
COINCHEUNG_CUSTOM = InputSpec(1024, 512, mean=(0.4, 0.4, 0.4), std=(0.2, 0.2, 0.2))

# torchvision resizes the shorter side to 520: the next multiple of 8, and a frame of 16:9.
TORCHVISION = InputSpec(928, 520)
# The Caffe models of VGG take 0..255 values in BGR with the mean subtracted.
CAFFE_VGG = InputSpec(
    512, 512, mean=(104.00699 / 255, 116.66877 / 255, 122.67892 / 255), std=(1 / 255, 1 / 255, 1 / 255), color="bgr"
)
# segmentation_models_pytorch leaves the size to its user.
SMP = InputSpec(512, 512)


def mmseg_input(classes: int) -> InputSpec:
    """2048x1024 for Cityscapes, else 512x512; ImageNet's statistics. NVlabs uses the pipeline of mmsegmentation."""
    return InputSpec(2048, 1024) if classes == CITYSCAPES_CLASSES else InputSpec(512, 512)


def coincheung_input(classes: int) -> tuple[InputSpec, str]:
    """The input of a network with so many classes, and a remark for `Adopted.details` where it is a guess."""
    if classes in COINCHEUNG:
        return COINCHEUNG[classes], ""
    return COINCHEUNG_CUSTOM, "; normalised as custom data of its users, by 0.4 and 0.2"


def road_input(classes: int) -> InputSpec:
    """`mmseg_input`, and 960x720 for CamVid, as the authors of networks for roads have it."""
    return InputSpec(960, 720) if classes == CAMVID_CLASSES else mmseg_input(classes)


def semseg_input(classes: int) -> InputSpec:
    """hszhao/semseg's windows of 713 pixels for Cityscapes and 473 else, rounded down to multiples of 8."""
    return InputSpec(712, 712) if classes == CITYSCAPES_CLASSES else InputSpec(472, 472)
