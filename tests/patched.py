"""Imports this package after gevent's whole patch, as programs do, and leaves no hub behind.

For `tests.forked.nursery`: a process that is forked makes its hub when it first needs one.
"""

import importlib

from gevent import get_hub, monkey

from tests.server import LIBRARIES

monkey.patch_all()
for name in LIBRARIES:
    importlib.import_module(name)
get_hub().destroy(destroy_loop=True)
