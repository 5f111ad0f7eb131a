"""Decides who may use the server: origins, tokens, organisations, and runs at a time."""
