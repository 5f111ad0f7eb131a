"""Runs evaluators. Knows neither Flask nor Braintrust's API."""
