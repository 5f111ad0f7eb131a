"""The commands and their options. No other folder of the command line imports Flask."""
