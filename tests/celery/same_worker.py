"""The workers' side of :mod:`.same_app`, for ``celery worker -A``."""

from .same_app import create_app

app = create_app().extensions["celery"]
