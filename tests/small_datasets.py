"""Data sets of a few pixels, one of each kind, written by the test that reads them."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

H, W = 6, 8


def gradient(height: int = H, width: int = W) -> np.ndarray:
    """(H, W, 3) rgb; every pixel and channel of another value."""
    return np.arange(height * width * 3, dtype=np.uint8).reshape(height, width, 3)


def ids_in_turn(*ids: int) -> np.ndarray:
    """(H, W) of these ids, one after the other."""
    return np.resize(np.array(ids, np.uint8), (H, W))


def write_png(path: Path, pixels: np.ndarray) -> None:
    """Grey (H, W) or rgb (H, W, 3)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    bgr = pixels[..., ::-1] if pixels.ndim == 3 else pixels
    path.write_bytes(cv2.imencode(".png", np.ascontiguousarray(bgr))[1].tobytes())


def write_palette_png(path: Path, ids: np.ndarray, depth: int = 8, color_type: int = 3) -> None:
    """`ids` as a palette PNG of `depth` bits a pixel, id i shown as (255 - i, i, 7); color_type 0: as grey."""
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = ids.shape
    bits = np.unpackbits(ids[..., None], axis=2)[..., 8 - depth :].reshape(height, -1)
    rows = b"".join(b"\0" + np.packbits(row).tobytes() for row in bits)
    palette = bytes(part for i in range(2**depth) for part in (255 - i, i, 7))
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, 0))]
    chunks += [(b"PLTE", palette), (b"tRNS", b"\0\x80")] if color_type == 3 else []
    chunks += [(b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    written = [struct.pack(">I", len(d)) + kind + d + struct.pack(">I", zlib.crc32(kind + d)) for kind, d in chunks]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(written))


def camvid(root: Path) -> str:
    """Three pairs."""
    for i in range(3):
        write_png(root / f"test/images/0001TP_{i}.png", gradient())
        write_png(root / f"test/labels/0001TP_{i}.png", ids_in_turn(0, 3, 8, 11))
    return f"camvid:{root}"


def cityscapes(root: Path) -> str:
    """Two pairs of lindau, one of munster; road, car, bicycle and what is not judged."""
    for i, city in enumerate(("lindau", "lindau", "munster")):
        stem = f"val/{city}/{city}_00000{i}_000019"
        write_png(root / f"leftImg8bit/{stem}_leftImg8bit.png", gradient())
        write_png(root / f"gtFine/{stem}_gtFine_labelIds.png", ids_in_turn(7, 26, 33, 0, 4, 30))
        write_png(root / f"gtFine/{stem}_gtFine_labelTrainIds.png", ids_in_turn(0, 13, 18, 255, 255, 255))
    return f"cityscapes:{root}"


def coco_stuff(root: Path) -> str:
    """Three pairs in the official folders."""
    for i in range(3):
        write_png(root / f"images/val2017/00{i}.png", gradient())
        write_png(root / f"stuffthingmaps/val2017/00{i}.png", ids_in_turn(0, 12, 91, 181, 255))
        write_png(root / f"stuffthingmaps/val2017/00{i}_labelTrainIds.png", ids_in_turn(0, 11, 80, 170, 255))
    return f"coco_stuff:{root}?split=val"


def folder(root: Path) -> str:
    """Three pairs of palette PNGs."""
    for i in range(3):
        write_png(root / f"images/{i}.png", gradient())
        write_palette_png(root / f"labels/{i}.png", ids_in_turn(0, 1, 255))
    (root / "dataset.toml").write_text('classes = "labels.txt"\n')
    (root / "labels.txt").write_text("ground\nthing 0 200 0\n")
    return f"folder:{root}"


def street(root: Path) -> str:
    """Three frames."""
    return "street:?seed=3&frames=3&size=64x48"


SMALL: dict[str, Callable[[Path], str]] = {
    "camvid": camvid, "cityscapes": cityscapes, "coco_stuff": coco_stuff, "folder": folder, "street": street,
}  # fmt: skip
