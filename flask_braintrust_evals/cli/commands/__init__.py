"""The commands and their options. Only this part of the command line knows Flask."""
