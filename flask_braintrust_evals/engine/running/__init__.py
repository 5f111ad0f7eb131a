"""Runs: workers that take cases, and the events that a consumer receives."""
