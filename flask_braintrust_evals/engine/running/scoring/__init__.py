"""Scores one case."""
