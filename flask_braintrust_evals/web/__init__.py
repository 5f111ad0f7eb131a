"""Requests and responses, in terms of Flask: access, streams, descriptions, monitoring.

Imports neither the blueprint, nor the extension, nor the commands.
"""
