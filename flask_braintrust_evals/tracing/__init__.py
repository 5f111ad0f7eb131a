"""Records the spans of a run, and collects them by case. Does not know Braintrust's API."""
