"""Calls user code: in a span, on the event loop, or in a thread for what blocks."""
