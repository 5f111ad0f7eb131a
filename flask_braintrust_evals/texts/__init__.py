"""Texts for people: of errors and their places, quotes, suggestions, log lines.

Imports nothing else of this package.
"""
