"""gunicorn's settings for an application that serves evaluators."""

import gc
import os
from typing import Any

from flask_braintrust_evals import warm_up

# Loopback: other machines must reach it through a proxy with TLS only.
bind = f"127.0.0.1:{os.environ.get('PORT', '8300')}"

# One greenlet per open stream and per running case, instead of one process or thread: cases mostly
# wait for models and databases. gevent makes that waiting cooperative.
worker_class = "gevent"

# Each worker has its own sessions and its own limit of runs. One per core is plenty.
workers = int(os.environ.get("WEB_CONCURRENCY", "1"))

# Connections of one worker. More than twice the number of runs that it may have at a time
# (BRAINTRUST_EVALS_MAX_RUNS, 1000), since it may also be receiving as many requests. So health
# checks and refusals still get through.
worker_connections = 2500

# Under gevent this does not end long streams. It ends a worker that sends its master process no
# sign of life, because a task computes without ever waiting.
timeout = 60

# Seconds that a stopping worker waits for the runs that are under way.
graceful_timeout = 30

# Off: with preload_app the application is imported before gevent has patched the standard library.
# This extension works then, too; the libraries that your tasks use may not.
preload_app = False


def post_worker_init(worker: Any) -> None:
    """Import what requests need, and make the garbage collector examine fewer objects, less often.

    Without the imports, the first user would wait for them.

    By default, Python examines all new objects after every 700 of them, and from time to time all
    objects. With many cases under way, that takes up to a third of the time and frees very little.
    """
    warm_up()
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)
