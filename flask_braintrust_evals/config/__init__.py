"""The settings: what ``app.config`` and the environment say, checked."""
