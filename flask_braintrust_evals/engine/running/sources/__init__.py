"""Hands out the cases of a run, and makes those that an evaluator brings itself."""
