"""Gives orders back to their queue that this process cannot verify, and another one may."""

from __future__ import annotations

import logging
from contextlib import closing

from flask_braintrust_evals.concurrency.gevent_patch import new_event
from flask_braintrust_evals.distribution.messaging.links import CONNECT_TIMEOUT, reason_of
from flask_braintrust_evals.distribution.messaging.messages import Message, SignatureError
from flask_braintrust_evals.distribution.messaging.transport import Transport

logger = logging.getLogger("flask_braintrust_evals")

MAX_RETURNS = 30
"""How often an order is given back, by all processes together. It is then dropped."""
RETURN_PAUSE = 1.0
"""Seconds before an order is given back, in which other processes can take the next ones."""


class OrderReturns:
    """Gives orders back.

    Args:
        transport: the broker.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._stopped = new_event()

    def stop(self) -> None:
        """Have nothing wait any longer."""
        self._stopped.set()

    def give_back(self, order: Message, returns: int, why: SignatureError) -> None:
        """Put an order at the end of the queue, after a pause. Does not raise.

        The order is acknowledged afterwards: if this process dies in between, there are two of it,
        and the second one counts for nothing.

        Args:
            order: the order.
            returns: how often it was given back before.
            why: why it cannot be verified.
        """
        if returns >= MAX_RETURNS:
            logger.error("an order is dropped, which no worker could verify: %s", why)
            return
        logger.warning("an order is given back to the queue, for another worker: %s", why)
        self._stopped.wait(RETURN_PAUSE)
        try:
            with closing(self._transport.connect(CONNECT_TIMEOUT)) as sender:
                sender.send_order(order, returns + 1)
        except self._transport.errors as error:
            logger.error("an order could not be given back (%s)", reason_of(error))
