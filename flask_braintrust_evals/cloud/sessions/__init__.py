"""The sessions of signed-in users, which recent callers share."""
