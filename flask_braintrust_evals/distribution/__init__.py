"""Runs cases on other machines: orders to workers, and their reports, over a message broker.

The web process sends *orders*, each with one or more cases, to a queue. *Workers*, which are
processes on any machine with the same application, take orders from it, run the cases, and send
*reports* to the queue of the process that ordered them, their *owner*. Owners send *notices* to all
workers: that they are there, and which runs are over. How messages travel is the business of a
:class:`~.transport.Transport`.
"""
