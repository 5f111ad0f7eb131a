"""Decides whether results are good: limits, an earlier run, failures."""
