"""Writes what came out of runs: as text, JSON, JUnit, Markdown and HTML."""
