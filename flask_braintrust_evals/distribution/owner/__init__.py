"""The process that serves a run: orders cases, watches attempts, completes cases."""
