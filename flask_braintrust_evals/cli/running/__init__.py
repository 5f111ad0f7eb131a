"""Runs evaluators for a command, or takes results that are known."""
