"""Cases on other machines through Celery, with Redis or RabbitMQ as its broker.

Nothing else in this package knows Celery or Kombu. What waits for the broker does so in threads of
the operating system, each of which has its own connection.
"""
