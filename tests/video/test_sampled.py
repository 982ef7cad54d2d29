"""Some of the frames of a recording."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_clips import make_clip, make_images, noise

from edgeseg.errors import FormatError
from edgeseg.video.source import open_source


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """25 fps for 2 s, with a key frame every 10 frames."""
    path = tmp_path_factory.mktemp("sampled") / "clip.mkv"
    return make_clip(path, 50, rgb=noise, codec="libx264", codec_options={"g": "10", "sc_threshold": "0", "bf": "2"})


@pytest.mark.parametrize(
    ("per_second", "expected"),
    [
        ("1", [0, 25]),
        ("5", [*range(0, 50, 5)]),
        ("0.6", [0, 42]),
        ("12.5", [*range(0, 50, 2)]),
        ("25", [*range(50)]),
        ("60", [*range(50)]),
    ],
)
def test_a_video_gives_so_many_frames_a_second(clip: Path, per_second: str, expected: list[int]) -> None:
    with open_source(clip) as whole:
        times = [frame.pts_seconds for frame in whole]
    with open_source(f"{clip}?sample={per_second}") as source:
        for _ in range(2):  # a new iteration begins anew
            frames = list(source)
            assert [frame.sequence for frame in frames] == expected
            assert [frame.index for frame in frames] == [*range(len(expected))]
            assert [frame.pts_seconds for frame in frames] == [times[n] for n in expected]
        assert float(source.info.fps) == pytest.approx(min(25, float(per_second)), rel=1e-3)
        assert source.files() == (clip,)
        assert source.losses == []


def test_a_sampled_frame_has_the_pixels_of_the_frame_at_its_time(clip: Path) -> None:
    with open_source(clip) as whole:
        expected = [frame.rgb() for frame in whole][::25]
    with open_source(clip, sample="1") as source:
        found = [frame.rgb() for frame in source]
    assert len(found) == len(expected) == 2
    assert all((a == b).all() for a, b in zip(found, expected))


def test_key_frames_alone_are_decoded(clip: Path) -> None:
    with open_source(clip) as whole:
        everything = list(whole)
    with open_source(f"{clip}?sample=key") as source:
        assert source.info.frames is None
        frames = list(source)
        assert [frame.pts_seconds for frame in frames] == [everything[n].pts_seconds for n in range(0, 50, 10)]
        assert all((frame.rgb() == everything[10 * n].rgb()).all() for n, frame in enumerate(frames))
        assert source.losses == []  # frames that nobody asked for are not missing


def test_every_image_of_a_folder_is_a_key_frame(tmp_path: Path) -> None:
    folder = make_images(tmp_path, 4)
    with open_source(f"{folder}?sample=key") as source:
        assert len(list(source)) == 4
    with open_source(f"{folder}?fps=2&sample=1") as source:
        assert [frame.name for frame in source] == ["img1.png", "img3.png"]


def test_a_sampled_video_is_played_like_a_camera(clip: Path) -> None:
    with open_source(f"{clip}?sample=25&live=1") as source:
        assert source.kind == "live"
        assert next(iter(source)).index == 0


@pytest.mark.parametrize("sample", ["0", "-1", "often", "2000", "nan"])
def test_a_wrong_rate_is_an_error(clip: Path, sample: str) -> None:
    with pytest.raises(FormatError) as caught:
        open_source(clip, sample=sample)
    assert caught.value.code == "ES-FORMAT-OPTION"


@pytest.mark.parametrize("sample", ["1", "key"])
def test_a_camera_has_no_sample(sample: str) -> None:
    with pytest.raises(FormatError) as caught:
        open_source("rtsp://camera/live", sample=sample)
    assert caught.value.code == "ES-FORMAT-OPTION"
