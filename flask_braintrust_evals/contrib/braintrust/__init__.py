"""An adapter for the ``braintrust`` SDK: its evaluators, files of them, and its tracing.

Only this package imports the SDK. It is itself imported only if the SDK is installed (the extra
``[braintrust]``).
"""
