"""What the extension keeps for an application: settings, evaluators, sessions, workers.

Only the blueprint, the commands and the plug-in for pytest import it.
"""
