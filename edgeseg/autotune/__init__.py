"""Precision search: build candidate engines, time and score them on this machine, choose within an accuracy budget."""
