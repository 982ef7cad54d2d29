"""The parts of `stream_faults.py`: clients in processes of their own, and one function a fault."""
