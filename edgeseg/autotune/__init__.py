"""Which precision an engine gets: measured on this target, within a budget of accuracy, and said in one line."""
