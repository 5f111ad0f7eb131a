"""Cuts, encodes, queues and sends spans."""
