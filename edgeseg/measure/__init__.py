"""What a figure rests on: samples, clocks, own CPU time, foreign load, the device."""
