"""What is read of a request before its content is known: its body, headers and connection."""
