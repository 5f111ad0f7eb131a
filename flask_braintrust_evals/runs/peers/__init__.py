"""The runs of all processes of a server, which ask each other for theirs."""
