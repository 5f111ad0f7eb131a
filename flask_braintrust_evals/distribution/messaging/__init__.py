"""What owners and workers tell each other, and how it travels."""
