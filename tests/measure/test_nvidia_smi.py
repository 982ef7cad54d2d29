"""The text of nvidia-smi -q, of desktop GPUs and Jetsons."""

from __future__ import annotations

from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeseg.measure.gpu import Gpu, GpuState
from edgeseg.measure.nvidia_smi import nvidia_smi_from_text

DESKTOP = """
==============NVSMI LOG==============

Timestamp                                 : Thu Nov 26 10:11:12 2026
Driver Version                            : 580.95.05
CUDA Version                              : 13.0

Attached GPUs                             : 2
GPU 00000000:01:00.0
    Product Name                          : NVIDIA GeForce RTX 4070
    Persistence Mode                      : Enabled
    Serial Number                         : 1652922
    GPU UUID                              : GPU-11111111-2222-3333-4444-555555555555
    Clocks Event Reasons
        Idle                              : Not Active
        Applications Clocks Setting       : Not Active
        SW Power Cap                      : Active
        HW Slowdown                       : Not Active
            HW Thermal Slowdown           : Not Active
            HW Power Brake Slowdown       : Active
        SW Thermal Slowdown               : Not Active
    FB Memory Usage
        Total                             : 12282 MiB
        Reserved                          : 264 MiB
        Used                              : 1021 MiB
    BAR1 Memory Usage
        Total                             : 16384 MiB
    Temperature
        GPU Current Temp                  : 67 C
        GPU T.Limit Temp                  : 20 C
    GPU Power Readings
        Average Power Draw                : 198.52 W
        Instantaneous Power Draw          : 199.10 W
        Current Power Limit               : 200.00 W
    Clocks
        Graphics                          : 2505 MHz
        SM                                : 2490 MHz
        Memory                            : 10251 MHz
    Max Clocks
        Graphics                          : 3105 MHz
        SM                                : 3105 MHz
        Memory                            : 10501 MHz
    Processes
        GPU instance ID                   : N/A
            Process ID                    : 4711
                Type                      : C
                Name                      : /home/someone/python
GPU 00000000:02:00.0
    Product Name                          : NVIDIA T4
    Persistence Mode                      : Disabled
    Clocks Throttle Reasons
        Idle                              : Active
    FB Memory Usage
        Total                             : 15360 MiB
        Used                              : 2 MiB
    Temperature
        GPU Current Temp                  : 31 C
    Power Readings
        Power Draw                        : 9.51 W
        Power Limit                       : 70.00 W
        Enforced Power Limit              : 60.00 W
    Clocks
        SM                                : 300 MHz
        Memory                            : 405 MHz
    Max Clocks
        SM                                : 1590 MHz
        Memory                            : 5001 MHz
"""
ORIN = """
==============NVSMI LOG==============

Timestamp                                 : Thu Nov 26 10:11:12 2026
Driver Version                            : 540.4.0
CUDA Version                              : 12.6

Attached GPUs                             : 1
GPU 00000000:00:00.0
    Product Name                          : Orin (nvgpu)
    Product Architecture                  : Ampere
    Persistence Mode                      : N/A
    Clocks Event Reasons                  : N/A
    FB Memory Usage
        Total                             : N/A
        Used                              : N/A
    Temperature
        GPU Current Temp                  : N/A
    Power Readings
        Power Draw                        : N/A
    Clocks
        SM                                : N/A
    Max Clocks
        SM                                : N/A
"""
THOR = """
==============NVSMI LOG==============

Driver Version                            : 580.00
CUDA Version                              : 13.0

Attached GPUs                             : 1
GPU 00000000:01:00.0
    Product Name                          : NVIDIA Thor
    Persistence Mode                      : Enabled
    Clocks Event Reasons
        Idle                              : Not Active
        SW Thermal Slowdown               : Unknown Error
        A New Reason                      : Active
    FB Memory Usage
        Total                             : Not Supported
        Used                              : Not Supported
    Temperature
        GPU Current Temp                  : 62 C
    GPU Power Readings
        Average Power Draw                : N/A
        Instantaneous Power Draw          : 37.53 W
        Current Power Limit               : Not Supported
    Clocks
        SM                                : 1575 MHz
    Max Clocks
        SM                                : 1575 MHz
"""


def test_each_gpu_of_a_desktop_is_read() -> None:
    listed = nvidia_smi_from_text(DESKTOP)
    assert listed.unknown == ()
    assert listed.gpus == (
        Gpu("NVIDIA GeForce RTX 4070", "580.95.05", "13.0", 12282, 3105, 10501, 200.0, "on"),
        Gpu("NVIDIA T4", "580.95.05", "13.0", 15360, 1590, 5001, 70.0, "off"),
    )
    assert listed.states == (
        GpuState(2490, 10251, 1021, 67.0, 198.52, ("power-limit", "power-brake")),
        GpuState(300, 405, 2, 31.0, 9.51, ("gpu-idle",)),
    )


def test_what_an_orin_does_not_support_is_unknown() -> None:
    listed = nvidia_smi_from_text(ORIN)
    assert listed.gpus == (Gpu("Orin (nvgpu)", "540.4.0", "12.6"),)
    assert listed.states == (GpuState(),)


def test_a_thor_has_clocks_and_power_and_no_memory_of_its_own() -> None:
    listed = nvidia_smi_from_text(THOR)
    assert listed.gpus == (Gpu("NVIDIA Thor", "580.00", "13.0", max_mhz=1575, persistence="on"),)
    assert listed.states == (GpuState(mhz=1575, celsius=62.0, watts=37.53, reasons=("A New Reason",)),)


def test_no_serial_number_and_no_process_is_kept() -> None:
    text = str(asdict(nvidia_smi_from_text(DESKTOP)))
    assert not [word for word in ("1652922", "GPU-1111", "someone", "4711", "01:00") if word in text]


def test_lines_of_another_form_are_kept() -> None:
    message = "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver."
    assert nvidia_smi_from_text(message).unknown == (message,)
    assert nvidia_smi_from_text(message).gpus == ()


LINES = [*DESKTOP.splitlines(), "GPU 00000000:01:00.0", " : ", "    : x", "        SM  : -", "GPU :"]


@pytest.mark.parametrize("text", ["", "GPU 00000000:01:00.0"])
def test_a_text_without_fields_has_blank_gpus(text: str) -> None:
    assert nvidia_smi_from_text(text).gpus == ((Gpu(""),) if text else ())


@given(st.one_of(st.text(max_size=200), st.lists(st.sampled_from(LINES), max_size=20).map("\n".join)))
def test_no_text_is_an_error(text: str) -> None:
    listed = nvidia_smi_from_text(text)
    assert len(listed.gpus) == len(listed.states)
