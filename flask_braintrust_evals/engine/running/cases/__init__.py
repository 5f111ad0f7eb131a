"""Runs one case: its task, with retries and hooks, then its scoring."""
