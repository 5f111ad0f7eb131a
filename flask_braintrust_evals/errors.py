"""Every exception of this package, with the HTTP status it becomes at the edge.

::

    EvalsError
    ├── ConfigurationError          a setting is wrong: raised when the blueprint is registered
    ├── RegistrationError           an evaluator is wrong: raised where it is defined
    │   ├── DuplicateEvaluatorError
    │   └── RegistrationClosedError
    ├── SerializationError          a value has no JSON form
    ├── RequestError                the request is wrong (400)
    │   ├── AuthenticationError     401
    │   ├── AccessDeniedError       403
    │   ├── NotFoundError           404
    │   ├── MethodNotAllowedError   405
    │   ├── BodyTooLargeError       413
    │   └── UnsupportedMediaTypeError  415
    ├── TooManyRunsError            the process is full (503)
    ├── RunError                    a run could not be finished (500)
    │   ├── RunTimeoutError
    │   ├── ServerStoppingError     the worker is to end before the run could (503)
    │   └── DataError               the source of the cases failed
    └── CloudError                  Braintrust did not do what was asked (502)
        ├── CloudTimeoutError       504
        ├── CloudUnauthorizedError  401: it does not accept the caller's token
        ├── CloudForbiddenError     403: it does not let the caller do this
        └── CloudNotFoundError      404: it knows no such object

The text of each says what is wrong, with which value, and what to do. It is sent to clients, so it
never holds a token.
"""

from __future__ import annotations


class EvalsError(Exception):
    """Base of every exception this package raises on purpose."""

    status: int = 500
    """HTTP status of the answer when the error is known before a stream has started."""


class ConfigurationError(EvalsError, ValueError):
    """A setting has the wrong type or range. Names the key, the value and what is allowed."""


class RegistrationError(EvalsError, ValueError):
    """An evaluator, or one of its scorers, classifiers or parameters, makes no sense."""


class DuplicateEvaluatorError(RegistrationError):
    """Two evaluators of one blueprint, or two scorers of one evaluator, have the same name."""


class RegistrationClosedError(RegistrationError):
    """An evaluator came after the blueprint had served its first request."""


class SerializationError(EvalsError, TypeError):
    """A value cannot be written as JSON."""


class RequestError(EvalsError):
    """The request cannot be served as it was sent; sending it again changes nothing."""

    status = 400


class AuthenticationError(RequestError):
    """The request has no token, or not a valid one."""

    status = 401


class AccessDeniedError(RequestError):
    """Whoever sent the request may not do this here."""

    status = 403


class NotFoundError(RequestError):
    """The request names something that does not exist."""

    status = 404


class MethodNotAllowedError(RequestError):
    """The path exists, but not for this method. ``allowed`` lists the methods it has."""

    status = 405

    def __init__(self, message: str, allowed: tuple[str, ...]) -> None:
        super().__init__(message)
        self.allowed = allowed


class BodyTooLargeError(RequestError):
    """The request's body is larger than ``BRAINTRUST_EVALS_MAX_BODY``."""

    status = 413


class UnsupportedMediaTypeError(RequestError):
    """The request's body is not declared as JSON."""

    status = 415


class TooManyRunsError(EvalsError):
    """This process has as many runs as it may have. ``retry_after``: seconds to wait."""

    status = 503
    retry_after = 5


class RunError(EvalsError):
    """A run ended before all of its cases were done."""


class RunTimeoutError(RunError):
    """A run took longer than its time-out."""


class ServerStoppingError(RunError):
    """The server's worker is being stopped, and the run could not be finished before that."""

    status = 503


class DataError(RunError):
    """The source of a run's cases raised an error, or gave something that is not a case."""


class CloudError(EvalsError):
    """Braintrust could not be reached, failed, or gave an answer that makes no sense."""

    status = 502
    transient: bool = False
    """Whether the same call may succeed a moment later."""
    retry_after: float | None = None
    """Seconds that Braintrust asked to wait, if it did."""


class CloudTimeoutError(CloudError):
    """Braintrust did not answer in time."""

    status = 504


class CloudUnauthorizedError(CloudError):
    """Braintrust does not, or no longer, accept the caller's token."""

    status = 401


class CloudForbiddenError(CloudError):
    """Braintrust does not let the caller do this."""

    status = 403


class CloudNotFoundError(CloudError):
    """Braintrust knows no such object, or does not show it to the caller."""

    status = 404
