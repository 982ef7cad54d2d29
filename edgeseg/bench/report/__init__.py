"""The report of benchmark records: one HTML page (page.py), and tables in markdown (markdown.py)."""
