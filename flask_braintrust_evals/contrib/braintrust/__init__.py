"""The ``braintrust`` SDK: its evaluators, its files of evaluators, and code that it traces.

Nothing but this package imports the SDK, and what is here is imported only where the SDK is
installed (the extra ``[braintrust]``).
"""
