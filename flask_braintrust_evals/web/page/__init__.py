"""Serves the local page, whose files are in ``playground/assets/``, and says where it is."""
