"""The language model that examples, pages and tests name.

Models are shut down. Then choose another one here: the tests list every place that still names the
old one, and those in tests follow by themselves.
"""

from __future__ import annotations

EXAMPLE_MODEL = "gpt-6.1-terra"
