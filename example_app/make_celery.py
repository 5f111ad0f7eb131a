"""The Celery application of the example, for its workers.

CELERY_BROKER_URL=redis://127.0.0.1:6379/0 SECRET_KEY=... \\
celery -A example_app.make_celery worker -Q braintrust_evals --prefetch-multiplier 1
"""

from . import create_app

celery_app = create_app().extensions["celery"]
