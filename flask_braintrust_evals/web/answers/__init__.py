"""Answers of the server: streams and their ends, JSON, errors."""
