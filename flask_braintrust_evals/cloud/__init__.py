"""Calls Braintrust on behalf of one caller.

Knows neither Flask nor the engine.
"""
