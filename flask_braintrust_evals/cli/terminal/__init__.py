"""What a terminal shows and sends: text, the progress bar, Ctrl-C."""
