"""Requests with a user's token: limits, retries, addresses, and what refusals mean."""
