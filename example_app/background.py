"""Sets up Celery for the application, in the way that Flask's documentation describes."""

from __future__ import annotations

from typing import Any

from celery import Celery, Task
from flask import Flask


def celery_init_app(app: Flask) -> Celery:
    """Make the Celery application from the setting ``CELERY``, and return it.

    Its tasks run in the context of the Flask application.
    """

    class TaskInContext(Task):  # type: ignore[misc]
        def __call__(self, *args: Any, **options: Any) -> Any:
            with app.app_context():
                return super().__call__(*args, **options)

    celery_app = Celery(app.import_name, task_cls=TaskInContext)
    celery_app.config_from_object(app.config["CELERY"])
    celery_app.set_default()
    app.extensions["celery"] = celery_app
    return celery_app
