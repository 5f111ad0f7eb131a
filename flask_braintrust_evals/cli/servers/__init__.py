"""Asks servers: checks a deployed one, lists and cancels runs."""
