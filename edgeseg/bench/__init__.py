"""Latency benchmarks: scenarios, samples, diagnostics."""
