"""The commands and their options. No other part of the command line knows Flask."""
