"""Makes a run ready: from a request, or from the options of a command.

Brings the engine and the calls of Braintrust together. Knows neither Flask nor Celery.
"""
