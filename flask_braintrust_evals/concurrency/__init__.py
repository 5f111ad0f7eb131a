"""Threads, greenlets, event loops and processes, with and without gevent."""
