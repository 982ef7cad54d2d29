"""Measurement: samples, clocks, CPU time of this process, load by others, the device."""
