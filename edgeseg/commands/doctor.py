"""`edgeseg doctor`: what this machine can run, and what to install."""

from __future__ import annotations

from typing import Any

from edgeseg.commands.options import Json

EXTRAS = {
    "torch": ("export and training", "pip install 'edgeseg[export]'"),
    "onnxscript": ("export", "pip install 'edgeseg[export]'"),
    "cv2": ("resizing, overlay, USB cameras", "pip install opencv-python"),
    "av": ("video files and streams", "pip install av"),
    "numba": ("fast pixels", "pip install numba"),
}

EXAMPLES = """
  edgeseg doctor
  edgeseg doctor --json
"""


def command(as_json: Json = False) -> None:
    """List what this machine can run, and what to install."""
    from edgeseg.commands.terminal import print_json, print_table, wrote
    from edgeseg.measure.device import describe_device

    device, engines, libraries = describe_device(), engine_rows(), library_rows()
    if as_json:
        print_json({"device": device, "engines": engines, "libraries": libraries})
        return
    print_table(["machine", ""], [[key, text(value)] for key, value in device.items() if value])
    for rows in (engines, libraries):
        print_table(list(rows[0]), [[text(value) for value in row.values()] for row in rows])
    runnable = [row["engine"] for row in engines if row["state"] == "ready"]
    wrote(None, "edgeseg demo" if runnable else engines[0]["detail"])


def text(value: Any) -> str:
    """A cell of a table."""
    return ", ".join(value) if isinstance(value, list) else str(value)


def engine_rows() -> list[dict[str, Any]]:
    """A row per engine: ready, or how to install it; "builds" where it builds engines that run elsewhere.

    devices: those of this machine; --device auto means the first.
    """
    from edgeseg.engines import ENGINES, open_engine
    from edgeseg.errors import UnavailableError

    rows = []
    for name in ENGINES:
        engine, state, detail, devices = open_engine(name), "", "", list[str]()
        try:
            engine.available()
            state, detail = "builds", ", ".join(str(precision) for precision in engine.precisions)
            engine.runnable()
            state, devices = "ready", list(engine.devices())
        except UnavailableError as problem:
            detail = f"{detail}; to run them: {problem.hint}" if state else problem.hint
            state = state or "missing"
        rows.append({"engine": name, "state": state, "devices": devices, "detail": detail})
    return rows


def library_rows() -> list[dict[str, str]]:
    """A row per library that some commands need."""
    import importlib.util

    rows = []
    for name, (purpose, install) in EXTRAS.items():
        installed = importlib.util.find_spec(name) is not None
        rows.append({"library": name, "for": purpose, "state": "ready" if installed else install})
    return rows
