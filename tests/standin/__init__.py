"""A stand-in for Braintrust's cloud: a real HTTP server for tests.

`state` remembers, `routes` and the modules it names answer, `faults` spoil the answers,
`journal` records, `server` talks to sockets, and `StandIn` puts it all into a test's hands.
"""

from .faults import Fault as Fault
from .faults import Gate as Gate
from .journal import Call as Call
from .logged import LoggedRow as LoggedRow
from .spans import StoredSpan as StoredSpan
from .stand_in import StandIn as StandIn
