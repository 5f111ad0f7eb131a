"""Event loops: one for all coroutines of the process, and one in each greenlet."""
