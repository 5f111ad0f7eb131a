"""Serves the local page, whose files are in ``playground/``, and says where it is."""
