"""What a reader process is to open, for each kind of address; and no password in what is shown of it."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from types import SimpleNamespace

import av
import pytest
from av.codec.hwaccel import hwdevices_available
from small_clips import make_clip

from edgeseg.capture import request as request_module
from edgeseg.capture.connection import Connection
from edgeseg.capture.request import ReaderRequest, request_from_address
from edgeseg.capture.source import LiveSource
from edgeseg.errors import EdgeSegError, UnknownNameError
from edgeseg.video.source import address_from_uri, open_source


def request_of(uri: str) -> ReaderRequest:
    return request_from_address(address_from_uri(uri))


def code_of(uri: str) -> str:
    with pytest.raises(EdgeSegError) as problem:
        request_of(uri)
    assert problem.value.hint
    return problem.value.code


@pytest.fixture
def gstreamer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_module.shutil, "which", lambda name: f"/usr/bin/{name}")


@pytest.fixture
def no_gstreamer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_module.shutil, "which", lambda name: None)


@pytest.fixture
def linux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_module.sys, "platform", "linux")


@pytest.mark.parametrize("scheme", ["rtsp", "rtsps"])
def test_rtsp_comes_over_tcp_by_default(scheme: str) -> None:
    request = request_of(f"{scheme}://camera/stream")
    assert request.to_dict()["url"] == f"{scheme}://camera/stream"
    assert request.to_dict()["options"]["rtsp_transport"] == "tcp"


@pytest.mark.parametrize("scheme", ["http", "https", "rtmp", "srt", "udp"])
def test_other_protocols_have_no_transport(scheme: str) -> None:
    assert "rtsp_transport" not in request_of(f"{scheme}://camera:9/stream").options
    assert code_of(f"{scheme}://camera:9/stream?transport=udp") == "ES-NAME"


@pytest.mark.parametrize(
    ("uri", "url"),
    [
        ("rtsp://c/s?transport=udp", "rtsp://c/s"),
        ("rtsp://c/s?channel=1&transport=udp&subtype=0", "rtsp://c/s?channel=1&subtype=0"),
        ("rtsp://c/s?path=a/b&flag&transport=udp&name=x%20y", "rtsp://c/s?path=a/b&flag&name=x%20y"),
        ("rtsp://u:p?w@c/s?transport=udp", "rtsp://u:p?w@c/s"),
    ],
)
def test_the_transport_is_taken_out_of_the_query_and_the_options_of_the_camera_stay(uri: str, url: str) -> None:
    request = request_of(uri)
    assert request.url == url
    assert request.options["rtsp_transport"] == "udp"


@pytest.mark.parametrize(
    "url",
    ["rtsp://u:a%40b%2Fc@c/s?x=1", "rtsp://u:p@c:8554/s?", "rtsp://u:p[x@c/s", "http://u:p#[@c/s", "rtsp://[::1]/s"],
)
def test_any_other_url_is_passed_on_as_it_was_typed(url: str) -> None:
    assert request_of(url).to_dict()["url"] == url
    source = open_source(url)
    assert isinstance(source, LiveSource)
    assert (source.kind, source.info.width) == ("live", 0)


def test_unknown_transports_and_decoders_are_refused() -> None:
    assert code_of("rtsp://c/s?transport=upd") == "ES-NAME"
    assert code_of("rtsp://c/s?decode=no-such-decoder") == "ES-NAME"


def test_a_known_hardware_decoder_is_taken_out_of_the_query(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_module, "hwdevices_available", lambda: ["cuda"])
    request = request_of("rtsp://c/s?decode=cuda&a=b")
    assert (request.decode, request.url) == ("cuda", "rtsp://c/s?a=b")
    assert request_of("rtsp://c/s").hwaccel() is None


def test_a_hardware_decoder_whose_device_does_not_open_is_named_once_and_not_used(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def create(codec: str, mode: str, hwaccel: object) -> None:
        raise av.error.ExternalError(542398533, "Generic error in an external library")

    monkeypatch.setattr(request_module, "hwdevices_available", lambda: ["cuda"])
    monkeypatch.setattr(request_module.av, "CodecContext", SimpleNamespace(create=create))
    request_module.device_opens.cache_clear()
    request = request_of("rtsp://c/s?decode=cuda")
    assert (request.hwaccel(), request.hwaccel()) == (None, None)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    request_module.device_opens.cache_clear()


@pytest.mark.parametrize("decoder", hwdevices_available())
def test_a_stream_is_decoded_whether_or_not_its_hardware_is_here(decoder: str, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mkv", 12, codec="libx264")
    connection = Connection(dataclasses.replace(request_of(f"exec:cat {clip}"), decode=decoder))
    assert len(list(connection.images())) == 12
    connection.close()


def test_a_recording_on_a_web_server_has_no_hardware_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_module, "hwdevices_available", lambda: ["cuda"])
    with pytest.raises(UnknownNameError):
        open_source("http://127.0.0.1:9/drive.mp4?decode=cuda")


@pytest.mark.usefixtures("linux")
@pytest.mark.parametrize("uri", ["camera:0", "camera:/dev/video0", "/dev/video0", "camera:"])
def test_a_camera_on_linux_is_read_by_v4l2(uri: str) -> None:
    request = request_of(uri)
    assert (request.input_format, request.url, request.options) == ("v4l2", "/dev/video0", {})


@pytest.mark.usefixtures("linux")
def test_a_camera_takes_size_rate_and_pixel_format() -> None:
    request = request_of("camera:2?width=1280&height=720&fps=30000/1001&format=mjpeg")
    options = {"video_size": "1280x720", "framerate": "30000/1001", "input_format": "mjpeg"}
    assert (request.url, request.options) == ("/dev/video2", options)


@pytest.mark.usefixtures("linux")
def test_a_camera_may_have_any_device_path() -> None:
    assert request_of("camera:/dev/v4l/by-id/usb-cam-index0").url == "/dev/v4l/by-id/usb-cam-index0"


def test_a_camera_on_a_mac_is_read_by_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_module.sys, "platform", "darwin")
    request = request_of("camera:1")
    assert (request.input_format, request.url) == ("avfoundation", "1")


def test_a_system_without_a_grabber_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_module.sys, "platform", "win32")
    assert code_of("camera:0") == "ES-MISSING"
    assert code_of("screen:") == "ES-MISSING"


@pytest.mark.usefixtures("linux")
@pytest.mark.parametrize(
    ("options", "code"),
    [
        ("width=1280", "ES-FORMAT"),
        ("height=720", "ES-FORMAT"),
        ("width=0&height=720", "ES-FORMAT-OPTION"),
        ("fps=fast", "ES-FORMAT-OPTION"),
        ("rate=3", "ES-NAME"),
    ],
)
@pytest.mark.parametrize("kind", ["camera:0", "screen::0.0"])
def test_wrong_options_of_a_device_are_refused(kind: str, options: str, code: str) -> None:
    assert code_of(f"{kind}?{options}") == code


def test_what_is_no_camera_is_refused() -> None:
    assert code_of("camera:front") == "ES-FORMAT"
    assert code_of("csi:front") == "ES-FORMAT"


@pytest.mark.usefixtures("linux")
def test_a_screen_is_the_display_that_is_named_or_that_of_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    assert code_of("screen:") == "ES-MISSING"
    named = request_of("screen::1.0?width=640&height=480&fps=10")
    assert (named.input_format, named.url) == ("x11grab", ":1.0")
    assert named.options == {"video_size": "640x480", "framerate": "10"}
    monkeypatch.setenv("DISPLAY", ":7")
    assert request_of("screen:").url == ":7"


@pytest.mark.usefixtures("gstreamer")
def test_a_ribbon_camera_uses_the_elements_of_nvidia_on_a_jetson(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    jetson = tmp_path / "nv_tegra_release"
    jetson.touch()
    monkeypatch.setattr(request_module, "JETSON_FILE", jetson)
    words = request_of("csi:1?width=1920&height=1080&fps=15").command
    assert words[:4] == ("/usr/bin/gst-launch-1.0", "-q", "nvarguscamerasrc", "sensor-id=1")
    assert "video/x-raw(memory:NVMM),width=1920,height=1080,framerate=15/1,format=NV12" in words
    assert "nvv4l2h264enc" in words


@pytest.mark.usefixtures("gstreamer")
def test_a_ribbon_camera_uses_libcamera_elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(request_module, "JETSON_FILE", tmp_path / "no such file")
    words = request_of("csi:").command
    assert words[2:5] == ("libcamerasrc", "!", "video/x-raw,width=1280,height=720,framerate=30/1")
    assert "x264enc" in words
    assert code_of("csi:1") == "ES-FORMAT"  # it would open the first one


@pytest.mark.usefixtures("gstreamer")
@pytest.mark.parametrize("uri", ["gst:v4l2src ! jpegenc", "csi:0"])
def test_a_pipeline_ends_in_a_watchdog_and_matroska_on_stdout(uri: str) -> None:
    request = request_of(uri)
    assert request.format == "matroska"
    assert " ".join(request.command).endswith("! watchdog timeout=10000 ! matroskamux streamable=true ! fdsink fd=1")
    assert request.to_dict() == {"command": list(request.command)}


@pytest.mark.usefixtures("gstreamer")
def test_the_words_of_a_pipeline_are_split_as_a_shell_does() -> None:
    words = request_of('gst:filesrc location="a ? b;$(c).mp4" ! qtdemux').command
    assert words[2:6] == ("filesrc", "location=a ? b;$(c).mp4", "!", "qtdemux")


@pytest.mark.usefixtures("gstreamer")
@pytest.mark.parametrize("uri", ["gst:", "gst: ", 'gst:filesrc location="a', "exec:", 'exec:cat "a'])
def test_an_empty_command_and_an_open_quote_are_refused(uri: str) -> None:
    assert code_of(uri) == "ES-FORMAT"


@pytest.mark.usefixtures("no_gstreamer")
@pytest.mark.parametrize("uri", ["gst:v4l2src ! jpegenc", "csi:0"])
def test_a_missing_gstreamer_is_named(uri: str) -> None:
    assert code_of(uri) == "ES-MISSING-GSTREAMER"


def test_a_command_is_a_list_of_words_without_a_shell() -> None:
    request = request_of(f"exec:{sys.executable} -c 'print(1)' a;b $HOME *")
    assert request.command == (sys.executable, "-c", "print(1)", "a;b", "$HOME", "*")
    assert request.format is None


def test_a_missing_command_is_named() -> None:
    assert code_of("exec:no-such-command-here --password s3cret") == "ES-MISSING"


SECRETS = [
    "rtsp://admin:s3cret@c/s",
    "rtsp://admin:s3cret@c/s?transport=udp",
    "rtsp://admin:s3%40cret@c/s?transport=tcp",
    "rtsp://admin:p@s3cret@c/s",
    "http://c/s?user=admin&password=s3cret",
    "http://admin:p?s3cret@c/s",
    f"exec:{sys.executable} camera.py --user admin --password s3cret",
    f"exec:{sys.executable} rtsp://admin:s3cret@c/s",
    "gst:rtspsrc location=rtsp://c/s user-id=admin user-pw=s3cret ! rtph264depay",
]


@pytest.mark.usefixtures("gstreamer")
@pytest.mark.parametrize("uri", SECRETS)
def test_no_password_is_shown(uri: str) -> None:
    address = address_from_uri(uri)
    request = request_from_address(address)
    source = open_source(uri)
    failures = [
        request.failure_of(f"cannot open {word}", opened=opened)
        for word in ("", "rtsp://admin:s3cret@c/s: refused")
        for opened in (False, True)
    ]
    errors = [failure.error(address) for failure in failures]
    shown = [repr(address), address.name, repr(request), source.info.name, repr(source.info), *map(repr, failures)]
    shown += [str(error) for error in errors]
    for text in shown:
        assert "cret" not in text
        assert "admin" not in text


@pytest.mark.usefixtures("gstreamer")
@pytest.mark.parametrize(
    "uri",
    [
        "rtsp://admin:s3cret@c/s?transport=upd",
        "rtsp://admin:s3cret@c/s?decode=none",
        "http://admin:s3cret@c/s?transport=udp",
        "exec:no-such-command --password s3cret",
        'exec:cat "s3cret',
        'gst:rtspsrc user-pw="s3cret',
    ],
)
def test_no_error_of_an_address_shows_its_password(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if uri.startswith("exec:no"):
        monkeypatch.setattr(request_module.shutil, "which", lambda name: None)
    with pytest.raises(EdgeSegError) as problem:
        request_of(uri)
    assert "s3cret" not in str(problem.value)


def test_a_name_still_says_which_source_it_is() -> None:
    names = {
        uri: address_from_uri(uri).name for uri in ("rtsp://a:b@10.0.0.8/s", "camera:1", "exec:cam -x 3", "exec:cam")
    }
    assert list(names.values()) == ["rtsp://***@10.0.0.8/s", "camera:1", "exec:cam ...", "exec:cam"]


@pytest.mark.parametrize(("opened", "code"), [(False, "ES-SOURCE-COMMAND"), (True, "ES-SOURCE-CLOSED")])
def test_a_command_that_ended_is_named_with_its_last_line(opened: bool, code: str) -> None:
    failure = request_of(f"exec:{sys.executable} -c 1").failure_of("no such camera", opened=opened)
    assert failure.code == code
    assert failure.reason == f"{Path(sys.executable).name} ended: no such camera"
