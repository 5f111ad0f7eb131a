"""gunicorn's settings for an application that serves evaluators."""

import gc
import os
from typing import Any

# Loopback: put a proxy with TLS in front before others can reach it.
bind = f"127.0.0.1:{os.environ.get('PORT', '8300')}"

# One greenlet per open stream and per running case, instead of one process or thread: cases mostly
# wait for models and databases. gevent makes that waiting cooperative.
worker_class = "gevent"

# Each worker has its own sessions and its own limit of runs. One per core is plenty.
workers = int(os.environ.get("WEB_CONCURRENCY", "1"))

# Connections of one worker. More than it may have runs (BRAINTRUST_EVALS_MAX_RUNS, 1000), so that
# health checks and refusals still get through when it has that many.
worker_connections = 2000

# Under gevent this does not cut long streams: it is about a worker that does not answer its master
# at all, because a task computes without ever waiting.
timeout = 60

# How long a stopping worker waits for the runs that are under way.
graceful_timeout = 30

# Left off: with preload_app the application is imported before gevent has patched the standard
# library. This extension copes with that; the libraries your tasks use may not.
preload_app = False


def post_worker_init(worker: Any) -> None:
    """Keep the garbage collector from going through the application again and again.

    By default Python looks at new objects after every 700 of them, and often at all that there are.
    With many cases under way that is up to a third of the work, and finds next to nothing.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)
