"""Starts the spans of a case, and sets their attributes."""
