"""Starts programs and refuses forks under gevent, where a fork may stop or divide the process."""
