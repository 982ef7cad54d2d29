"""Many live streams through one engine: scheduling, outputs, events, the web page and metrics."""
