"""Statements that the official specification and the SDKs' own tests make, asked of this server.

Each module has one subject. A module names the sources of its statements, and tests only those that
the tests of the packages do not have. Where official implementations disagree, the page of the
protocol says whom this server follows: ``docs/protocol.md``.
"""
