"""A Celery application without tasks of its own, for ``celery worker -A``."""

from __future__ import annotations

import os

from celery import Celery

app = Celery("bare", broker=os.environ["TEST_BROKER"])
