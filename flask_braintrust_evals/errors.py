"""Every exception of this package, with the HTTP status that a client gets.

::

    EvalsError
    ├── ConfigurationError          a setting is wrong; raised when the blueprint is registered
    ├── RegistrationError           an evaluator is wrong; raised where it is defined
    │   ├── DuplicateEvaluatorError
    │   └── RegistrationClosedError
    ├── SerializationError          a value has no JSON form
    ├── RequestError                the request is wrong (400)
    │   ├── AuthenticationError     401
    │   ├── AccessDeniedError       403
    │   ├── NotFoundError           404
    │   ├── MethodNotAllowedError   405
    │   ├── BodyTimeoutError        408
    │   ├── RunEndedError           409
    │   ├── LengthRequiredError     411
    │   ├── BodyTooLargeError       413
    │   └── UnsupportedMediaTypeError  415
    ├── BusyError                   this server cannot do it now (503)
    │   ├── TooManyRunsError        the process has as many runs as it may have
    │   │   └── QuotaError          the caller or the organisation has (429)
    │   ├── TooManyLoginsError      the process has as many logins under way as it may have
    │   ├── BrokerError             the broker that leads to other machines does not answer
    │   └── SilentProcessesError    other processes of the server do not answer
    ├── StreamReadError             code of the application reads a stream before it is sent (500)
    ├── RunError                    a run could not be finished (500)
    │   ├── RunTimeoutError
    │   ├── RunCancelledError       somebody who may has cancelled it (409)
    │   ├── ServerStoppingError     the worker is being stopped before the run is done (503)
    │   ├── WorkersError            no worker runs cases, or all have other code (503)
    │   └── DataError               the source of the cases failed
    │       └── TooManyCasesError   the source has more cases than a run may have (400)
    └── CloudError                  Braintrust failed, or refused a call (502)
        ├── CloudTimeoutError       504
        ├── CloudBusyError          503: Braintrust asks to wait before the next login
        ├── CloudAddressError       an answer names an address that this server does not call
        ├── CloudUnauthorizedError  401: Braintrust does not accept the caller's token
        ├── CloudForbiddenError     403: Braintrust does not permit the caller to do this
        └── CloudNotFoundError      404: Braintrust has no such object

The message says what is wrong, with which value, and what to do. It is sent to clients, so it never
contains a token.
"""

from __future__ import annotations


class EvalsError(Exception):
    """Base of every exception that this package raises on purpose."""

    status: int = 500
    """HTTP status of the answer if the error is known before a stream has started."""


class ConfigurationError(EvalsError, ValueError):
    """A setting has the wrong type or range. The message names the key and what is allowed."""


class RegistrationError(EvalsError, ValueError):
    """An evaluator, or one of its scorers, classifiers or parameters, is not valid."""


class DuplicateEvaluatorError(RegistrationError):
    """Two evaluators of one blueprint, or two scorers of one evaluator, have the same name."""


class RegistrationClosedError(RegistrationError):
    """An evaluator was added after the blueprint had served its first request."""


class SerializationError(EvalsError, TypeError):
    """A value cannot be written as JSON."""


class RequestError(EvalsError):
    """The request cannot be served as it was sent; sending it again changes nothing."""

    status = 400


class AuthenticationError(RequestError):
    """The request has no token, or one that is not valid."""

    status = 401


class AccessDeniedError(RequestError):
    """The caller may not use this server because of its page, address, organisation or token."""

    status = 403


class NotFoundError(RequestError):
    """The request names something that does not exist."""

    status = 404


class MethodNotAllowedError(RequestError):
    """The path exists, but not for this method. ``allowed`` lists the methods that it has."""

    status = 405

    def __init__(self, message: str, allowed: tuple[str, ...]) -> None:
        super().__init__(message)
        self.allowed = allowed


class BodyTimeoutError(RequestError):
    """The body of the request has not arrived in time."""

    status = 408


class RunEndedError(RequestError):
    """The run that is to be cancelled has ended already."""

    status = 409


class LengthRequiredError(RequestError):
    """The body of the request has no declared length, and the server does not tell its end."""

    status = 411


class BodyTooLargeError(RequestError):
    """The body of the request is larger than ``BRAINTRUST_EVALS_MAX_BODY`` or Flask's own limit, or
    has more values than ``BRAINTRUST_EVALS_MAX_VALUES``, or too many outside of its data."""

    status = 413


class UnsupportedMediaTypeError(RequestError):
    """The body of the request is not declared as JSON, or is compressed."""

    status = 415


class BusyError(EvalsError):
    """This server cannot do now what is asked for. ``retry_after``: seconds to wait."""

    status = 503
    retry_after = 5


class TooManyRunsError(BusyError):
    """The process has as many runs as it may have."""


class QuotaError(TooManyRunsError):
    """The caller, or the caller's organisation, has as many runs as its quota allows."""

    status = 429


class TooManyLoginsError(BusyError):
    """The process has as many logins under way as it may have."""


class BrokerError(BusyError):
    """The message broker that leads to other machines does not answer."""


class SilentProcessesError(BusyError):
    """Other processes of the server do not answer."""


class StreamReadError(EvalsError, RuntimeError):
    """Code of the application reads the whole stream of a run before it is sent."""


class RunError(EvalsError):
    """A run ended before all of its cases were done."""


class RunTimeoutError(RunError):
    """A run took longer than its time-out."""


class RunCancelledError(RunError):
    """The run was cancelled by its caller, or by who runs the server."""

    status = 409


class ServerStoppingError(RunError):
    """The server's worker is being stopped, and the run could not be finished before that.

    ``retry_after``: seconds to wait.
    """

    status = 503
    retry_after = 1


class WorkersError(RunError):
    """No worker takes cases, or all of them have other code. ``retry_after``: seconds to wait."""

    status = 503
    retry_after = 10


class DataError(RunError):
    """The source of a run's cases failed, or contained something that is not a case."""


class TooManyCasesError(DataError):
    """A run has more cases than it may have, and the first of them were run."""

    status = 400


class CloudError(EvalsError):
    """Braintrust could not be reached, failed, refused a call, or sent an invalid answer."""

    status = 502
    transient: bool = False
    """True if the same call may succeed a moment later."""
    retry_after: float | None = None
    """Seconds that Braintrust asked to wait, if it did."""
    answered: int | None = None
    """HTTP status of Braintrust's answer, if that was a refusal."""


class CloudTimeoutError(CloudError):
    """Braintrust did not answer in time."""

    status = 504


class CloudBusyError(CloudError):
    """Braintrust asks to wait before the next login: see ``retry_after``."""

    status = 503


class CloudAddressError(CloudError):
    """An answer names, or redirects to, an address that this server does not call."""


class CloudUnauthorizedError(CloudError):
    """Braintrust does not, or no longer, accept the caller's token."""

    status = 401


class CloudForbiddenError(CloudError):
    """Braintrust does not permit the caller to do this."""

    status = 403


class CloudNotFoundError(CloudError):
    """Braintrust has no such object, or does not show it to the caller."""

    status = 404
