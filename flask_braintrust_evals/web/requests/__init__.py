"""Reads the body, the headers and the connection of a request, within limits."""
