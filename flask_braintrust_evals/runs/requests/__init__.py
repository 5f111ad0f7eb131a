"""The body of ``POST /eval``, checked field by field."""
