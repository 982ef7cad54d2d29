"""Latency that can be trusted: scenarios, samples, caveats."""
