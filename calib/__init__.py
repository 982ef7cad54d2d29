"""Committed range tables of the bundled models, one JSON each."""
