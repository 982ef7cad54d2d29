"""Make the picture of the live page: two synthetic streets through MODEL, shown in Chromium.

    python benchmarks/live_page.py MODEL -o docs/images/live-page.png [--fps 10] [--dark]

MODEL is what `edgeseg stream` takes; the streams play like cameras. The numbers on the page are those of this machine.
"""

from __future__ import annotations

import argparse
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from edgeseg.datasets.labels import CAMVID_LABELS
from edgeseg.errors import UnavailableError
from edgeseg.spec import size_from_text

TESTS = Path(__file__).parents[1] / "tests"
EXACT = 64
HEAD = 56  # rows of the page above the tiles
RUN = """
model = "{model}"
page = "http://127.0.0.1:{port}"
streams.main-street.source = "test://street?seed=2&size=960x540&fps={fps}&live=1"
streams.harbour.source = "test://street?seed=9&size=960x540&fps={fps}&live=1"
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def small_png(path: Path) -> None:
    """Reduce a PNG to 256 colours: those of the classes, the EXACT most frequent of the page's head, a median cut."""
    from PIL import Image

    with Image.open(path) as opened:
        image = opened.convert("RGB")
    head = image.crop((0, 0, image.width, HEAD))
    frequent = sorted(head.getcolors(head.width * head.height) or [], reverse=True)[:EXACT]
    colors = [*CAMVID_LABELS.palette, *(color for _, color in frequent)]
    own = [channel for color in colors for channel in color]
    cut = image.quantize(256 - len(colors), Image.Quantize.MEDIANCUT).getpalette() or []
    palette = Image.new("P", (1, 1))
    palette.putpalette((own + cut)[: 3 * 256])
    image.quantize(palette=palette, dither=Image.Dither.NONE).save(path, optimize=True)


def picture(options: argparse.Namespace, folder: Path) -> None:
    """Run the streams, open their page, and save what is seen after `options.seconds`."""
    sys.path.insert(0, str(TESTS))
    from devtools import Browser, browser_path

    if browser_path() is None:
        raise UnavailableError("no chromium on the PATH", hint="apt install chromium")
    port = free_port()
    run = folder / "run.toml"
    model = Path(options.model).resolve() if Path(options.model).exists() else options.model
    run.write_text(RUN.format(model=model, port=port, fps=options.fps))
    command = [sys.executable, "-m", "edgeseg", "stream", str(run)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        while process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                time.sleep(0.2)
        width, height = size_from_text(options.size)
        with Browser(folder / "profile") as browser:
            browser.open(f"http://127.0.0.1:{port}/", width, height, dark=options.dark)
            browser.wait("document.querySelectorAll('.tile[data-sequence]').length === 2")
            time.sleep(options.seconds)
            browser.screenshot(options.output)
            print("\n".join(browser.errors), end="")
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)
    small_png(options.output)
    print(f"wrote {options.output} ({options.output.stat().st_size} bytes)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--fps", type=int, default=10)
    parser.add_argument("--size", default="1280x600")
    parser.add_argument("--dark", action="store_true")
    parser.add_argument("--seconds", type=float, default=8)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        picture(options, Path(folder))


if __name__ == "__main__":
    main()
