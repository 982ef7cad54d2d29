"""A prediction from the outputs for tiles of a frame."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeseg.errors import MismatchError
from edgeseg.pixels.tiles import Tiling
from edgeseg.pixels.upsample import labels_nearest
from edgeseg.predictions.decoder import Array, Decoder, SemanticDecoder
from edgeseg.predictions.semantic import SemanticMask
from edgeseg.spec import Output, Tiles

Rgb = NDArray[np.uint8]


@dataclass(frozen=True)
class TiledDecoder:
    """Makes a prediction from the outputs for the tiles of a frame, and resizes it if another size is requested."""

    decoder: SemanticDecoder
    tiling: Tiling

    def is_for(self, size: tuple[int, int]) -> bool:
        """Whether a frame of `size` (H, W) is cut: whether it is larger than the input along an axis."""
        return size[0] > self.tiling.size[0] or size[1] > self.tiling.size[1]

    def text(self) -> str:
        """What is cut, and how, in one line."""
        (height, width), shared = self.tiling.size, self.tiling.overlaps()
        how = f"overlap {shared[1]}x{shared[0]} pixels, stitch {self.tiling.stitch}"
        return f"frames larger than {width}x{height} are cut into tiles: {how}"

    def prediction(
        self, rgb: Rgb, size: tuple[int, int], infer: Callable[[list[Rgb]], Mapping[str, Array]]
    ) -> SemanticMask:
        """The prediction at `size` (H, W) of a frame `rgb` (H, W, 3); labels are resized by nearest neighbour.

        infer: the outputs for some tiles, at most a batch. They may be overwritten by its next call.
        """

        def output_of_tiles(tiles: list[Rgb]) -> NDArray[Any]:
            return self.decoder.output_of(infer(tiles))

        labels = self.tiling.labels(rgb, output_of_tiles)
        resized = labels if labels.shape == size else np.array(labels_nearest(labels, size))
        return self.decoder.prediction_from_labels(resized)


def tiled_decoder(
    decoder: Decoder, tiles: Tiles, infer: Callable[[list[Rgb]], Mapping[str, Array]], *, batch: int = 1
) -> TiledDecoder:
    """How to decode tiles of the size of the network's input, which is asked for the size of its output.

    batch: the most tiles at once. Beyond the frame tiles have the mean colour, which is 0 for the network, as what its
    convolutions add. MismatchError where `decoder` does not take tiles, or not stitched in that way; SizeError where
    they cannot be placed.
    """
    if not isinstance(decoder, SemanticDecoder):
        message = "the outputs of this model cannot be computed in tiles: they are not a class for each pixel"
        raise MismatchError(message, hint='resize larger frames: --tiles off, or tiles="off"', code="ES-TILES")
    if decoder.kind is Output.MASK and tiles.stitch != "centre":
        raise MismatchError(
            "the output of this engine is a mask, and labels cannot be blended",
            hint='take each pixel from the nearest tile: --tiles centre, or tiles="centre"; or convert without --mask',
            code="ES-TILES",
        )
    spec = decoder.spec.input
    red, green, blue = (
        round(255 * min(max(mean, 0), 1)) for mean in (spec.mean if spec.color == "rgb" else spec.mean[::-1])
    )
    grey = np.full((spec.height, spec.width, 3), 128, np.uint8)
    height, width = decoder.output_of(infer([grey])).shape[-2:]
    tiling = Tiling(
        (spec.height, spec.width), (height, width), tiles.overlap, tiles.stitch, fill=(red, green, blue), batch=batch,
        is_mask=decoder.kind is Output.MASK, align_corners=decoder.spec.align_corners,
    )  # fmt: skip
    tiling.overlaps()  # refuses an overlap that leaves no step
    return TiledDecoder(decoder, tiling)
