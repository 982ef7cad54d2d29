"""`edgeseg doctor`: what this machine can run, how it is set, and what to install."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgeseg.commands.options import Json

LIBRARIES = {
    "torch": ("export and training", "pip install 'edgeseg[export]'"),
    "onnxscript": ("export", "pip install 'edgeseg[export]'"),
    "cv2": ("resizing, overlay, USB cameras", "pip install opencv-python"),
    "av": ("video files and streams", "pip install av"),
    "numba": ("fast pixels", "pip install numba"),
    "pynvml": ("energy and clocks of NVIDIA GPUs", "pip install nvidia-ml-py"),
}
SHOWN_ALONE = ("clocks", "gpus", "jetson", "state")  # by lines of their own, not as they are

EXAMPLES = """
  edgeseg doctor
  edgeseg doctor --json
"""


def command(as_json: Json = False) -> None:
    """List what this machine can run, how it is set, and what to install."""
    from edgeseg.commands.terminal import print_json, print_table, wrote
    from edgeseg.measure.device import describe_device

    device, engines, libraries = describe_device(), engine_rows(), library_rows()
    energy = energy_counters()
    if as_json:
        print_json({"device": device, "energy": energy, "engines": engines, "libraries": libraries})
        return
    print_table(["machine", ""], machine_rows(device, energy))
    for rows in (engines, libraries):
        print_table(list(rows[0]), [[text(value) for value in row.values()] for row in rows])
    runnable = [row["engine"] for row in engines if row["state"] == "ready"]
    wrote(None, "edgeseg demo" if runnable else engines[0]["detail"])


def text(value: Any) -> str:
    """A cell of a table."""
    return ", ".join(value) if isinstance(value, list) else str(value)


def machine_rows(device: Mapping[str, Any], energy: Mapping[str, Any]) -> list[list[str]]:
    """The rows of the first table: one value each; what is unknown or absent is left out."""
    rows = [(key.replace("_", " "), text(value)) for key, value in device.items() if key not in SHOWN_ALONE]
    state = device["state"]
    rows += [("clock", clock_text(each)) for each in device["clocks"]]
    rows += [("GPU", gpu_text(gpu, now)) for gpu, now in zip(device["gpus"], state["gpus"])]
    if device["jetson"]:
        locked = {True: "locked", False: "not locked"}.get(device["jetson"]["clocks_locked"], "unknown")
        rows.append(("Jetson Linux", f"{device['jetson']['release']}, clocks {locked}"))
    if state["temperatures"]:
        sensor, celsius = max(state["temperatures"].items(), key=lambda each: float(each[1]))
        rows.append(("hottest", f"{celsius:.0f} °C, {sensor}"))
    if state["battery"]:
        source = {True: "on mains", False: "on battery"}.get(state["battery"]["plugged"], "")
        rows.append(("battery", f"{state['battery']['percent']:.0f}% {source}".strip()))
    counters = ", ".join(energy["counters"]) or "none"
    rows.append(("energy counters", f"{counters}; {energy['hint']}" if energy["hint"] else counters))
    return [[key, value] for key, value in rows if value]


def clock_text(cores: Mapping[str, Any]) -> str:
    """Limits and governor of a set of cores: "0-3: 400 to 3500 of 4700 MHz, powersave (intel_pstate)"."""
    limits = f"{number(cores['min_mhz'])} to {number(cores['max_mhz'])} of {number(cores['hardware_max_mhz'])} MHz"
    return f"{cores['cores']}: {limits}, {cores['governor'] or 'unknown'} ({cores['driver'] or 'unknown'})"


def gpu_text(gpu: Mapping[str, Any], state: Mapping[str, Any]) -> str:
    """One GPU in a line, with what the driver says."""
    parts = [
        gpu["name"],
        f"driver {gpu['driver']}" if gpu["driver"] else "",
        f"CUDA {gpu['cuda']}" if gpu["cuda"] else "",
        f"{gpu['memory_mib']} MiB" if gpu["memory_mib"] else "",
        f"{number(state['mhz'])} of {number(gpu['max_mhz'])} MHz" if state["mhz"] is not None else "",
        f"up to {gpu['power_limit_watts']:.0f} W" if gpu["power_limit_watts"] else "",
        f"{state['celsius']:.0f} °C" if state["celsius"] is not None else "",
        *state["reasons"],
    ]
    return ", ".join(filter(None, parts))


def number(value: float | None) -> str:
    """A number, or "?"."""
    return "?" if value is None else str(value)


def energy_counters() -> dict[str, Any]:
    """The energy counters that a measurement uses here, and how to get one that is denied."""
    from edgeseg.measure.machine import Machine
    from edgeseg.measure.power import counter_names
    from edgeseg.measure.rapl import Rapl

    hint = "sudo chmod a+r /sys/class/powercap/intel-rapl:*/energy_uj" if Rapl().denied else ""
    return {"counters": counter_names(Machine()), "hint": hint}


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
    for name, (purpose, install) in LIBRARIES.items():
        installed = importlib.util.find_spec(name) is not None
        rows.append({"library": name, "for": purpose, "state": "ready" if installed else install})
    return rows
