"""The name and the version of the format of results; ``docs/results.md`` describes it."""

from __future__ import annotations

FORMAT = "flask-braintrust-evals/results"
"""What a file of results says of itself."""
VERSION = 1
"""The version of the format. It is another one where an earlier reader would be misled."""
