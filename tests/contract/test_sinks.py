"""What every sink of the table must do."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from small_clips import modules_that_define, quarters
from small_streams import result_of, write_frames

from edgeseg.errors import UnknownNameError
from edgeseg.pixels.planes import Planes
from edgeseg.video import SINKS, sink_window
from edgeseg.video.frame import Frame
from edgeseg.video.sink import FrameSink, open_sink
from edgeseg.video.source import SourceInfo

INFO = SourceInfo(160, 96, Fraction(25), 3, "made up")
Opener = Callable[..., FrameSink]


class FakeScreen:
    """Stands in for the window functions of cv2; `keys` are pressed one after the other."""

    WINDOW_NORMAL = WINDOW_KEEPRATIO = WND_PROP_VISIBLE = COLOR_RGB2BGR = 0

    def __init__(self, keys: str = "") -> None:
        self.keys, self.shown, self.visible, self.closed = list(keys), 0, 1, 0

    def cvtColor(self, pixels: np.ndarray, code: int) -> np.ndarray:  # noqa: N802
        return pixels

    def imshow(self, title: str, pixels: np.ndarray) -> None:
        self.shown += 1

    def waitKey(self, milliseconds: int) -> int:  # noqa: N802
        return ord(self.keys.pop(0)) if self.keys else -1

    def getWindowProperty(self, title: str, what: int) -> int:  # noqa: N802
        return self.visible

    def namedWindow(self, *arguments: object) -> None:  # noqa: N802
        pass

    def resizeWindow(self, *arguments: object) -> None:  # noqa: N802
        pass

    def destroyAllWindows(self) -> None:  # noqa: N802
        self.closed += 1


@pytest.fixture(params=SINKS)
def opener(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Opener:
    monkeypatch.setattr(sink_window, "cv2", FakeScreen())
    monkeypatch.setattr(sink_window, "check_window", lambda: None)
    uris = {
        "file": str(tmp_path / "out.mp4"),
        "segments": f"{tmp_path}/%Y%m%d-%H%M%S.mp4?segment=60",
        "images": f"{tmp_path}/out/%06d.png",
        "masks": f"{tmp_path}/out/",
        "jsonl": f"{tmp_path}/out.jsonl",
        "rtsp": "rtsp://127.0.0.1:9/live",  # the port of a service that nobody runs
        "rtsps": "rtsps://127.0.0.1:9/live",
        "rtmp": "rtmp://127.0.0.1:9/live/key",
        "rtmps": "rtmps://127.0.0.1:9/live/key",
        "window": "window",
        "null": "null",
    }
    return lambda: open_sink(uris[request.param], INFO)


def frames(count: int = 3) -> list[Frame]:
    return [Frame.from_rgb(index, index / 25, quarters()) for index in range(count)]


def test_table_lists_every_module() -> None:
    assert modules_that_define("sink_from_address") == set(SINKS.values())


def test_it_takes_results_and_can_be_closed_twice(opener: Opener) -> None:
    with opener() as sink:
        assert write_frames(sink, frames()) == 3
        sink.close()
    assert sink.frames_written == 3
    assert all(path.exists() for path in sink.files())


def test_it_takes_what_it_says_that_it_wants(opener: Opener) -> None:
    with opener() as sink:
        assert sink.wants in ("overlay", "video", "prediction", "both")
        result, bare = (dataclasses.replace(result_of(frames()[0]), overlay=each) for each in (quarters(), None))
        if sink.wants == "video":
            grey = Planes("I420", tuple(np.full((96 // n, 160 // n), 128, np.uint8) for n in (1, 2, 2)), "bt709", True)
            sink.write(dataclasses.replace(bare, overlay_planes=bare.prediction.render_planes(grey)))
        sink.write(bare if sink.wants == "prediction" else result)  # for predictions nobody renders
    assert sink.frames_written == 1 + (sink.wants == "video")


def test_a_frame_of_another_size_is_taken(opener: Opener) -> None:
    """A camera that comes back may have another size."""
    with opener() as sink:
        sink.write(result_of(frames()[0]))
        sink.write(result_of(Frame.from_rgb(1, 0.04, quarters(80, 60))))
    assert sink.frames_written == 2
    assert all(path.exists() for path in sink.files())


def test_without_a_frame_nothing_is_left(opener: Opener, tmp_path: Path) -> None:
    with opener() as sink:
        pass
    assert sink.files() == ()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("uri", "value", "hint"),
    [
        ("windwo", "windwo", "window"),
        ("windwo:", "windwo", "window"),
        ("out", "out", "out/"),
        ("out.mp5", ".mp5", ".mp4"),
        ("images:out/%d.pgn", ".pgn", ".png"),
        ("out.mp4?encoder=mpeg5", "mpeg5", "mpeg4"),
        ("out.mp4?encodr=mpeg4", "encodr", "encoder"),
        ("null?a=1", "a", "it takes no options"),
        ("%Y.mp4?segment=60&kep=7d", "kep", "keep"),
    ],
)
def test_unknown_names_say_the_nearest(uri: str, value: str, hint: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        open_sink(uri, INFO)
    assert value in caught.value.message
    assert hint in caught.value.hint
