"""The commands: one a file, each ends in `command`. They import what they need when they run."""
