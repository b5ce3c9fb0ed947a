"""The report of a run: one page with metrics, charts and pictures."""
