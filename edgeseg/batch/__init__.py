"""Thousands of videos and image folders: one unit of work, done by local processes, by shards or by Ray."""
