"""What every sink of the table must do."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from small_clips import modules_that_define, quarters

from edgeseg.errors import SizeError, UnknownNameError
from edgeseg.video import SINKS, sink_window
from edgeseg.video.frame import Frame
from edgeseg.video.sink import FrameSink, open_sink
from edgeseg.video.source import SourceInfo

INFO = SourceInfo(160, 96, Fraction(25), 3, False, "made up")
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
    uris = {"file": str(tmp_path / "out.mp4"), "images": f"{tmp_path}/out/", "window": "window", "null": "null"}
    return lambda size=None: open_sink(uris[request.param], INFO, size)


def frames(count: int = 3) -> list[Frame]:
    return [Frame.from_rgb(index, index / 25, quarters()) for index in range(count)]


def test_table_lists_every_module() -> None:
    assert modules_that_define("sink_from_address") == set(SINKS.values())


def test_it_takes_frames_and_can_be_closed_twice(opener: Opener) -> None:
    with opener() as sink:
        assert sink.write_all(frames()) == 3
        sink.close()
    assert sink.frames_written == 3


def test_a_frame_of_another_size_is_refused(opener: Opener) -> None:
    with opener() as sink:
        sink.write(frames()[0])
        with pytest.raises(SizeError) as caught:
            sink.write(Frame.from_rgb(1, 0.04, quarters(80, 60)))
        assert caught.value.message == f"frame 1 is 80x60, and {sink.name} takes 160x96"
        assert caught.value.hint == "resize the frames to 160x96"
        assert sink.frames_written == 1


def test_the_size_can_be_stated_ahead(opener: Opener) -> None:
    with opener((60, 80)) as sink, pytest.raises(SizeError, match="takes 80x60"):
        sink.write(frames()[0])


def test_without_a_frame_nothing_is_left(opener: Opener, tmp_path: Path) -> None:
    with opener((60, 80)) as sink, pytest.raises(SizeError):
        sink.write(frames()[0])
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_write_all_closes_what_it_reads(opener: Opener) -> None:
    closed = []

    def failing():
        try:
            yield frames()[0]
            raise RuntimeError("the camera fell down")
        finally:
            closed.append(True)

    with opener() as sink, pytest.raises(RuntimeError, match="fell down"):
        sink.write_all(failing())
    assert closed == [True]
    assert sink.frames_written == 1


@pytest.mark.parametrize(
    ("uri", "message", "hint"),
    [
        ("windwo", "unknown sink: windwo", "did you mean window?"),
        ("windwo:", "unknown kind of sink: windwo", "did you mean window?"),
        ("out", "unknown sink: out", "write out/ for a folder of images, out.mp4 for a video, window or null"),
        ("out.mp5", "unknown video ending: .mp5", "did you mean .mp4?"),
        ("images:out/%d.pgn", "unknown image ending: .pgn", "did you mean .png?"),
        ("out.mp4?encoder=mpeg5", "unknown encoder: mpeg5", "did you mean mpeg4?"),
        ("out.mp4?encodr=mpeg4", "unknown option of out.mp4: encodr", "did you mean encoder?"),
        ("null?a=1", "unknown option of null: a", "it takes no options"),
    ],
)
def test_unknown_names_say_the_nearest(uri: str, message: str, hint: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        open_sink(uri, INFO)
    assert (caught.value.message, caught.value.hint) == (message, hint)
